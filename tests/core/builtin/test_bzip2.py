from __future__ import annotations

import bz2
import subprocess

import pytest

from transship.builtin.bzip2 import transship_compressions
from transship.errors import ContentMismatchError, UnsupportedError
from transship.plugin.compression import Compression

MIB = 1 << 20
CONTENT = b"".join(str(number).encode() for number in range(20_000))


@pytest.fixture
def compression() -> Compression:
    return transship_compressions()[0]


def decompressed(compression, chunks):
    return b"".join(bytes(piece) for piece in compression.decompress(chunks))


def test_it_reads_only(compression):
    assert (compression.name, compression.media_type_suffix, compression.can_compress) == ("bzip2", "", False)
    with pytest.raises(UnsupportedError, match="bzip2 compression not supported"):
        compression.compress([], level=None, threads=1)


@pytest.mark.interop
@pytest.mark.parametrize("level", ["-1", "-9"])
def test_what_bzip2_writes_is_read(compression, level):
    result = subprocess.run(["bzip2", level], input=CONTENT, capture_output=True, check=True).stdout
    assert result.startswith(compression.magic)
    assert decompressed(compression, [result]) == CONTENT


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_streams_in_a_row_are_all_read(compression, size):
    data = bz2.compress(b"one") + bz2.compress(b"") + bz2.compress(CONTENT)
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    assert decompressed(compression, chunks) == b"one" + CONTENT


def test_bomb_comes_in_small_pieces(compression):
    sizes = [len(piece) for piece in compression.decompress([bz2.compress(bytes(16 * MIB))])]
    assert sum(sizes) == 16 * MIB
    assert max(sizes) <= 4 * MIB


def test_truncated_data_are_refused_wherever_they_end(compression):
    data = bz2.compress(CONTENT[:1000])
    for end in range(len(data)):
        with pytest.raises(ContentMismatchError):
            decompressed(compression, [data[:end]])


@pytest.mark.parametrize("position", [0, 1, 2, 3, *range(20, 300, 13)])
def test_flipped_bit_is_noticed(compression, position):
    data = bytearray(bz2.compress(CONTENT[:1000]))
    data[position] ^= 0x40
    with pytest.raises(ContentMismatchError):
        decompressed(compression, [data])


@pytest.mark.parametrize("tail", [b"garbage", b"\0", bytes(4)])
def test_what_is_no_stream_is_refused(compression, tail):
    with pytest.raises(ContentMismatchError):
        decompressed(compression, [bz2.compress(b"content"), tail])


def test_error_of_the_source_passes(compression):
    def failing():
        yield bz2.compress(CONTENT)[:100]
        raise OSError("source")

    with pytest.raises(OSError, match="source"):
        decompressed(compression, failing())
