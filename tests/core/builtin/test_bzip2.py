from __future__ import annotations

import bz2
import subprocess

import pytest

from transship.builtin.bzip2 import Bzip2, transship_compressions
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


class TestBzip2(CompressionContract):
    @pytest.fixture
    def compression(self):
        return Bzip2()

    @pytest.fixture
    def compress_elsewhere(self):
        return bz2.compress


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


@pytest.mark.parametrize("tail", [b"\0", bytes(4)])
def test_what_is_no_stream_is_refused(compression, tail):
    with pytest.raises(ContentMismatchError):
        decompressed(compression, [bz2.compress(b"content"), tail])
