from __future__ import annotations

import os

import pytest

from transship.errors import BlobNotFoundError, TransportError, TransshipError
from transship.image.descriptor import Descriptor
from transship.image.digest import digest_of
from transship.plugin.signature import SIGSTORE_JSON, SIMPLE_SIGNING, Signature
from transship.testing.images import oci_image, oci_index
from transship.testing.writers import write_dir

SIGNATURES = [b"\xc2openpgp", b'\0sigstore-json\n{"a":1}']


def test_all_parts_of_an_index_are_read_back(tmp_path, open_source, read):
    image = oci_index()
    write_dir(image, tmp_path / "image")
    source = open_source(tmp_path / "image")
    assert source.get_manifest() == (image.manifest, "")
    for instance in image.instances:
        assert source.get_manifest(instance.digest).data == instance.manifest
    for digest, data in image.all_blobs.items():
        assert read(source, digest) == data
    source.close()
    source.close()


def test_signatures_are_told_apart(tmp_path, open_source):
    write_dir(oci_image(), tmp_path / "image", SIGNATURES)
    assert open_source(tmp_path / "image").get_signatures() == [
        Signature(SIMPLE_SIGNING, SIGNATURES[0]),
        Signature(SIGSTORE_JSON, b'{"a":1}'),
    ]


@pytest.mark.parametrize("content", [b"", b"\x01", b"\0no newline"])
def test_broken_signature_is_refused(content, tmp_path, open_source):
    write_dir(oci_image(), tmp_path / "image", [content])
    with pytest.raises(TransshipError):
        open_source(tmp_path / "image").get_signatures()


def test_too_many_signatures_are_refused(tmp_path, open_source):
    write_dir(oci_image(), tmp_path / "image", [b"\xc2"] * 129)
    with pytest.raises(TransportError):
        open_source(tmp_path / "image").get_signatures()


@pytest.mark.parametrize("version", [b"Directory Transport Version: 1.2\n", b"Directory Transport Version: 0.9\n"])
def test_known_version_is_read(version, tmp_path, open_source):
    write_dir(oci_image(), tmp_path)
    (tmp_path / "version").write_bytes(version)
    assert open_source(tmp_path).get_manifest().data


def test_missing_version_is_fine(tmp_path, open_source):
    write_dir(oci_image(), tmp_path)
    (tmp_path / "version").unlink(missing_ok=True)
    assert open_source(tmp_path).get_manifest().data


@pytest.mark.parametrize(
    ("version", "phrase"),
    [
        (b"Directory Transport Version: 1.3\n", "unsupported directory transport version"),
        (b"Directory Transport Version: 2.0\n", "unsupported directory transport version"),
        (b"Directory Transport Version: 1\n", "invalid version file content"),
        (b"\xff\x00", "invalid version file content"),
        (b"", "invalid version file content"),
        (b"x" * 5000, "exceeded maximum allowed size"),
    ],
)
def test_other_version_is_refused(version, phrase, tmp_path, open_source):
    write_dir(oci_image(), tmp_path)
    (tmp_path / "version").write_bytes(version)
    with pytest.raises(TransportError, match=phrase):
        open_source(tmp_path)


def test_missing_folder_is_no_missing_image(tmp_path, open_source):
    with pytest.raises(TransportError, match=r"open .*manifest.json: no such file or directory"):
        open_source(tmp_path / "missing").get_manifest()


def test_missing_blob_is_told(tmp_path, open_source):
    write_dir(oci_image(), tmp_path)
    with pytest.raises(BlobNotFoundError, match="no such file or directory"):
        open_source(tmp_path).get_blob(Descriptor("", digest_of(b"other")))


def test_manifest_of_more_than_four_mebibytes_is_refused(tmp_path, open_source):
    (tmp_path / "manifest.json").write_bytes(b" " * (4 << 20) + b" ")
    with pytest.raises(TransportError):
        open_source(tmp_path).get_manifest()


def test_pipe_in_place_of_a_blob_is_refused_without_waiting(tmp_path, open_source):
    digest = digest_of(b"pipe")
    os.mkfifo(tmp_path / digest.encoded)
    with pytest.raises(TransportError):
        open_source(tmp_path).get_blob(Descriptor("", digest))


def test_link_that_leads_out_is_refused(tmp_path, open_source):
    folder = tmp_path / "image"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"{}")
    (folder / "manifest.json").symlink_to("../secret")
    with pytest.raises(TransportError):
        open_source(folder).get_manifest()


def test_link_that_stays_inside_is_followed(tmp_path, open_source):
    (tmp_path / "other").write_bytes(b"{}")
    (tmp_path / "manifest.json").symlink_to("other")
    assert open_source(tmp_path).get_manifest().data == b"{}"


def test_folder_may_be_named_by_a_link(tmp_path, open_source):
    write_dir(oci_image(), tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    assert open_source(tmp_path / "link").get_manifest().data
