from __future__ import annotations

import json
import subprocess

import peers
import pytest

from transship.image.digest import Digest
from transship.image.media_types import DOCKER_MANIFEST
from transship.plugin.blob import holds
from transship.plugin.context import Context
from transship_oci.transport import OciTransport

pytestmark = pytest.mark.interop

TRANSPORT = OciTransport()


def skopeo(*arguments):
    subprocess.run([peers.SKOPEO, "--insecure-policy", *arguments], check=True, capture_output=True)


def write(image, path, suffix, **options):
    reference = TRANSPORT.parse_reference(f"{path}:{suffix}")
    image.write_to(TRANSPORT.open_destination(reference, Context(options=options)))


def test_skopeo_reads_what_was_written(tmp_path, image, make_image):
    write(image, tmp_path / "layout", "docker.io/library/x:1")
    write(make_image("two"), tmp_path / "layout", "v2")
    skopeo("copy", f"oci:{tmp_path}/layout:docker.io/library/x:1", f"dir:{tmp_path}/dir")
    assert (tmp_path / "dir" / "manifest.json").read_bytes() == image.manifest
    for descriptor, data in image.blobs:
        assert (tmp_path / "dir" / descriptor.digest.encoded).read_bytes() == data


def test_skopeo_reads_from_a_shared_folder(tmp_path, image):
    shared = f"{tmp_path}/shared"
    write(image, tmp_path / "layout", "v1", **{"shared-blob-dir": shared})
    source = f"oci:{tmp_path}/layout:v1"
    skopeo("copy", "--src-shared-blob-dir", shared, source, f"dir:{tmp_path}/dir")
    assert (tmp_path / "dir" / "manifest.json").read_bytes() == image.manifest


@pytest.mark.parametrize("format_name", ["oci", "v2s2"])
def test_what_skopeo_wrote_is_read(tmp_path, image, format_name):
    write(image, tmp_path / "layout", "v1")
    skopeo("copy", "--format", format_name, f"oci:{tmp_path}/layout:v1", f"oci:{tmp_path}/theirs:a/b:1")
    reference = TRANSPORT.parse_reference(f"{tmp_path}/theirs:a/b:1")
    source = TRANSPORT.open_source(reference, Context())
    manifest = source.get_manifest()
    assert (manifest.media_type == DOCKER_MANIFEST) == (format_name == "v2s2")
    layer = json.loads(manifest.data)["layers"][0]
    content = source.get_blob(image.blobs[0][0])
    assert Digest.parse(layer["digest"]) == image.blobs[0][0].digest
    assert holds(content, image.blobs[0][0])
    content.close()


def test_both_extend_one_layout_alike(tmp_path, image, make_image):
    """The same sequence of names gives the same index, whoever writes."""
    two = make_image("two")
    write(image, tmp_path / "from", "one")
    write(two, tmp_path / "from", "two")
    for which, name in [("one", "v1"), ("two", "v1"), ("two", "v2"), ("one", "v1"), ("one", ""), ("two", "v1")]:
        skopeo("copy", f"oci:{tmp_path}/from:{which}", f"oci:{tmp_path}/theirs:{name}")
        write({"one": image, "two": two}[which], tmp_path / "ours", name)
        theirs, ours = (
            json.loads((tmp_path / side / "index.json").read_bytes())["manifests"] for side in ("theirs", "ours")
        )
        assert ours == theirs


def test_skopeo_extends_a_layout_of_ours(tmp_path, image, make_image):
    write(make_image("two"), tmp_path / "from", "two")
    write(image, tmp_path / "layout", "v1")
    skopeo("copy", f"oci:{tmp_path}/from:two", f"oci:{tmp_path}/layout:v2")
    write(image, tmp_path / "layout", "v3")
    place = TRANSPORT.parse_place(f"{tmp_path}/layout")
    assert TRANSPORT.list_tags(place, Context()).tags == ["v1", "v2", "v3"]


def test_umoci_lists_the_names(tmp_path, image):
    write(image, tmp_path / "layout", "v1")
    listed = subprocess.run(
        ["umoci", "list", "--layout", f"{tmp_path}/layout"], check=True, capture_output=True, text=True
    )
    assert listed.stdout.split() == ["v1"]
