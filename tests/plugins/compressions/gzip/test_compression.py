from __future__ import annotations

import functools
import gzip
import hashlib
import itertools
import json
import random
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transship.errors import ContentMismatchError, UnsupportedError
from transship.plugin.compression import Compression
from transship_gzip.compression import BLOCK_SIZE, transship_compressions

MIB = 1 << 20
LEVELS = [None, *range(-2, 10)]


@pytest.fixture(scope="module")
def compression() -> Compression:
    return transship_compressions()[0]


def some_content(size):
    """Text that shrinks well, then bytes that do not."""
    source = random.Random(7)  # not for secrets
    words = [source.randbytes(4).hex().encode() for _ in range(400)]
    return b" ".join(source.choices(words, k=size // 18)) + source.randbytes(size // 2)


CONTENT = some_content(5 * BLOCK_SIZE // 2)


def compressed(compression, data, level=None, threads=2):
    return b"".join(compression.compress([data], level=level, threads=threads))


def decompressed(compression, chunks):
    return b"".join(bytes(piece) for piece in compression.decompress(chunks))


def header(flags, checksum=None):
    data = b"\x1f\x8b\x08" + bytes([flags]) + bytes(5) + b"\xff"
    data += struct.pack("<H", 3) + b"a\0b" if flags & 4 else b""
    data += b"name\0" if flags & 8 else b""
    data += b"comment\0" if flags & 16 else b""
    if flags & 2:
        data += struct.pack("<H", (zlib.crc32(data) & 0xFFFF) if checksum is None else checksum)
    return data


BODY = gzip.compress(b"hello " * 20)[10:]


def test_it_is_known_as_container_tools_know_it(compression):
    assert (compression.name, compression.media_type_suffix, compression.levels) == ("gzip", "gzip", (-2, 9))
    assert gzip.compress(b"").startswith(compression.magic)


@pytest.mark.interop
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("data", [b"", b"x", CONTENT[:BLOCK_SIZE], CONTENT])
def test_gunzip_reads_what_is_written(compression, data, threads):
    result = compressed(compression, data, threads=threads)
    assert subprocess.run(["gunzip"], input=result, capture_output=True, check=True).stdout == data
    assert decompressed(compression, [result]) == data


@pytest.mark.interop
@pytest.mark.parametrize("level", ["-1", "-6", "-9"])
def test_what_gzip_writes_is_read(compression, level):
    result = subprocess.run(["gzip", level], input=CONTENT, capture_output=True, check=True).stdout
    assert decompressed(compression, [result]) == CONTENT


@pytest.mark.parametrize("level", LEVELS)
def test_each_level_gives_back_the_content(compression, level):
    result = compressed(compression, CONTENT[:1_200_000], level)
    assert gzip.decompress(result) == CONTENT[:1_200_000]


def test_higher_levels_make_less(compression):
    modules = sorted(Path(json.__file__).parent.parent.glob("*.py"))
    text = b"".join(module.read_bytes() for module in modules)[:MIB]
    sizes = [len(compressed(compression, text, level)) for level in (0, 1, 6, 7, 9)]
    assert sizes == sorted(sizes, reverse=True)
    assert compressed(compression, CONTENT) == compressed(compression, CONTENT, -1)


@pytest.mark.parametrize("level", [-3, 10, 2**70])
def test_unknown_level_is_refused_at_once(compression, level):
    with pytest.raises(UnsupportedError):
        compression.compress([], level=level, threads=1)


def test_header_tells_nothing_of_time_and_place(compression):
    begin = compressed(compression, b"content")[:10]
    assert begin[3:8] == bytes(5)
    assert begin[9] == 255


@settings(max_examples=12, deadline=None)
@given(
    cuts=st.lists(st.integers(0, len(CONTENT)), max_size=6),
    level=st.sampled_from([None, 1]),
    threads=st.sampled_from([1, 2, 4]),
)
def test_output_depends_on_nothing_but_content_and_level(cuts, level, threads):
    compression = transship_compressions()[0]
    edges = [0, *sorted(cuts), len(CONTENT)]
    reused = bytearray(len(CONTENT))

    def chunks():
        for start, end in itertools.pairwise(edges):
            reused[: end - start] = CONTENT[start:end]
            yield memoryview(reused)[: end - start]
            reused[: end - start] = bytes(end - start)

    result = b"".join(compression.compress(chunks(), level=level, threads=threads))
    assert hashlib.sha256(result).digest() == reference_digest(level)


@functools.cache
def reference_digest(level):
    return hashlib.sha256(compressed(transship_compressions()[0], CONTENT, level, 1)).digest()


def test_bomb_comes_in_small_pieces(compression):
    zeros = bytes(MIB)
    bomb = b"".join(compression.compress(itertools.repeat(zeros, 64), level=1, threads=2))
    sizes = [len(piece) for piece in compression.decompress([bomb])]
    assert sum(sizes) == 64 * MIB
    assert max(sizes) <= 4 * MIB


def test_bomb_of_one_member_comes_in_small_pieces(compression):
    sizes = [len(piece) for piece in compression.decompress([gzip.compress(bytes(64 * MIB), 1)])]
    assert sum(sizes) == 64 * MIB
    assert max(sizes) <= 4 * MIB


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_members_in_a_row_are_all_read(compression, size):
    data = gzip.compress(b"one") + gzip.compress(b"") + header(8) + BODY + gzip.compress(CONTENT[:5000])
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    assert decompressed(compression, chunks) == b"one" + b"hello " * 20 + CONTENT[:5000]


@pytest.mark.parametrize("flags", range(32))
def test_header_may_be_cut_anywhere(compression, flags):
    data = header(flags) + BODY
    for cut in range(len(data)):
        assert decompressed(compression, [data[:cut], data[cut:]]) == b"hello " * 20


def test_truncated_data_are_refused_wherever_they_end(compression):
    first, second = header(30) + BODY, compressed(compression, CONTENT[:3000])
    data = first + second
    for end in set(range(len(data))) - {len(first)}:
        with pytest.raises(ContentMismatchError):
            decompressed(compression, [data[:end]])


@pytest.mark.parametrize("position", [*range(4), *range(10, 200, 7), *range(-8, 0)])
def test_flipped_bit_is_noticed(compression, position):
    data = bytearray(compressed(compression, CONTENT[:3000]))
    data[position] ^= 0x40
    with pytest.raises(ContentMismatchError):
        decompressed(compression, [data])


@pytest.mark.parametrize(
    "tail", [b"\0", bytes(512), b"\x1f", b"garbage that is long enough", b"\x1f\x8b\x07" + bytes(20)]
)
def test_what_is_no_member_is_refused(compression, tail):
    with pytest.raises(ContentMismatchError):
        decompressed(compression, [gzip.compress(b"content"), tail])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        header(0x20) + BODY,
        header(2, checksum=0x1234) + BODY,
        b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 300_000,
    ],
)
def test_wrong_header_is_refused(compression, data):
    with pytest.raises(ContentMismatchError):
        decompressed(compression, [data])


def test_threads_end_when_nobody_wants_more(compression):
    before = threading.active_count()
    pieces = compression.compress(itertools.repeat(CONTENT), level=1, threads=3)
    next(pieces)
    assert threading.active_count() > before
    pieces.close()
    assert threading.active_count() == before


def test_failing_source_ends_the_threads_and_shows_its_error(compression):
    def failing():
        yield CONTENT
        yield CONTENT
        raise ContentMismatchError("source")

    before = threading.active_count()
    with pytest.raises(ContentMismatchError, match="source"):
        for _ in compression.compress(failing(), level=1, threads=2):
            pass
    assert threading.active_count() == before


def test_error_of_the_source_passes_decompression(compression):
    def failing():
        yield gzip.compress(CONTENT)[:1000]
        raise OSError("source")

    with pytest.raises(OSError, match="source"):
        decompressed(compression, failing())


def test_description_names_library_and_version(compression):
    assert "deflate" in compression.describe()["library"]
    assert compression.describe()["block size"] == str(BLOCK_SIZE)


def test_import_is_light():
    code = "import json, sys, transship_gzip.compression; print(json.dumps(list(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert not {"isal", "deflate", "concurrent.futures"} & set(json.loads(result.stdout))
