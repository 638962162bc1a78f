"""What is gzip's own; the rest is in the contract."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import pytest

from transship.errors import ContentMismatchError
from transship.plugin.compression import Compression
from transship_gzip.compression import BLOCK_SIZE, transship_compressions

MIB = 1 << 20


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


@pytest.mark.interop
@pytest.mark.parametrize("level", ["-1", "-6", "-9"])
def test_what_gzip_writes_is_read(compression, level):
    result = subprocess.run(["gzip", level], input=CONTENT, capture_output=True, check=True).stdout
    assert decompressed(compression, [result]) == CONTENT


def test_higher_levels_make_less(compression):
    modules = sorted(Path(json.__file__).parent.parent.glob("*.py"))
    text = b"".join(module.read_bytes() for module in modules)[:MIB]
    sizes = [len(compressed(compression, text, level)) for level in (0, 1, 6, 7, 9)]
    assert sizes == sorted(sizes, reverse=True)
    assert compressed(compression, CONTENT) == compressed(compression, CONTENT, -1)


def test_threads_are_used(compression):
    before = threading.active_count()
    pieces = compression.compress(itertools.repeat(CONTENT), level=1, threads=3)
    next(pieces)
    assert threading.active_count() > before
    pieces.close()


def test_many_processors_do_not_fill_the_memory(compression):
    before = threading.active_count()
    pieces = compression.compress(itertools.repeat(CONTENT), level=9, threads=64)
    next(pieces)
    assert threading.active_count() <= before + 16
    pieces.close()


def test_what_is_done_is_given_out_while_more_is_awaited(compression):
    awaited = itertools.count()

    def slow_blocks():
        while next(awaited) < 40:
            yield bytes(BLOCK_SIZE)
            time.sleep(0.05)

    pieces = compression.compress(slow_blocks(), level=None, threads=16)
    next(pieces)
    pieces.close()
    assert next(awaited) < 30


def test_header_tells_nothing_of_time_and_place(compression):
    begin = compressed(compression, b"content")[:10]
    assert begin[3:8] == bytes(5)
    assert begin[9] == 255


@pytest.mark.parametrize("flags", range(32))
def test_header_may_be_cut_anywhere(compression, flags):
    data = header(flags) + BODY
    for cut in range(len(data)):
        assert decompressed(compression, [data[:cut], data[cut:]]) == b"hello " * 20


def test_truncated_header_is_refused_wherever_it_ends(compression):
    data = header(30) + BODY
    for end in range(len(data)):
        with pytest.raises(ContentMismatchError):
            decompressed(compression, [data[:end]])


@pytest.mark.parametrize("tail", [b"\0", bytes(512), b"\x1f\x8b\x07" + bytes(20)])
def test_what_is_no_member_is_refused(compression, tail):
    with pytest.raises(ContentMismatchError):
        decompressed(compression, [gzip.compress(b"content"), tail])


@pytest.mark.parametrize(
    "data",
    [
        header(0x20) + BODY,
        header(2, checksum=0x1234) + BODY,
        b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 300_000,
    ],
)
def test_wrong_header_is_refused(compression, data):
    with pytest.raises(ContentMismatchError):
        decompressed(compression, [data])


def test_description_names_library_and_version(compression):
    assert "deflate" in compression.describe()["library"]
    assert compression.describe()["block size"] == str(BLOCK_SIZE)


def test_import_is_light():
    code = "import json, sys, transship_gzip.compression; print(json.dumps(list(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert not {"isal", "deflate", "concurrent.futures"} & set(json.loads(result.stdout))
