from __future__ import annotations

import io
import tarfile

import pytest

from transship.errors import ContentMismatchError
from transship.image.descriptor import Descriptor
from transship.image.digest import digest_of
from transship.plugin.blob import BlobReader, BytesContent
from transship.plugin.tar import BLOCK, SYMBOLIC_LINK
from transship.plugin.tar_writer import END_OF_ARCHIVE, FileTarWriter, StreamTarWriter, header, padding


@pytest.mark.parametrize("size", [0, 1, BLOCK, 8**11 - 1, 8**11, 1 << 50])
def test_header_is_one_block_that_others_read(size):
    block = header("n" * 100, size, mode=0o444)
    info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
    assert (info.name, info.size, info.mode, info.uid, info.mtime) == ("n" * 100, size, 0o444, 0, 0)
    assert (size + len(padding(size))) % BLOCK == 0


@pytest.mark.parametrize("name", ["n" * 101, "ä" * 51, "d/" * 200 + "n"])
def test_long_name_is_read_by_others(name):
    assert members(header(name, 4) + b"data" + padding(4) + END_OF_ARCHIVE) == [(name, b"data")]
    assert len(header(name)) == len(header(name, 1 << 50)) == 3 * BLOCK


def test_link_is_read_by_others():
    data = header("l", kind=SYMBOLIC_LINK, mode=0, link="target") + END_OF_ARCHIVE
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert [(info.name, info.linkname, info.type) for info in tar] == [("l", "target", tarfile.SYMTYPE)]


def test_too_long_link_is_an_error():
    with pytest.raises(ValueError, match="too long"):
        header("l", kind=SYMBOLIC_LINK, link="ä" * 51)


def members(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return [(info.name, tar.extractfile(info).read()) for info in tar]


def known_blob(data, algorithm="sha256"):
    return BlobReader(BytesContent(data), Descriptor("", digest_of(data, algorithm), len(data)))


def unknown_blob(data):
    return BlobReader(BytesContent(data), Descriptor("", None))


@pytest.fixture(params=["file", "stream"])
def write(request, tmp_path):
    """Gives what an archive holds into which the blobs were written one after the other."""

    def written(*blobs):
        known = set()
        with open(tmp_path / "a.tar", "w+b", buffering=0) as file:
            writer = FileTarWriter(file) if request.param == "file" else StreamTarWriter(file, str(tmp_path))
            for blob in blobs:
                known.add(writer.add_blob(blob, str, known.__contains__).digest)
            writer.finish()
        return (tmp_path / "a.tar").read_bytes()

    return written


@pytest.mark.parametrize("data", [b"", b"x", b"x" * BLOCK, b"x" * 1000])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_blob_is_written_under_its_name(write, data, algorithm):
    assert members(write(known_blob(data, algorithm))) == [(str(digest_of(data, algorithm)), data)]


def test_blob_of_unknown_digest_is_written_under_its_name(write):
    assert members(write(unknown_blob(b"data"))) == [(str(digest_of(b"data")), b"data")]


@pytest.mark.parametrize("again", [known_blob, unknown_blob])
def test_blob_that_is_known_leaves_no_trace(write, again):
    once = write(known_blob(b"data" * 500), known_blob(b"end"))
    assert write(known_blob(b"data" * 500), again(b"data" * 500), known_blob(b"end")) == once


def test_wrong_blob_leaves_no_trace_in_a_file(tmp_path):
    with open(tmp_path / "a.tar", "w+b", buffering=0) as file:
        writer = FileTarWriter(file)
        wrong = BlobReader(BytesContent(b"data"), Descriptor("", digest_of(b"other"), 4))
        with pytest.raises(ContentMismatchError):
            writer.add_blob(wrong, str, lambda digest: False)
        writer.add_blob(known_blob(b"data"), str, lambda digest: False)
        writer.finish()
    assert members((tmp_path / "a.tar").read_bytes()) == [(str(digest_of(b"data")), b"data")]
