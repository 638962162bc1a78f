"""What skopeo writes is read, and skopeo reads what is written."""

from __future__ import annotations

import subprocess
from contextlib import closing

import peers
import pytest

from transship.image.descriptor import Descriptor
from transship.plugin.blob import BlobReader
from transship.testing.images import docker_list, oci_image, oci_index, schema2_image
from transship.testing.writers import write_dir

pytestmark = pytest.mark.interop


def skopeo_copy(source, target, *flags):
    subprocess.run(
        [peers.SKOPEO, "--insecure-policy", "copy", "-q", *flags, f"dir:{source}", f"dir:{target}"], check=True
    )


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("make", [oci_image, schema2_image, oci_index, docker_list])
def test_the_same_files_are_written_as_by_skopeo(make, tmp_path, open_source, open_destination, store):
    write_dir(make(), tmp_path / "image")
    skopeo_copy(tmp_path / "image", tmp_path / "theirs", "--all")
    store(open_destination(tmp_path / "ours"), make())
    assert contents(tmp_path / "ours") == contents(tmp_path / "theirs")
    skopeo_copy(tmp_path / "ours", tmp_path / "again", "--all")


def test_skopeo_image_is_read(tmp_path, open_source, open_destination):
    write_dir(oci_image(), tmp_path / "image")
    skopeo_copy(tmp_path / "image", tmp_path / "theirs")
    source, destination = open_source(tmp_path / "theirs"), open_destination(tmp_path / "ours")
    for digest, data in oci_image().blobs.items():
        descriptor = Descriptor("", digest, len(data))
        with closing(source.get_blob(descriptor)) as content:
            destination.put_blob(BlobReader(content, descriptor))
    destination.put_manifest(*source.get_manifest())
    destination.commit()
    assert contents(tmp_path / "ours") == contents(tmp_path / "theirs")
