"""gzip: written by libdeflate as one member per block, at the fastest level by ISA-L, which also reads it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain, islice

from transship import hookimpl
from transship.errors import ContentMismatchError, UnsupportedError
from transship.plugin.blob import Buffer
from transship.plugin.compression import Compression, MemberDecoder, decompress_members

BLOCK_SIZE = 2 << 20

_MOST_THREADS = 16  # for each there are two blocks in memory
_DEFAULT_LEVEL = -1
_FASTEST_LEVEL = 1
_ISAL_LEVEL = 1
_GZIP_FORMAT = 31  # the number that zlib gave it
_LIBRARY_LEVELS = {
    -2: (1, 1),
    -1: (1, 2),
    0: (0, 0),
    2: (1, 1),
    3: (2, 4),
    4: (2, 4),
    5: (2, 4),
    6: (2, 4),
    7: (6, 6),
    8: (8, 8),
    9: (10, 10),
}
"""libdeflate's level for each level of gzip: for ordinary blocks, and for those that shrink well.

On layers of usual content each makes less than klauspost's gzip, which container tools use, at the same level.
Well-shrinking blocks (source code, say) gain much from a higher level and cost little time. Level 1 is ISA-L's: as
fast again as libdeflate's, and still less than klauspost's, but its bytes may differ from processor to processor.
"""
_SAMPLE_SIZE = 8 << 10
_SAMPLE_LEVEL = 1
_SHRINKS_WELL = 0.4

_MAXIMUM_HEADER_SIZE = 256 << 10
_HEADER_CHECKSUM, _EXTRA_FIELD, _NAME, _COMMENT, _RESERVED = 2, 4, 8, 16, 0xE0


class Gzip(Compression):
    """gzip (RFC 1952). Levels are those of Go's library: -2 to 9, -1 is the default."""

    name = "gzip"
    magic = b"\x1f\x8b\x08"
    media_type_suffix = "gzip"
    levels = (-2, 9)

    def decompress(self, chunks: Iterable[Buffer]) -> Iterator[Buffer]:
        from isal.igzip_lib import IsalError

        damage: type[Exception] = IsalError  # type: ignore[assignment]  # isal's stub says: an instance
        return decompress_members(chunks, _Member, name=self.name, damage=damage)

    def compress(self, chunks: Iterable[Buffer], *, level: int | None, threads: int) -> Iterator[Buffer]:
        work = _member_maker(_DEFAULT_LEVEL if level is None else level)
        return _mapped(work, _blocks(chunks), min(threads, _MOST_THREADS))

    def describe(self) -> Mapping[str, str]:
        import deflate
        import isal

        return {
            "library": f"deflate {deflate.__version__} (libdeflate)",
            "default level": "libdeflate {}, {} for what shrinks well".format(*_LIBRARY_LEVELS[_DEFAULT_LEVEL]),
            "level 1": f"isal {isal.__version__} (ISA-L) {_ISAL_LEVEL}, whose bytes also depend on the processor",
            "block size": str(BLOCK_SIZE),
        }


class _Member:
    """One gzip member being read.

    ISA-L loses its way in a header that comes in pieces, so the header is read here and the library starts
    after it. It compares checksum and size at the member's end.
    """

    def __init__(self) -> None:
        self._header = b""
        self._body: MemberDecoder | None = None

    @property
    def eof(self) -> bool:
        return self._body is not None and self._body.eof

    @property
    def needs_input(self) -> bool:
        return self._body is None or self._body.needs_input

    @property
    def unused_data(self) -> Buffer:
        return b"" if self._body is None else self._body.unused_data

    def decompress(self, data: Buffer, max_length: int) -> Buffer:
        if self._body is not None:
            return self._body.decompress(data, max_length)
        self._header += data
        size = _header_size(self._header)
        if size is None and len(self._header) < _MAXIMUM_HEADER_SIZE:
            return b""
        if size is None:
            raise ContentMismatchError("decompressing gzip data: the header is too long")
        from isal.igzip_lib import DECOMP_GZIP_NO_HDR_VER, IgzipDecompressor

        self._body = IgzipDecompressor(flag=DECOMP_GZIP_NO_HDR_VER)
        return self._body.decompress(self._header[size:], max_length)


def _header_size(start: bytes) -> int | None:
    """The size of the gzip header that ``start`` begins with (RFC 1952, 2.3); None if it is not all there."""
    if not Gzip.magic.startswith(start[:3]):
        raise ContentMismatchError("decompressing gzip data: invalid header")
    if len(start) < 12:  # the shortest member is longer
        return None
    flags, size = start[3], 10
    if flags & _RESERVED:
        raise ContentMismatchError("decompressing gzip data: unknown flags in the header")
    if flags & _EXTRA_FIELD:
        size += 2 + int.from_bytes(start[10:12], "little")
    for text in (_NAME, _COMMENT):
        if flags & text:
            size = start.find(b"\0", size) + 1
            if not size:
                return None
    if flags & _HEADER_CHECKSUM:
        size += 2
    if size > len(start):
        return None
    if flags & _HEADER_CHECKSUM and not _header_is_right(start[:size]):
        raise ContentMismatchError("decompressing gzip data: the header's checksum is wrong")
    return size


def _header_is_right(header: bytes) -> bool:
    from zlib import crc32

    return crc32(header[:-2]) & 0xFFFF == int.from_bytes(header[-2:], "little")


def _member_maker(level: int) -> Callable[[Buffer], Buffer]:
    if level == _FASTEST_LEVEL:
        return _fast_member
    if level not in _LIBRARY_LEVELS:
        raise UnsupportedError(f"gzip compression level {level} is not one of -2 to 9")
    return partial(_member, levels=_LIBRARY_LEVELS[level])


def _fast_member(block: Buffer) -> Buffer:
    from isal.isal_zlib import compress

    return compress(block, _ISAL_LEVEL, wbits=_GZIP_FORMAT)


def _member(block: Buffer, levels: tuple[int, int]) -> Buffer:
    from deflate import gzip_compress

    ordinary, well_shrinking = levels
    if ordinary == well_shrinking:
        return gzip_compress(block, ordinary)
    middle = len(block) // 2
    sample = memoryview(block)[middle : middle + _SAMPLE_SIZE]
    shrinks_well = len(gzip_compress(sample, _SAMPLE_LEVEL)) < _SHRINKS_WELL * len(sample)
    return gzip_compress(block, well_shrinking if shrinks_well else ordinary)


def _blocks(chunks: Iterable[Buffer]) -> Iterator[Buffer]:
    """``chunks`` cut anew into blocks of one size, at least one; each is the taker's own."""
    parts: list[bytes] = []
    missing = BLOCK_SIZE
    for chunk in chunks:
        rest = memoryview(chunk)
        while len(rest) > missing:
            yield b"".join((*parts, rest[:missing]))
            rest, parts, missing = rest[missing:], [], BLOCK_SIZE
        parts.append(chunk if len(rest) == len(chunk) and isinstance(chunk, bytes) else bytes(rest))
        missing -= len(rest)
    yield b"".join(parts)


def _mapped(work: Callable[[Buffer], Buffer], blocks: Iterator[Buffer], threads: int) -> Iterator[Buffer]:
    """``work`` done to each of ``blocks``, in their order, by ``threads`` threads at a time."""
    first = list(islice(blocks, 2))
    blocks = chain(first, blocks)
    if threads < 2 or len(first) < 2:
        yield from map(work, blocks)
        return
    from concurrent.futures import Future, ThreadPoolExecutor

    pool = ThreadPoolExecutor(threads)
    results: deque[Future[Buffer]] = deque()
    try:
        for block in blocks:
            results.append(pool.submit(work, block))
            while results and (len(results) >= 2 * threads or results[0].done()):
                yield results.popleft().result()
        while results:
            yield results.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


@hookimpl
def transship_compressions() -> list[Compression]:
    """Offer gzip."""
    return [Gzip()]
