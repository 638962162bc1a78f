"""What every compression algorithm must do, as a test class to subclass.

    class TestLz4(CompressionContract):
        @pytest.fixture
        def compression(self):
            return Lz4()

        @pytest.fixture
        def compress_elsewhere(self):
            return lz4.frame.compress

        @pytest.fixture
        def decompress_elsewhere(self):
            return lz4.frame.decompress

The class says what each fixture is to give.
"""
# ruff: noqa: S101, S311 - assert is how tests speak, and what they compress is no secret

from __future__ import annotations

import itertools
import random
import re
import threading
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from transship.errors import ContentMismatchError, UnsupportedError
from transship.plugin.blob import Buffer
from transship.plugin.compression import Compression
from transship.testing.contracts.pieces import cut, reused_pieces

Elsewhere = Callable[[bytes], bytes]

_MIB = 1 << 20
_LARGEST_PIECE = 4 * _MIB
_BOMB_SIZE = 64 * _MIB
_MEMORY = 16 * _MIB
_MOST_INPUT = 64 * _MIB
_THREADS = 4


class CompressionContract:
    """Subclass it and give a fixture ``compression``.

    Two more, ``compress_elsewhere`` and ``decompress_elsewhere``, do so with bytes in one go, by another program or
    library: to read what others write, and to be read by them, is the point of a compression. Without them the
    algorithm is only compared with itself; one that only decompresses must have the first.

    ``content_size`` should be more than what one thread compresses at a time, or nothing shows that threads do not
    change the output. ``detects_damage`` is False for a format without checksums, which may not notice a wrong bit.
    """

    content_size: int = 3 * _MIB
    detects_damage: bool = True

    @pytest.fixture
    def compress_elsewhere(self, compression: Compression) -> Elsewhere:
        """Compresses bytes in one go."""
        return lambda data: _compressed(compression, [data])

    @pytest.fixture
    def decompress_elsewhere(self, compression: Compression) -> Elsewhere:
        """Decompresses bytes in one go."""
        return lambda data: _decompressed(compression, [data])

    def test_what_it_says_of_itself_is_well_formed(self, compression: Compression) -> None:
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*", compression.name)
        assert re.fullmatch(r"(?:[a-z0-9][a-z0-9.-]*)?", compression.media_type_suffix)
        assert isinstance(compression.magic, bytes)
        assert compression.magic
        if compression.levels is not None:
            lowest, highest = compression.levels
            assert lowest <= highest
        described = dict(compression.describe())
        assert all(isinstance(text, str) and text for pair in described.items() for text in pair)
        assert described == dict(compression.describe())

    def test_data_begin_with_its_magic(self, compression: Compression, compress_elsewhere: Elsewhere) -> None:
        for data in (b"", b"x", _content(1000)):
            assert compress_elsewhere(data).startswith(compression.magic)
            if compression.can_compress:
                assert _compressed(compression, [data]).startswith(compression.magic)

    def test_what_others_write_is_read(self, compression: Compression, compress_elsewhere: Elsewhere) -> None:
        for size in (0, 1, 1000, 100_000):
            data = compress_elsewhere(_content(size))
            for length in (1, 7, len(data)) if size < 100_000 else (1000, len(data)):
                assert _same(_decompressed(compression, reused_pieces(data, length)), _content(size))

    def test_content_comes_back(self, compression: Compression, decompress_elsewhere: Elsewhere) -> None:
        if not compression.can_compress:
            with pytest.raises(UnsupportedError):
                _compressed(compression, [b"content"])
            return
        for size in (0, 1, 1000, self.content_size):
            content = _content(size)
            packed = _compressed(compression, [content])
            assert _same(_decompressed(compression, [packed]), decompress_elsewhere(packed), content)

    def test_every_level_gives_back_the_content(
        self, compression: Compression, decompress_elsewhere: Elsewhere
    ) -> None:
        if compression.can_compress:
            content = _content(100_000)
            for level in (None, *_levels(compression)):
                packed = _compressed(compression, [content], level=level)
                found = _decompressed(compression, [packed])
                assert _same(found, decompress_elsewhere(packed), content), f"level {level}"

    def test_levels_make_a_difference(self, compression: Compression) -> None:
        if compression.can_compress and compression.levels is not None:
            lowest, highest = compression.levels
            forms = [_compressed(compression, [_two_letters(100_000)], level=level) for level in (lowest, highest)]
            assert lowest == highest or not _same(*forms)

    def test_level_out_of_range_is_refused(self, compression: Compression) -> None:
        if compression.can_compress and compression.levels is not None:
            lowest, highest = compression.levels
            for level in (lowest - 1, highest + 1, -(2**70), 2**70):
                with pytest.raises(UnsupportedError):
                    _compressed(compression, [b"content"], level=level)

    def test_output_depends_on_content_and_level_alone(self, compression: Compression) -> None:
        if compression.can_compress:
            content = _content(self.content_size)
            expected = _compressed(compression, [content], threads=1)
            assert _same(_compressed(compression, [content], threads=1), expected)
            for threads in (2, _THREADS):
                assert _same(_compressed(compression, [content], threads=threads), expected), f"{threads} threads"
            for length in (10_007, _MIB, 1_500_000):
                assert _same(_compressed(compression, reused_pieces(content, length), threads=2), expected)
            for level in _levels(compression):
                one = _compressed(compression, [content], level=level, threads=1)
                other = _compressed(compression, reused_pieces(content, 700_001), level=level, threads=3)
                assert _same(one, other), f"level {level}"

    def test_empty_content_has_one_form(self, compression: Compression) -> None:
        if compression.can_compress:
            forms = {_compressed(compression, chunks) for chunks in ([], [b""], [b"", b""])}
            assert len(forms) == 1
            assert _decompressed(compression, forms) == b""

    def test_empty_pieces_of_input_change_nothing(
        self, compression: Compression, compress_elsewhere: Elsewhere
    ) -> None:
        packed = compress_elsewhere(b"content")
        assert _decompressed(compression, [b"", packed[:5], b"", packed[5:], b""]) == b"content"
        if compression.can_compress:
            whole = _compressed(compression, [b"content"])
            assert _compressed(compression, [b"", b"con", b"", b"tent", b""]) == whole

    def test_members_in_a_row_are_all_read(self, compression: Compression, compress_elsewhere: Elsewhere) -> None:
        contents = [b"one", b"", _content(5000), b"four"]
        data = b"".join(map(compress_elsewhere, contents))
        for length in (1, 3, 1000, len(data)):
            assert _same(_decompressed(compression, reused_pieces(data, length)), b"".join(contents))

    def test_truncated_data_are_refused_wherever_they_end(
        self, compression: Compression, compress_elsewhere: Elsewhere
    ) -> None:
        first, second = compress_elsewhere(_content(300)), compress_elsewhere(b"more")
        data = first + second
        for end in set(range(len(data))) - {len(first)}:
            with pytest.raises(ContentMismatchError):
                _decompressed(compression, [data[:end]])

    def test_damage_is_noticed(self, compression: Compression, compress_elsewhere: Elsewhere) -> None:
        content = _content(1000)
        data = compress_elsewhere(content)
        for position in range(0, len(data), 1 + len(data) // 200):
            damaged = bytearray(data)
            damaged[position] ^= 0x40
            try:
                found = _decompressed(compression, [damaged])
            except ContentMismatchError:
                continue
            assert not self.detects_damage or _same(found, content), f"a wrong bit in byte {position} was not noticed"

    def test_what_is_no_member_is_refused(self, compression: Compression, compress_elsewhere: Elsewhere) -> None:
        garbage = (b"x", b"garbage that is long enough", compression.magic + b"\xff" * 100)
        for data in (b"", *garbage):
            with pytest.raises(ContentMismatchError):
                _decompressed(compression, [data])
        member = compress_elsewhere(b"content")
        for tail in (compression.magic, *garbage):
            for chunks in ([member, tail], [member + tail]):
                with pytest.raises(ContentMismatchError):
                    _decompressed(compression, chunks)

    def test_a_bomb_comes_in_small_pieces_and_constant_memory(
        self, compression: Compression, compress_elsewhere: Elsewhere
    ) -> None:
        small = compress_elsewhere(bytes(_MIB))
        for bomb in (compress_elsewhere(bytes(_BOMB_SIZE)), small * (_BOMB_SIZE // _MIB)):
            tracemalloc.start()
            try:
                sizes = [len(piece) for piece in compression.decompress([bomb])]
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert sum(sizes) == _BOMB_SIZE
            assert max(sizes) <= _LARGEST_PIECE
            assert peak < _MEMORY

    def test_output_begins_long_before_the_input_ends(
        self, compression: Compression, compress_elsewhere: Elsewhere
    ) -> None:
        member = compress_elsewhere(_random(_MIB))
        self._check_lazy(compression.decompress(_bounded(member)))
        if compression.can_compress:
            self._check_lazy(compression.compress(_bounded(_random(_MIB)), level=None, threads=2))

    def test_error_of_the_source_passes(self, compression: Compression, compress_elsewhere: Elsewhere) -> None:
        for error in (OSError("source"), ContentMismatchError("source")):
            begun = compress_elsewhere(_content(5000))[:100]
            with pytest.raises(type(error), match=r"^source$"):
                _decompressed(compression, _failing(begun, error))
            if compression.can_compress:
                with pytest.raises(type(error), match=r"^source$"):
                    _compressed(compression, _failing(_content(self.content_size), error))

    def test_nothing_goes_on_when_nobody_wants_more(
        self, compression: Compression, compress_elsewhere: Elsewhere
    ) -> None:
        before = threading.active_count()
        member = compress_elsewhere(_random(_MIB))
        self._check_lazy(compression.decompress(_bounded(member)))
        with pytest.raises(OSError, match="source"):
            _decompressed(compression, _failing(member, OSError("source")))
        assert threading.active_count() == before
        if compression.can_compress:
            self._check_lazy(compression.compress(_bounded(_random(_MIB)), level=None, threads=3))
            with pytest.raises(OSError, match="source"):
                _compressed(compression, _failing(_content(self.content_size), OSError("source")), threads=3)
            assert threading.active_count() == before

    def test_several_threads_may_use_it_at_once(self, compression: Compression, compress_elsewhere: Elsewhere) -> None:
        contents = [_content(1000 * number) for number in range(1, 13)]

        def there_and_back(content: bytes) -> bytes:
            packed = compress_elsewhere(content)
            if compression.can_compress:
                packed += _compressed(compression, reused_pieces(content, 999))
            return _decompressed(compression, reused_pieces(packed, 777))

        with ThreadPoolExecutor(_THREADS) as pool:
            results = list(pool.map(there_and_back, contents))
        copies = 2 if compression.can_compress else 1
        assert all(map(_same, results, [content * copies for content in contents]))

    def _check_lazy(self, pieces: Iterator[Buffer]) -> None:
        for piece in pieces:
            if len(piece):
                break
        else:
            raise AssertionError("nothing came out")
        if hasattr(pieces, "close"):
            pieces.close()


def _same(first: bytes, *others: bytes) -> bool:
    """Whether all are equal: where these are compared by an assertion, pytest takes minutes to say how they differ."""
    return all(other == first for other in others)


def _levels(compression: Compression) -> Iterable[int]:
    """All levels, or the ends of a long or open range."""
    if compression.levels is None:
        return (-(2**70), 2**70)
    lowest, highest = compression.levels
    return range(lowest, highest + 1) if highest - lowest < 30 else (lowest, (lowest + highest) // 2, highest)


def _content(size: int) -> bytes:
    """Text that shrinks well, then bytes that do not."""
    source = random.Random(7)
    words = [source.randbytes(4).hex().encode() for _ in range(400)]
    text = b" ".join(source.choices(words, k=size // 18 + 1))
    return (text[: size // 2] + source.randbytes(size))[:size]


def _two_letters(size: int) -> bytes:
    """Text in which the longer one looks the longer is what one finds again."""
    return bytes(random.Random(5).choices(b"ab", k=size))


def _random(size: int) -> bytes:
    return random.Random(11).randbytes(size)


def _compressed(
    compression: Compression, chunks: Iterable[Buffer], *, level: int | None = None, threads: int = 2
) -> bytes:
    return b"".join(map(bytes, compression.compress(chunks, level=level, threads=threads)))


def _decompressed(compression: Compression, chunks: Iterable[Buffer]) -> bytes:
    return b"".join(map(bytes, compression.decompress(chunks)))


def _bounded(data: bytes) -> Iterator[Buffer]:
    """``data`` again and again; whoever takes too many before giving anything fails."""
    yield from itertools.repeat(data, _MOST_INPUT // len(data))
    raise AssertionError(f"{_MOST_INPUT >> 20} MiB were read before anything came out")


def _failing(data: bytes, error: Exception) -> Iterator[Buffer]:
    yield from cut(data, _MIB)
    raise error
