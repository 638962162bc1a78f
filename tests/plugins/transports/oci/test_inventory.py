"""Whether a layout holds a whole image, and blobs that images of one run share."""

from __future__ import annotations

import json

import pytest

from transship.image.descriptor import Descriptor
from transship.plugin.blob import BlobReader, BytesContent
from transship.plugin.context import Context
from transship.plugin.shared import Shared
from transship.plugin.transport import DigestReader, ManifestIdentity
from transship.testing.images import oci_image, oci_index
from transship.testing.writers import write_oci_layout
from transship_oci.transport import OciTransport

TRANSPORT = OciTransport()


def identity(folder, name: str = "v1", context: Context | None = None):
    return TRANSPORT.get_digest(TRANSPORT.parse_reference(f"{folder}:{name}"), context or Context())


def test_the_transport_says_that_it_can():
    assert isinstance(TRANSPORT, DigestReader)


@pytest.mark.parametrize("make", [oci_image, oci_index])
def test_a_whole_image_is_told_by_its_digest(tmp_path, make):
    write_oci_layout({"v1": make()}, tmp_path / "layout")
    assert identity(tmp_path / "layout") == ManifestIdentity(make().digest, make().media_type)


@pytest.mark.parametrize("make", [oci_image, oci_index])
def test_no_blob_may_be_missing(tmp_path, make):
    write_oci_layout({"v1": make()}, tmp_path / "layout")
    for path in sorted((tmp_path / "layout/blobs/sha256").iterdir()):
        content = path.read_bytes()
        path.unlink()
        assert identity(tmp_path / "layout") is None
        path.write_bytes(content + b" ")
        assert identity(tmp_path / "layout") is None
        path.write_bytes(content)
    assert identity(tmp_path / "layout") is not None


def test_another_name_is_another_image(tmp_path):
    write_oci_layout({"v1": oci_image()}, tmp_path / "layout")
    assert identity(tmp_path / "layout", "v2") is None
    assert identity(tmp_path / "none") is None


def test_a_broken_index_holds_no_image(tmp_path):
    write_oci_layout({"v1": oci_image()}, tmp_path / "layout")
    (tmp_path / "layout" / "index.json").write_text(json.dumps([]))
    assert identity(tmp_path / "layout") is None


DATA = b"a layer of several images"


@pytest.fixture
def context():
    shared = Shared()
    yield Context(shared=shared)
    shared.close()


@pytest.fixture
def opened(tmp_path, context):
    destinations = []

    def open_named(name: str):
        reference = TRANSPORT.parse_reference(f"{tmp_path}/layout:{name}")
        destinations.append(TRANSPORT.open_destination(reference, context))
        return destinations[-1]

    yield open_named
    for destination in destinations:
        destination.close()


def put(destination) -> Descriptor:
    blob = BlobReader(BytesContent(DATA), Descriptor("", None, -1))
    destination.put_blob(blob)
    return blob.descriptor


@pytest.mark.parametrize("commits_first", [False, True])
def test_a_blob_of_an_image_that_is_not_complete_is_shared(opened, tmp_path, commits_first):
    first, second = opened("first"), opened("second")
    descriptor = put(first)
    if commits_first:
        first.commit()
    assert second.reuse_blob(descriptor) == descriptor
    if not commits_first:
        first.close()
    second.commit()
    assert (tmp_path / "layout/blobs/sha256" / descriptor.digest.encoded).read_bytes() == DATA
    left = [path.name for path in (tmp_path / "layout/blobs").iterdir()]
    assert left == ["sha256"]


def test_a_blob_that_was_verified_is_not_read_again_unless_it_changed(opened, tmp_path):
    first, second, third = opened("first"), opened("second"), opened("third")
    descriptor = put(first)
    first.commit()
    assert second.reuse_blob(descriptor) == descriptor
    (tmp_path / "layout/blobs/sha256" / descriptor.digest.encoded).write_bytes(bytes(len(DATA)))
    assert third.reuse_blob(descriptor) is None
