from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tarfile
import threading
import time

import pytest

from transship.errors import (
    ContentMismatchError,
    ManifestRejectedError,
    TransportError,
    TransshipError,
    UnsupportedError,
)
from transship.image.descriptor import Descriptor
from transship.image.digest import digest_of
from transship.image.media_types import DOCKER_SCHEMA1, OCI_LAYER, OCI_MANIFEST
from transship.plugin.blob import BlobReader, BytesContent, FileContent
from transship.plugin.context import Context
from transship.plugin.files import open_regular
from transship.plugin.signature import SIMPLE_SIGNING, Signature
from transship.plugin.transport import LayerCompression, Referrer
from transship_oci.layout import blob_path
from transship_oci_archive.transport import OciArchiveTransport

TRANSPORT = OciArchiveTransport()


def opened(path, suffix="v1", **members):
    return TRANSPORT.open_destination(TRANSPORT.parse_reference(f"{path}:{suffix}"), Context(**members))


def blob(data, digest=None, size=-1):
    return BlobReader(BytesContent(data), Descriptor(OCI_LAYER, digest, size))


def members(path):
    with tarfile.open(path) as tar:
        return [(member.name, member.isdir(), member.mode) for member in tar]


def member(path, name):
    with tarfile.open(path) as tar:
        return tar.extractfile(name).read()


def assert_holds(path, image):
    source = TRANSPORT.open_source(TRANSPORT.parse_reference(f"{path}:v1"), Context())
    assert source.get_manifest().data == image.manifest
    for descriptor, data in image.blobs:
        assert b"".join(bytes(chunk) for chunk in source.get_blob(descriptor)) == data
    source.close()


def test_archive_is_written(tmp_path, image):
    image.write_to(opened(tmp_path / "a.tar"))
    assert_holds(tmp_path / "a.tar", image)
    layer, config = (descriptor.digest.encoded for descriptor, _ in image.blobs)
    assert members(tmp_path / "a.tar") == [
        ("blobs", True, 0o755),
        ("blobs/sha256", True, 0o755),
        *((f"blobs/sha256/{name}", False, 0o644) for name in (layer, config, image.digest.encoded)),
        ("oci-layout", False, 0o644),
        ("index.json", False, 0o644),
    ]
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert {(member.uid, member.gid, member.mtime, member.uname) for member in tar} == {(0, 0, 0, "")}
    assert os.listdir(tmp_path) == ["a.tar"]


def test_what_refers_to_an_image_gets_an_entry_of_its_own(tmp_path, image, make_image):
    other = make_image("two")
    with contextlib.closing(opened(tmp_path / "a.tar")) as destination:
        destination.put_manifest(image.manifest, OCI_MANIFEST)
        for tag in ("", "sha256-x.sig"):
            destination.put_manifest(other.manifest, OCI_MANIFEST, instance=other.digest)
            destination.put_referrer(Referrer(other.digest, tag), other.manifest, OCI_MANIFEST)
        destination.commit()
    assert [name for name, _, _ in members(tmp_path / "a.tar")].count(blob_path(other.digest)) == 1
    index = json.loads(member(tmp_path / "a.tar", "index.json"))
    assert [entry["digest"] for entry in index["manifests"]] == [str(image.digest), str(other.digest)]
    assert TRANSPORT.list_tags(TRANSPORT.parse_place(f"{tmp_path}/a.tar"), Context()).tags == ["v1", "sha256-x.sig"]


def test_archive_of_what_refers_to_something_alone_is_written(tmp_path, image):
    with contextlib.closing(opened(tmp_path / "a.tar")) as destination:
        destination.put_manifest(image.manifest, OCI_MANIFEST, instance=image.digest)
        destination.put_referrer(Referrer(image.digest), image.manifest, OCI_MANIFEST)
        destination.commit()
    (entry,) = json.loads(member(tmp_path / "a.tar", "index.json"))["manifests"]
    assert entry == {"mediaType": OCI_MANIFEST, "digest": str(image.digest), "size": len(image.manifest)}


def test_same_image_gives_the_same_bytes_to_file_and_pipe(tmp_path, image):
    image.write_to(opened(tmp_path / "a.tar"))
    time.sleep(0.01)
    image.write_to(opened(tmp_path / "b.tar"))
    os.mkfifo(tmp_path / "pipe")
    received = []
    reader = threading.Thread(target=lambda: received.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    image.write_to(opened(tmp_path / "pipe"))
    reader.join()
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes() == received[0]


def test_blob_of_unknown_digest_goes_through_a_temporary_file_to_a_pipe(tmp_path, image):
    os.mkfifo(tmp_path / "pipe")
    copy = tmp_path / "copy.tar"
    reader = threading.Thread(target=lambda: copy.write_bytes((tmp_path / "pipe").read_bytes()))
    reader.start()
    destination = opened(tmp_path / "pipe", temporary_directory=str(tmp_path))
    destination.put_blob(blob(b"made on the way"))
    image.write_to(destination)
    reader.join()
    assert_holds(copy, image)
    assert (blob_path(digest_of(b"made on the way")), False, 0o644) in members(copy)


SCRIPT = """
from transship.image.media_types import OCI_MANIFEST
from transship.plugin.context import Context
from transship_oci_archive.transport import OciArchiveTransport
transport = OciArchiveTransport()
destination = transport.open_destination(transport.parse_reference("/dev/stdout:v1"), Context())
destination.put_manifest(b"{}", OCI_MANIFEST)
destination.commit()
destination.close()
"""


@pytest.mark.parametrize("redirected", [False, True])
def test_standard_output_is_written(tmp_path, redirected):
    command = [sys.executable, "-c", SCRIPT]
    path = tmp_path / "a.tar"
    if redirected:
        with open(path, "wb") as file:
            subprocess.run(command, stdout=file, check=True)
    else:
        path.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    assert (blob_path(digest_of(b"{}")), False, 0o644) in members(path)


def test_existing_archive_is_replaced_at_commit(tmp_path, image, make_image):
    path = tmp_path / "a.tar"
    make_image("old").write_to(opened(path))
    before = path.read_bytes()
    destination = opened(path)
    destination.put_blob(blob(b"data"))
    assert path.read_bytes() == before
    image.write_to(destination)
    assert_holds(path, image)


def test_nothing_is_made_before_the_first_blob(tmp_path):
    destination = opened(tmp_path / "a.tar")
    assert destination.reuse_blob(Descriptor(OCI_LAYER, digest_of(b"x"))) is None
    assert os.listdir(tmp_path) == []
    destination.close()


def test_failed_run_leaves_nothing(tmp_path, image):
    destination = opened(tmp_path / "a.tar")
    destination.put_blob(blob(b"data"))
    destination.close()
    destination.close()
    assert os.listdir(tmp_path) == []


def test_wrong_blob_leaves_no_trace_in_the_archive(tmp_path, image):
    destination = opened(tmp_path / "a.tar")
    with pytest.raises(ContentMismatchError):
        destination.put_blob(blob(b"data", digest_of(b"other")))
    image.write_to(destination)
    image.write_to(opened(tmp_path / "b.tar"))
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_blob_is_stored_once(tmp_path, image):
    destination = opened(tmp_path / "a.tar")
    for _ in range(2):
        destination.put_blob(blob(image.layer))
    digest = digest_of(image.layer)
    reused = destination.reuse_blob(Descriptor(OCI_LAYER, digest))
    assert reused == Descriptor(OCI_LAYER, digest, len(image.layer))
    assert destination.reuse_blob(Descriptor(OCI_LAYER, digest, 1)) is None
    image.write_to(destination)
    names = [name for name, *_ in members(tmp_path / "a.tar")]
    assert len(names) == len(set(names)) == 7


def test_local_blob_of_sha512_is_copied_in_the_kernel(tmp_path):
    origin = tmp_path / "origin"
    origin.write_bytes(b"data" * 1000)
    digest = digest_of(origin.read_bytes(), "sha512")
    destination = opened(tmp_path / "a.tar")
    content = FileContent(open_regular(origin))
    destination.put_blob(BlobReader(content, Descriptor(OCI_LAYER, digest, 4000)))
    content.close()
    destination.put_manifest(b"{}", OCI_MANIFEST)
    destination.commit()
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert tar.extractfile(blob_path(digest)).read() == origin.read_bytes()
    source = TRANSPORT.open_source(TRANSPORT.parse_reference(f"{tmp_path}/a.tar"), Context())
    assert source.get_blob(Descriptor(OCI_LAYER, digest)).size == 4000
    source.close()


def test_empty_blob_is_stored(tmp_path, image):
    destination = opened(tmp_path / "a.tar")
    destination.put_blob(blob(b""))
    image.write_to(destination)
    assert_holds(tmp_path / "a.tar", image)


@pytest.mark.parametrize("where", ["directory", "no such folder", "below a file", "full disk"])
def test_place_that_cannot_be_written_is_one_line(tmp_path, image, where):
    (tmp_path / "file").touch()
    path = {
        "directory": tmp_path,
        "no such folder": tmp_path / "none" / "a.tar",
        "below a file": tmp_path / "file" / "a.tar",
        "full disk": "/dev/full",
    }[where]
    with pytest.raises(TransportError) as caught, contextlib.closing(opened(path)) as destination:
        image.write_to(destination)
    assert "\n" not in str(caught.value)


def test_reader_that_goes_away_is_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = threading.Thread(target=lambda: open(tmp_path / "pipe", "rb").close())
    reader.start()
    destination = opened(tmp_path / "pipe")
    with pytest.raises(TransshipError):
        destination.put_blob(blob(bytes(10_000_000)))
    reader.join()
    destination.close()


def test_link_to_an_archive_is_replaced_not_followed(tmp_path, image):
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "a.tar").symlink_to("precious")
    image.write_to(opened(tmp_path / "a.tar"))
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_leftovers_of_killed_runs_vanish_when_they_are_old(tmp_path, image):
    old = tmp_path / ".a.tar.abc.tmp"
    old.touch()
    os.utime(old, (1, 1))
    image.write_to(opened(tmp_path / "a.tar"))
    assert os.listdir(tmp_path) == ["a.tar"]


def test_traits_and_refusals(tmp_path, image):
    destination = opened(tmp_path / "a.tar", options={"accept-uncompressed-layers": "true"})
    assert destination.traits.compression is LayerCompression.KEEP
    assert not destination.traits.parallel
    with pytest.raises(UnsupportedError):
        destination.put_signatures([Signature(SIMPLE_SIGNING, b"x")])
    with pytest.raises(ManifestRejectedError):
        destination.put_manifest(b"{}", DOCKER_SCHEMA1)
    with pytest.raises(ContentMismatchError):
        destination.put_manifest(image.manifest, OCI_MANIFEST, digest_of(b"other"))
