from __future__ import annotations

import functools
import hashlib
import itertools
import json
import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transship.errors import ContentMismatchError
from transship.plugin.compression import Compression
from transship_zstd.compression import transship_compressions

MIB = 1 << 20
LEVELS = [None, -(2**70), 0, 3, 6, 10, 2**70]


@pytest.fixture(scope="module")
def compression() -> Compression:
    return transship_compressions()[0]


def some_content(size):
    """Text that shrinks well, then bytes that do not."""
    source = random.Random(7)  # not for secrets
    words = [source.randbytes(4).hex().encode() for _ in range(400)]
    return b" ".join(source.choices(words, k=size // 18)) + source.randbytes(size // 2)


CONTENT = some_content(18 * MIB)


def compressed(compression, data, level=None, threads=2):
    return b"".join(compression.compress([data], level=level, threads=threads))


def decompressed(compression, chunks):
    return b"".join(bytes(piece) for piece in compression.decompress(chunks))


SKIPPABLE = b"\x53\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"extra"
EMPTY_SKIPPABLE = b"\x50\x2a\x4d\x18" + bytes(4)


def run_zstd(data, *options):
    return subprocess.run(["zstd", "-q", *options], input=data, capture_output=True, check=True).stdout


def frame(window_log, *blocks):
    """A frame without content size and checksum; a block is its type, its size and its bytes."""
    parts = [b"\x28\xb5\x2f\xfd\0", bytes([(window_log - 10) << 3])]
    for number, (kind, size, data) in enumerate(blocks, 1):
        parts.append(((number == len(blocks)) | kind << 1 | size << 3).to_bytes(3, "little") + data)
    return b"".join(parts)


RAW_BLOCK, REPEATED_BYTE = 0, 1


def test_it_is_known_as_container_tools_know_it(compression):
    assert (compression.name, compression.media_type_suffix, compression.levels) == ("zstd", "zstd", None)
    assert compressed(compression, b"").startswith(compression.magic)


@pytest.mark.interop
@pytest.mark.parametrize("threads", [0, 1, 2])
@pytest.mark.parametrize("data", [b"", b"x", CONTENT])
def test_zstd_reads_what_is_written(compression, data, threads):
    result = compressed(compression, data, threads=threads)
    assert run_zstd(result, "-d") == data
    assert decompressed(compression, [result]) == data


@pytest.mark.interop
@pytest.mark.parametrize("options", [["-1"], ["-9"], ["--no-check"], ["--long=27"]])
def test_what_zstd_writes_is_read(compression, options):
    assert decompressed(compression, [run_zstd(CONTENT, *options)]) == CONTENT


@pytest.mark.interop
@pytest.mark.parametrize("level", LEVELS)
def test_each_level_gives_back_the_content_and_has_a_checksum(compression, level):
    result = compressed(compression, CONTENT[:MIB], level)
    assert run_zstd(result, "-d") == CONTENT[:MIB]
    assert result[4] & 4


def test_four_speeds_are_behind_the_levels(compression):
    results = [compressed(compression, CONTENT[:MIB], level) for level in range(-1, 13)]
    changes = [number - 1 for number in range(1, 14) if results[number] != results[number - 1]]
    assert changes == [3, 6, 10]
    assert compressed(compression, CONTENT[:MIB]) == results[4]


@settings(max_examples=5, deadline=None)
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


def test_empty_content_has_one_form(compression):
    one, other = (b"".join(compression.compress(chunks, level=None, threads=2)) for chunks in ([], [b"", b""]))
    assert one == other


def test_bomb_comes_in_small_pieces(compression):
    bomb = compressed(compression, bytes(64 * MIB))
    sizes = [len(piece) for piece in compression.decompress([bomb])]
    assert sum(sizes) == 64 * MIB
    assert max(sizes) <= 4 * MIB


def test_densest_bomb_comes_in_small_pieces(compression):
    bomb = frame(17, *[(REPEATED_BYTE, 1 << 17, b"z")] * 512)
    sizes = [len(piece) for piece in compression.decompress([bomb])]
    assert sum(sizes) == 64 * MIB
    assert max(sizes) <= 4 * MIB


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_frames_in_a_row_are_all_read(compression, size):
    frames = [compressed(compression, data) for data in (b"one", b"", CONTENT[:5000])]
    data = EMPTY_SKIPPABLE + frames[0] + SKIPPABLE + SKIPPABLE + frames[1] + frames[2] + SKIPPABLE + EMPTY_SKIPPABLE
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    assert decompressed(compression, chunks) == b"one" + CONTENT[:5000]


def test_truncated_data_are_refused_wherever_they_end(compression):
    first, second = compressed(compression, CONTENT[:300]), compressed(compression, CONTENT[-300:])
    data = first + SKIPPABLE + second
    for end in set(range(len(data))) - {len(first), len(first + SKIPPABLE)}:
        with pytest.raises(ContentMismatchError):
            decompressed(compression, [data[:end]])


@pytest.mark.parametrize("position", [*range(4), *range(10, 200, 7), *range(-8, 0)])
def test_flipped_bit_is_noticed(compression, position):
    data = bytearray(compressed(compression, CONTENT[:3000]))
    data[position] ^= 0x40
    with pytest.raises(ContentMismatchError):
        decompressed(compression, [data])


@pytest.mark.parametrize("tail", [b"\0", bytes(512), b"\x28", b"garbage that is long enough"])
def test_what_is_no_frame_is_refused(compression, tail):
    with pytest.raises(ContentMismatchError):
        decompressed(compression, [compressed(compression, b"content"), tail])


def test_window_is_bounded(compression):
    assert decompressed(compression, [frame(27, (RAW_BLOCK, 3, b"abc"))]) == b"abc"
    with pytest.raises(ContentMismatchError):
        decompressed(compression, [frame(28, (RAW_BLOCK, 3, b"abc"))])


def test_nothing_is_no_zstd_data(compression):
    with pytest.raises(ContentMismatchError):
        decompressed(compression, [])


def test_compression_may_be_given_up(compression):
    pieces = compression.compress(itertools.repeat(CONTENT), level=1, threads=3)
    next(pieces)
    pieces.close()
    assert list(pieces) == []


def test_error_of_the_source_passes(compression):
    def failing():
        yield CONTENT
        raise ContentMismatchError("source")

    with pytest.raises(ContentMismatchError, match="source"):
        for _ in compression.compress(failing(), level=1, threads=2):
            pass


def test_description_names_library_and_version(compression):
    assert "libzstd" in compression.describe()["library"]
    assert compression.describe()["block size"]


def test_import_is_light():
    code = "import json, sys, transship_zstd.compression; print(json.dumps(list(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert not {"backports.zstd", "compression.zstd", "concurrent.futures"} & set(json.loads(result.stdout))
