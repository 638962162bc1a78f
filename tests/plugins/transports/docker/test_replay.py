"""Blobs that can be sent again."""

from __future__ import annotations

import random

import pytest

from transship.errors import ContentMismatchError, TransportError
from transship.image.descriptor import Descriptor
from transship.image.digest import digest_of
from transship.plugin.blob import BlobReader, BytesContent, Expectation, FileContent
from transship_docker.replay import MEMORY_LIMIT, ReplayableBlob

DATA = random.Random(1).randbytes(MEMORY_LIMIT + (1 << 20) + 7)
SMALL = DATA[:1000]


def in_pieces(data, size=300_000):
    return [data[at : at + size] for at in range(0, len(data), size)]


def of_file(path, data):
    path.write_bytes(b"before" + data + b"after")
    return FileContent(path.open("rb", buffering=0), 6, len(data))


@pytest.fixture(params=["memory", "spool", "file"])
def kept(request, tmp_path):
    data = SMALL if request.param == "memory" else DATA
    source = of_file(tmp_path / "blob", data) if request.param == "file" else in_pieces(data)
    blob = ReplayableBlob(BlobReader(source, Expectation()), str(tmp_path))
    yield blob, data
    blob.close()
    if request.param == "file":
        source.close()


def test_all_comes_once_and_again(kept):
    blob, data = kept
    assert blob.size == -1
    assert b"".join(blob.pieces(0, None)) == data
    assert b"".join(blob.pieces(0, None)) == data
    assert blob.size == blob.end == len(data)
    assert blob.finish().digest == digest_of(data)


@pytest.mark.parametrize(("start", "stop"), [(0, 10), (5, 999), (0, None), (999, None), (0, 0)])
def test_parts_come_before_and_after_all_was_read(kept, start, stop):
    blob, data = kept
    blob.read_until(start)
    assert b"".join(blob.pieces(start, stop)) == data[start:stop]
    blob.read_until(None)
    assert b"".join(blob.pieces(start, stop)) == data[start:stop]


def test_random_walks_give_the_bytes(kept):
    blob, data = kept
    walk = random.Random(2)
    for _ in range(20):
        start = walk.randint(0, blob.end)
        stop = walk.choice([None, walk.randint(start, len(data))])
        taken = b"".join(piece for piece, _ in zip(blob.pieces(start, stop), range(walk.randint(0, 6)), strict=False))
        assert data[start : len(data) if stop is None else stop].startswith(taken)
        assert blob.can_replay(start)
    assert b"".join(blob.pieces(0, None)) == data


def test_nothing_is_left_on_disk(tmp_path):
    blob = ReplayableBlob(BlobReader(in_pieces(DATA), Expectation()), str(tmp_path))
    blob.read_until(None)
    assert list(tmp_path.iterdir()) == []
    blob.close()


def test_without_room_all_comes_once(tmp_path):
    blob = ReplayableBlob(BlobReader(in_pieces(DATA), Expectation()), str(tmp_path / "missing"))
    assert b"".join(blob.pieces(0, None)) == DATA
    assert not blob.can_replay(0)
    assert blob.can_replay(len(DATA) - 1)
    assert b"".join(blob.pieces(len(DATA) - 1, None)) == DATA[-1:]
    with pytest.raises(TransportError, match="cannot be sent again"):
        list(blob.pieces(0, None))


def test_what_the_blob_raises_is_told_apart():
    blob = ReplayableBlob(BlobReader(BytesContent(b"wrong"), Descriptor("", digest_of(b"right"), 5)), "")
    with pytest.raises(ContentMismatchError) as caught:
        list(blob.pieces(0, None))
    assert blob.failure is caught.value


def test_a_file_that_shrinks_is_noticed(tmp_path):
    content = of_file(tmp_path / "blob", DATA)
    blob = ReplayableBlob(BlobReader(content, Expectation()), "")
    blob.read_until(None)
    (tmp_path / "blob").write_bytes(b"")
    with pytest.raises(TransportError, match="became shorter"):
        list(blob.pieces(0, None))
    content.close()
