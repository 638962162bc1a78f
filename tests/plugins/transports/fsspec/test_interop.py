"""Layouts are what other programs make and read, and so are archives."""

from __future__ import annotations

import json
import subprocess
import zipfile

import fsspec
import peers
import pytest

from transship.testing.images import oci_image, oci_index

pytestmark = [pytest.mark.interop, pytest.mark.uses("dir", "oci")]


def _peer(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _skopeo(*arguments):
    return _peer(peers.SKOPEO, "--insecure-policy", *arguments)


@pytest.fixture
def copy(transship_cli):
    def copy(source, destination):
        outcome = transship_cli("--insecure-policy", "copy", "--quiet", "--all", source, destination)
        assert outcome.code == 0, outcome.err

    return copy


@pytest.fixture
def written(images, copy, tmp_path):
    """A layout in a folder with two images that were written through fsspec."""
    for tag in ("one", "index"):
        copy(f"{images}:{tag}", f"fsspec:file://{tmp_path}/layout:{tag}")
    return tmp_path / "layout"


def test_oci_reads_what_was_written(written, copy, tmp_path):
    copy(f"oci:{written}:index", "dir:read")
    assert (tmp_path / "read" / "manifest.json").read_bytes() == oci_index().manifest


def test_what_oci_wrote_is_read(images, copy, tmp_path):
    copy(f"{images}:index", "oci:theirs:v1")
    copy(f"fsspec:file://{tmp_path}/theirs:v1", "dir:read")
    assert (tmp_path / "read" / "manifest.json").read_bytes() == oci_index().manifest


def test_oci_and_fsspec_extend_one_layout_alike(images, copy, transship_cli, tmp_path):
    copy(f"{images}:one", f"fsspec:file://{tmp_path}/both:a")
    copy(f"{images}:index", "oci:both:b")
    copy(f"{images}:one", f"fsspec:file://{tmp_path}/both:c")
    for place in ("oci:both", f"fsspec:file://{tmp_path}/both"):
        assert json.loads(transship_cli("list-tags", place).out)["Tags"] == ["a", "b", "c"]


def test_skopeo_reads_what_was_written(written, tmp_path):
    _skopeo("copy", f"oci:{written}:one", f"dir:{tmp_path}/read")
    assert (tmp_path / "read" / "manifest.json").read_bytes() == oci_image().manifest
    _skopeo("copy", "--all", f"oci:{written}:index", f"dir:{tmp_path}/read-all")
    assert (tmp_path / "read-all" / "manifest.json").read_bytes() == oci_index().manifest


def test_what_skopeo_wrote_is_read(images, copy, tmp_path):
    _skopeo("copy", f"{images}:one", f"oci:{tmp_path}/theirs:v1")
    copy(f"fsspec:file://{tmp_path}/theirs:v1", "dir:read")
    assert (tmp_path / "read" / "manifest.json").read_bytes() == oci_image().manifest


def test_umoci_knows_what_was_written(written):
    assert sorted(_peer("umoci", "ls", "--layout", str(written)).split()) == ["index", "one"]
    _peer("umoci", "gc", "--layout", str(written))
    _skopeo("copy", "--all", f"oci:{written}:index", f"dir:{written.parent}/after-gc")


def test_what_umoci_wrote_is_read(copy, transship_cli, tmp_path):
    _peer("umoci", "init", "--layout", str(tmp_path / "theirs"))
    _peer("umoci", "new", "--image", f"{tmp_path}/theirs:empty")
    copy(f"fsspec:file://{tmp_path}/theirs:empty", f"fsspec:file://{tmp_path}/ours:empty")
    config = json.loads(transship_cli("inspect", "--config", f"fsspec:file://{tmp_path}/ours:empty").out)
    assert config["rootfs"]["type"] == "layers"


def test_archive_is_one_for_others(images, copy, tmp_path):
    copy(f"{images}:index", f"fsspec:zip://in/side::file://{tmp_path}/layout.zip:v1")
    with zipfile.ZipFile(tmp_path / "layout.zip") as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "unpacked")
    _skopeo("copy", "--all", f"oci:{tmp_path}/unpacked/in/side:v1", f"dir:{tmp_path}/read")
    assert (tmp_path / "read" / "manifest.json").read_bytes() == oci_index().manifest
    theirs = fsspec.filesystem("zip", fo=str(tmp_path / "layout.zip"))
    assert theirs.cat_file(f"in/side/blobs/sha256/{oci_index().digest.encoded}") == oci_index().manifest
    theirs.close()
    theirs.fo.close()
