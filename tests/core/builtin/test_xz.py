from __future__ import annotations

import lzma
import subprocess
from zlib import crc32

import pytest

from transship.builtin.xz import Xz, transship_compressions
from transship.errors import ContentMismatchError, UnsupportedError
from transship.plugin.compression import Compression
from transship.testing import CompressionContract

MIB = 1 << 20
CONTENT = b"".join(str(number).encode() for number in range(20_000))


@pytest.fixture
def compression() -> Compression:
    return transship_compressions()[0]


def decompressed(compression, chunks):
    return b"".join(bytes(piece) for piece in compression.decompress(chunks))


class TestXz(CompressionContract):
    @pytest.fixture
    def compression(self):
        return Xz()

    @pytest.fixture
    def compress_elsewhere(self):
        return lzma.compress


def test_it_reads_only(compression):
    assert (compression.name, compression.media_type_suffix, compression.can_compress) == ("xz", "", False)
    with pytest.raises(UnsupportedError, match="xz compression not supported"):
        compression.compress([], level=None, threads=1)


@pytest.mark.interop
@pytest.mark.parametrize("level", ["-1", "-9"])
def test_what_xz_writes_is_read(compression, level):
    result = subprocess.run(["xz", level], input=CONTENT, capture_output=True, check=True).stdout
    assert result.startswith(compression.magic)
    assert decompressed(compression, [result]) == CONTENT


@pytest.mark.parametrize("tail", [b"\0\0\0\0x"])
def test_what_is_no_stream_is_refused(compression, tail):
    with pytest.raises(ContentMismatchError):
        decompressed(compression, [lzma.compress(b"content"), tail])


@pytest.mark.parametrize("size", [1, 1000])
def test_padding_between_and_after_streams_is_passed_over(compression, size):
    data = lzma.compress(b"one") + bytes(4) + lzma.compress(b"two") + bytes(8)
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    assert decompressed(compression, chunks) == b"onetwo"


@pytest.mark.parametrize("data", [b"", bytes(4), bytes(4) + lzma.compress(b"one")])
def test_padding_without_a_stream_before_it_is_refused(compression, data):
    with pytest.raises(ContentMismatchError):
        decompressed(compression, [data])


def test_window_is_bounded(compression):
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 64 * MIB}]
    data = bytearray(lzma.compress(b"one", filters=filters))
    assert decompressed(compression, [data]) == b"one"
    begin, end = 12, 24  # the block's header: size, flags, filter, its properties, padding, checksum
    block = bytearray(data[begin:end])
    block[4] = 34  # a window of 256 MiB
    block[-4:] = crc32(block[:-4]).to_bytes(4, "little")
    data[begin:end] = block
    with pytest.raises(ContentMismatchError, match="emory"):
        decompressed(compression, [data])
