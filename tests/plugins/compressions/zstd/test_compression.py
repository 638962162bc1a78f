"""What is zstd's own; the rest is in the contract."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest

from transship.errors import ContentMismatchError
from transship.plugin.compression import Compression
from transship_zstd.compression import transship_compressions

MIB = 1 << 20


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


@pytest.mark.interop
@pytest.mark.parametrize("options", [["-1"], ["-9"], ["--no-check"], ["--long=27"]])
def test_what_zstd_writes_is_read(compression, options):
    assert decompressed(compression, [run_zstd(CONTENT, *options)]) == CONTENT


@pytest.mark.parametrize("level", [None, -(2**70), 0, 3, 6, 10, 2**70])
def test_checksum_is_written_at_each_level(compression, level):
    assert compressed(compression, CONTENT[:1000], level)[4] & 4


def test_four_speeds_are_behind_the_levels(compression):
    results = [compressed(compression, CONTENT[:MIB], level) for level in range(-1, 13)]
    changes = [number - 1 for number in range(1, 14) if results[number] != results[number - 1]]
    assert changes == [3, 6, 10]
    assert compressed(compression, CONTENT[:MIB]) == results[4]


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


@pytest.mark.parametrize("tail", [b"\0", bytes(512)])
def test_what_is_no_frame_is_refused(compression, tail):
    with pytest.raises(ContentMismatchError):
        decompressed(compression, [compressed(compression, b"content"), tail])


def test_window_is_bounded(compression):
    assert decompressed(compression, [frame(27, (RAW_BLOCK, 3, b"abc"))]) == b"abc"
    with pytest.raises(ContentMismatchError):
        decompressed(compression, [frame(28, (RAW_BLOCK, 3, b"abc"))])


def test_description_names_library_and_version(compression):
    assert "libzstd" in compression.describe()["library"]
    assert compression.describe()["block size"]


def test_import_is_light():
    code = "import json, sys, transship_zstd.compression; print(json.dumps(list(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert not {"backports.zstd", "compression.zstd", "concurrent.futures"} & set(json.loads(result.stdout))
