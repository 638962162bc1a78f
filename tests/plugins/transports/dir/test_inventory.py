"""Whether a folder holds a whole image, and blobs that folders of one run share."""

from __future__ import annotations

import pytest

from transship.image.descriptor import Descriptor
from transship.plugin.blob import BlobReader, BytesContent
from transship.plugin.context import Context
from transship.plugin.shared import Shared
from transship.plugin.transport import DigestReader, ManifestIdentity
from transship.testing.images import image_with_foreign_layer, oci_image, oci_index, schema2_image
from transship.testing.writers import write_dir
from transship_dir.transport import DirTransport

TRANSPORT = DirTransport()


def identity(folder, instance=None):
    return TRANSPORT.get_digest(TRANSPORT.parse_reference(str(folder)), Context(), instance=instance)


def test_the_transport_says_that_it_can():
    assert isinstance(TRANSPORT, DigestReader)


@pytest.mark.parametrize("make", [oci_image, schema2_image, oci_index, image_with_foreign_layer])
def test_a_whole_image_is_told_by_its_digest(tmp_path, make):
    write_dir(make(), tmp_path / "image")
    assert identity(tmp_path / "image") == ManifestIdentity(make().digest, make().media_type)


@pytest.mark.parametrize("make", [oci_image, oci_index])
def test_nothing_may_be_missing(tmp_path, make):
    write_dir(make(), tmp_path / "image")
    whole = identity(tmp_path / "image")
    for path in sorted((tmp_path / "image").iterdir()):
        content = path.read_bytes()
        path.unlink()
        assert identity(tmp_path / "image") is None
        path.write_bytes(content + b" ")
        assert identity(tmp_path / "image") != whole
        path.write_bytes(content)
    assert identity(tmp_path / "image") == whole


def test_a_link_is_no_blob(tmp_path):
    write_dir(oci_image(), tmp_path / "image")
    blob = tmp_path / "image" / next(iter(oci_image().blobs)).encoded
    blob.rename(tmp_path / "elsewhere")
    blob.symlink_to(tmp_path / "elsewhere")
    assert identity(tmp_path / "image") is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schemaVersion": 2}', b"\xff"])
def test_a_broken_manifest_is_no_image(tmp_path, content):
    write_dir(oci_image(), tmp_path / "image")
    (tmp_path / "image" / "manifest.json").write_bytes(content)
    assert identity(tmp_path / "image") is None


def test_a_folder_that_is_not_there(tmp_path):
    assert identity(tmp_path / "none") is None


def test_signatures_are_seen_by_their_names(tmp_path):
    write_dir(oci_image(), tmp_path / "image")
    reference = TRANSPORT.parse_reference(str(tmp_path / "image"))
    assert not TRANSPORT.may_be_signed(reference, Context())
    (tmp_path / "image" / "signature-1").write_bytes(b"x")
    assert TRANSPORT.may_be_signed(reference, Context())


class TestSiblings:
    @pytest.fixture
    def context(self):
        shared = Shared()
        yield Context(shared=shared)
        shared.close()

    @pytest.fixture
    def opened(self, tmp_path, context):
        destinations = []

        def open_named(name: str):
            destination = TRANSPORT.open_destination(TRANSPORT.parse_reference(str(tmp_path / name)), context)
            destinations.append(destination)
            return destination

        yield open_named
        for destination in destinations:
            destination.close()

    DATA = b"a layer of several images"

    def put(self, destination) -> Descriptor:
        blob = BlobReader(BytesContent(self.DATA), Descriptor("", None, -1))
        destination.put_blob(blob)
        return blob.descriptor

    @pytest.mark.parametrize("is_committed", [False, True])
    def test_a_blob_of_another_image_is_copied(self, opened, tmp_path, is_committed):
        first, second = opened("first"), opened("second")
        descriptor = self.put(first)
        if is_committed:
            first.put_manifest(b"{}", "")
            first.commit()
        assert second.reuse_blob(descriptor) == descriptor
        second.put_manifest(b"{}", "")
        second.commit()
        copy = tmp_path / "second" / descriptor.digest.encoded
        assert copy.read_bytes() == self.DATA
        assert copy.stat().st_nlink == 1

    def test_one_that_was_changed_is_not(self, opened, tmp_path):
        first, second = opened("first"), opened("second")
        descriptor = self.put(first)
        first.put_manifest(b"{}", "")
        first.commit()
        (tmp_path / "first" / descriptor.digest.encoded).write_bytes(bytes(len(self.DATA)))
        assert second.reuse_blob(descriptor) is None

    def test_a_blob_of_an_image_that_was_found_complete_is_copied(self, opened, tmp_path, context):
        write_dir(oci_image(), tmp_path / "old")
        TRANSPORT.get_digest(TRANSPORT.parse_reference(str(tmp_path / "old")), context, for_writing=True)
        for digest, data in oci_image().blobs.items():
            assert opened("new").reuse_blob(Descriptor("", digest, len(data))) is not None

    def test_one_of_an_image_that_was_given_up_is_gone(self, opened):
        first, second = opened("first"), opened("second")
        descriptor = self.put(first)
        first.close()
        assert second.reuse_blob(descriptor) is None
