"""The images are what they say, and the writers write what others can read."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import tarfile

import peers
import pytest

from transship.image.digest import digest_of
from transship.image.identification import manifest_digest
from transship.image.index import parse_index
from transship.image.manifest import parse_manifest
from transship.image.media_types import DOCKER_MANIFEST, INDEX_TYPES, OCI_MANIFEST
from transship.testing import images, layers, writers

IMAGES = {
    "schema 2": images.schema2_image(),
    "schema 2 uncompressed": images.schema2_image(compression=""),
    "OCI": images.oci_image(),
    "OCI zstd": images.oci_image(compression="zstd"),
    "OCI uncompressed": images.oci_image(compression=""),
    "empty layers": images.image_with_empty_layers(),
    "empty layers, schema 2": images.image_with_empty_layers(DOCKER_MANIFEST),
    "own layers": images.image_of_layers([layers.tar_of({"file": b"own"})], compression="zstd"),
    "own layers, schema 2": images.image_of_layers([], media_type=DOCKER_MANIFEST),
    "subject": images.image_with_subject(),
    "schema 1": images.schema1_image(),
    "schema 1 unsigned": images.schema1_image(signed=False),
    "artifact": images.artifact_with_empty_config(),
    "artifact with own config": images.artifact_with_own_config(),
}
INCOMPLETE = {
    "foreign": images.image_with_foreign_layer(),
    "OCI foreign": images.image_with_foreign_layer(OCI_MANIFEST),
}
INDEXES = {"index": images.oci_index(), "list": images.docker_list()}


def named(table):
    return pytest.mark.parametrize("image", table.values(), ids=table)


@named({**IMAGES, **INCOMPLETE, **INDEXES})
def test_blobs_have_the_digests_they_are_listed_under(image):
    assert all(digest_of(data) == digest for digest, data in image.all_blobs.items())


@named(IMAGES)
def test_everything_that_a_manifest_names_is_there(image):
    manifest = parse_manifest(image.manifest, image.media_type)
    descriptors = [layer.descriptor for layer in manifest.layers] + ([manifest.config] if manifest.config else [])
    assert {descriptor.digest for descriptor in descriptors} == set(image.blobs)
    assert all(descriptor.size in (-1, len(image.blobs[descriptor.digest])) for descriptor in descriptors)


@named(INCOMPLETE)
def test_a_foreign_layer_is_nowhere(image):
    layers_ = [layer.descriptor for layer in parse_manifest(image.manifest, image.media_type).layers]
    assert [layer.digest in image.blobs for layer in layers_] == [False, True]
    assert layers_[0].urls == (images.FOREIGN_URL,)


@named(INDEXES)
def test_an_index_lists_its_instances(image):
    assert image.media_type in INDEX_TYPES
    index = parse_index(image.manifest, image.media_type)
    assert [instance.digest for instance in index.instances] == [instance.digest for instance in image.instances]
    assert [(i.platform.architecture, i.platform.variant) for i in index.instances] == list(images.PLATFORMS)


@pytest.mark.parametrize("make", [images.schema2_image, images.oci_index, images.artifact_with_empty_config])
def test_images_are_the_same_each_time(make):
    assert make() == make()


def test_layers_hold_their_files():
    for tar, files in zip(images.oci_image().tars, images.files_of(), strict=True):
        with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
            assert {member.name: archive.extractfile(member).read() for member in archive} == files


def test_a_config_names_the_uncompressed_layers():
    for image in (images.schema2_image(), images.oci_image(compression="zstd"), images.image_with_empty_layers()):
        assert json.loads(image.config)["rootfs"]["diff_ids"] == [str(digest) for digest in image.diff_ids]


def test_a_signed_schema_1_image_has_the_digest_of_the_unsigned_one():
    signed, unsigned = images.schema1_image(), images.schema1_image(signed=False)
    assert signed.manifest != unsigned.manifest
    assert signed.digest == unsigned.digest == manifest_digest(unsigned.manifest)


@pytest.mark.parametrize("size", [0, 1, 1000, (128 << 10) - 1, 128 << 10, (128 << 10) + 1, 300_000])
@pytest.mark.interop
def test_zstd_frames_are_read_by_zstd(size):
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    done = subprocess.run(["zstd", "-dc"], input=layers.zstd_framed(data), capture_output=True, check=True, timeout=60)
    assert done.stdout == data


def test_gzip_has_no_time():
    assert layers.gzipped(b"data")[4:8] == bytes(4)
    assert gzip.decompress(layers.gzipped(b"data")) == b"data"


def test_a_docker_archive_takes_no_artifact(tmp_path):
    with pytest.raises(ValueError, match="docker archive"):
        writers.write_docker_archive({"": images.artifact_with_empty_config()}, tmp_path / "archive")


@pytest.mark.interop
@named({**IMAGES, **INDEXES})
def test_skopeo_copies_what_the_writers_wrote(image, tmp_path):
    writers.write_dir(image, tmp_path / "dir")
    sources = [f"dir:{tmp_path / 'dir'}"]
    if image.media_type in (OCI_MANIFEST, *INDEX_TYPES[:1]):
        writers.write_oci_layout({"v1": image}, tmp_path / "oci")
        writers.write_oci_archive({"v1": image}, tmp_path / "oci.tar")
        sources += [f"oci:{tmp_path / 'oci'}:v1", f"oci-archive:{tmp_path / 'oci.tar'}:v1"]
    for number, source in enumerate(sources):
        copied(source, tmp_path / str(number))
        assert (tmp_path / str(number) / "manifest.json").read_bytes() == image.manifest


@pytest.mark.interop
@named({name: image for name, image in IMAGES.items() if image.config and image.tars})
def test_skopeo_copies_what_is_in_a_docker_archive(image, tmp_path):
    writers.write_docker_archive({"docker.io/library/app:1.0": image}, tmp_path / "archive")
    copied(f"docker-archive:{tmp_path / 'archive'}:app:1.0", tmp_path / "dir")
    manifest = json.loads((tmp_path / "dir" / "manifest.json").read_bytes())
    assert manifest["config"]["digest"] == str(digest_of(image.config))
    assert [layer["digest"] for layer in manifest["layers"]] == [str(digest) for digest in image.diff_ids]


def copied(source, folder):
    command = [peers.SKOPEO, "--insecure-policy", "copy", "--all", source, f"dir:{folder}"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
