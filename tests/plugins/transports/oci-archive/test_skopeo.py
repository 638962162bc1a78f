from __future__ import annotations

import gzip
import json
import subprocess

import peers
import pytest

from transship.image.digest import Digest
from transship.plugin.blob import holds
from transship.plugin.context import Context
from transship_oci_archive.transport import OciArchiveTransport

pytestmark = pytest.mark.interop

TRANSPORT = OciArchiveTransport()


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, **options)


def skopeo(*arguments):
    run(peers.SKOPEO, "--insecure-policy", *arguments)


@pytest.fixture
def archive(tmp_path, image):
    path = tmp_path / "a.tar"
    image.write_to(TRANSPORT.open_destination(TRANSPORT.parse_reference(f"{path}:x/y:1"), Context()))
    return path


@pytest.mark.parametrize("compressed", [False, True])
def test_skopeo_reads_what_was_written(tmp_path, image, archive, compressed):
    if compressed:
        archive.write_bytes(gzip.compress(archive.read_bytes()))
    skopeo("copy", f"oci-archive:{archive}:x/y:1", f"dir:{tmp_path}/dir")
    assert (tmp_path / "dir" / "manifest.json").read_bytes() == image.manifest
    for descriptor, data in image.blobs:
        assert (tmp_path / "dir" / descriptor.digest.encoded).read_bytes() == data


def test_what_skopeo_wrote_is_read(tmp_path, image, archive):
    skopeo("copy", f"oci-archive:{archive}:x/y:1", f"oci-archive:{tmp_path}/b.tar:v1")
    source = TRANSPORT.open_source(TRANSPORT.parse_reference(f"{tmp_path}/b.tar:v1"), Context())
    manifest = json.loads(source.get_manifest().data)
    for descriptor, _ in image.blobs:
        content = source.get_blob(descriptor)
        assert holds(content, descriptor)
        content.close()
    assert Digest.parse(manifest["layers"][0]["digest"]) == image.blobs[0][0].digest
    source.close()


def test_umoci_lists_the_names_of_the_unpacked_archive(tmp_path, archive):
    folder = tmp_path / "unpacked"
    folder.mkdir()
    run("tar", "-xf", archive, "-C", folder)
    assert run("umoci", "list", "--layout", folder, text=True).stdout.split() == ["x/y:1"]
