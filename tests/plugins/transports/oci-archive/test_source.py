from __future__ import annotations

import bz2
import gzip
import io
import os
import subprocess
import sys
import tarfile
import threading
import zlib

import pytest

from transship.errors import BlobNotFoundError, ContentMismatchError, NotFoundError, TransportError
from transship.image.descriptor import Descriptor
from transship.image.digest import digest_of
from transship.image.media_types import OCI_MANIFEST
from transship.plugin.blob import FileContent, holds
from transship.plugin.cancellation import Cancellation
from transship.plugin.context import Context
from transship_oci_archive.transport import OciArchiveTransport

TRANSPORT = OciArchiveTransport()


def gunzip(chunks):
    decompressor = None
    for chunk in chunks:
        if decompressor is None:
            compressed = bytes(chunk[:2]) == b"\x1f\x8b"
            decompressor = zlib.decompressobj(31) if compressed else False
        yield decompressor.decompress(bytes(chunk)) if decompressor else chunk


def opened(path, suffix="v1", **members):
    return TRANSPORT.open_source(TRANSPORT.parse_reference(f"{path}:{suffix}"), Context(**members))


@pytest.fixture
def archive(tmp_path, image):
    path = tmp_path / "a.tar"
    image.write_to(TRANSPORT.open_destination(TRANSPORT.parse_reference(f"{path}:v1"), Context()))
    return path


@pytest.fixture
def temporary(tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


def assert_reads(source, image):
    assert source.get_manifest() == (image.manifest, OCI_MANIFEST)
    for descriptor, _ in image.blobs:
        content = source.get_blob(descriptor)
        assert isinstance(content, FileContent)
        assert holds(content, descriptor)
        content.close()
    source.close()
    source.close()


def test_image_is_read_in_place(archive, image):
    assert_reads(opened(archive, temporary_directory="/nonexistent"), image)


def test_compressed_archive_is_read(archive, image, temporary):
    archive.write_bytes(gzip.compress(archive.read_bytes()))
    source = opened(archive, temporary_directory=str(temporary), decompress=gunzip)
    assert list(temporary.iterdir()) == []
    assert_reads(source, image)


def test_pipe_is_read(archive, image, tmp_path, temporary):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(archive.read_bytes()))
    writer.start()
    source = opened(pipe, temporary_directory=str(temporary), decompress=gunzip)
    writer.join()
    assert_reads(source, image)


SCRIPT = """
import sys
from transship.plugin.context import Context
from transship_oci_archive.transport import OciArchiveTransport
transport = OciArchiveTransport()
source = transport.open_source(transport.parse_reference("/dev/stdin:v1"), Context(temporary_directory=sys.argv[1]))
sys.stdout.buffer.write(source.get_manifest().data)
"""


@pytest.mark.parametrize("piped", [False, True])
def test_standard_input_is_read(archive, image, temporary, piped):
    command = [sys.executable, "-c", SCRIPT, str(temporary)]
    if piped:
        done = subprocess.run(command, input=archive.read_bytes(), check=True, capture_output=True)
    else:
        with open(archive, "rb") as file:
            done = subprocess.run(command, stdin=file, check=True, capture_output=True)
    assert done.stdout == image.manifest


def test_missing_archive_is_told(tmp_path):
    with pytest.raises(TransportError, match="archive file not found"):
        opened(tmp_path / "none.tar")


def test_missing_name_is_not_found(archive):
    with pytest.raises(NotFoundError):
        opened(archive, "v2")


def test_missing_blob_is_told(archive):
    source = opened(archive)
    with pytest.raises(BlobNotFoundError):
        source.get_blob(Descriptor("x", digest_of(b"other")))
    source.close()


@pytest.mark.parametrize("what", ["directory", "empty", "text", "bzip2", "/dev/zero", "/dev/null"])
def test_what_is_no_archive_is_one_line(tmp_path, what, temporary):
    path = tmp_path / "a"
    if what == "directory":
        path.mkdir()
    else:
        path.write_bytes({"text": b"text" * 1000, "bzip2": bz2.compress(b"text")}.get(what, b""))
    with pytest.raises(TransportError) as caught:
        opened(what if what.startswith("/") else path, temporary_directory=str(temporary))
    assert "\n" not in str(caught.value)
    assert list(temporary.iterdir()) == []


def test_archive_without_index_is_told(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("oci-layout"))
    with pytest.raises(TransportError, match=r"index\.json"):
        opened(tmp_path / "a.tar")


def test_changed_manifest_is_refused(archive, image):
    archive.write_bytes(archive.read_bytes().replace(image.manifest, image.manifest[:-1] + b" "))
    source = opened(archive)
    with pytest.raises(ContentMismatchError):
        source.get_manifest()
    source.close()


def test_copying_aside_ends_when_the_command_ends(archive, temporary):
    archive.write_bytes(gzip.compress(archive.read_bytes()))
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(Exception, match="cancelled"):
        opened(archive, temporary_directory=str(temporary), decompress=gunzip, cancellation=cancellation)


def test_names_are_listed(archive):
    assert TRANSPORT.list_tags(TRANSPORT.parse_place(str(archive)), Context()) == ("", ["v1"])


def test_layout_packed_by_tar_is_read(archive, image, tmp_path):
    folder = tmp_path / "unpacked"
    folder.mkdir()
    subprocess.run(["tar", "-xf", archive, "-C", folder], check=True)
    subprocess.run(["tar", "-cf", tmp_path / "b.tar", "-C", folder, "."], check=True)
    assert_reads(opened(tmp_path / "b.tar"), image)


def test_stream_of_one_byte_reads_is_put_together(archive, image, temporary):
    def in_bytes(chunks):
        for chunk in chunks:
            data = gzip.decompress(bytes(chunk))
            for start in range(0, len(data), 100):
                yield io.BytesIO(data[start : start + 100]).read()

    archive.write_bytes(gzip.compress(archive.read_bytes()))
    assert_reads(opened(archive, temporary_directory=str(temporary), decompress=in_bytes), image)
