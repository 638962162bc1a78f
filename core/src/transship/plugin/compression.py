"""What a compression plugin implements."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol

from transship.errors import ContentMismatchError, UnsupportedError
from transship.plugin.blob import Buffer

_INPUT_SIZE = 1 << 15
"""Small, because what is left of a piece of input is copied at each end of a member."""
_OUTPUT_SIZE = 1 << 20


class Compression:
    """One compression algorithm. Instances are shared between threads and keep no state.

    ``name`` is the entry point's name. ``magic`` is how compressed data begins. ``media_type_suffix`` is the
    word after ``+`` in OCI layer media types, ``""`` where there is none. ``levels`` are the levels it takes,
    as ``(lowest, highest)``; None: any integer.
    """

    name: str
    magic: bytes
    media_type_suffix: str = ""
    levels: tuple[int, int] | None = None
    can_compress: bool = True

    def decompress(self, chunks: Iterable[Buffer]) -> Iterator[Buffer]:
        """The uncompressed bytes, in pieces of at most a few MiB, in constant memory whatever the input.

        All members or frames are read to the end of the input. Raises ``ContentMismatchError`` for damaged or
        truncated data. Pieces of input are valid until the next one is asked for.
        """
        raise NotImplementedError

    def compress(self, chunks: Iterable[Buffer], *, level: int | None, threads: int) -> Iterator[Buffer]:
        """The compressed bytes, in constant memory.

        ``level`` None is the algorithm's default. ``threads`` is how many threads may work at the same time; the
        output never depends on it, nor on how the input is cut into pieces. A level out of range raises
        ``UnsupportedError``.
        """
        raise UnsupportedError(f"{self.name} compression not supported")

    def describe(self) -> Mapping[str, str]:
        """What the compressed bytes depend on: library, version, default level, block size."""
        return {}


class MemberDecoder(Protocol):
    """Reads one member (stream, frame): what the decompressors of ``bz2``, ``lzma`` and their kin offer."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> Buffer: ...
    def decompress(self, data: Buffer, /, max_length: int) -> Buffer: ...


def decompress_members(
    chunks: Iterable[Buffer],
    new_decoder: Callable[[], MemberDecoder],
    *,
    name: str,
    damage: type[Exception] | tuple[type[Exception], ...],
    padding: bytes = b"",
) -> Iterator[Buffer]:
    """What ``Compression.decompress`` has to give, of data that is one or more members in a row.

    ``new_decoder`` is called for each member. ``damage`` is what its ``decompress`` raises for data that are not
    right. ``padding`` are bytes that may stand after a member. Data without any member are truncated data.
    """
    decoder: MemberDecoder | None = None
    complete = False
    for piece in _pieces(chunks):
        rest: Buffer = piece
        while rest:
            if decoder is None:
                rest = bytes(rest).lstrip(padding) if complete and padding else rest
                if not rest:
                    break
                decoder, complete = new_decoder(), False
            try:
                yield from _decoded(decoder, rest)
            except damage as error:
                raise ContentMismatchError(f"decompressing {name} data: {error}") from error
            if not decoder.eof:
                break
            rest, decoder, complete = decoder.unused_data, None, True
    if not complete:
        raise ContentMismatchError(f"decompressing {name} data: they end unexpectedly")


def _pieces(chunks: Iterable[Buffer]) -> Iterator[Buffer]:
    for chunk in chunks:
        view = memoryview(chunk)
        for start in range(0, len(view), _INPUT_SIZE):
            yield view[start : start + _INPUT_SIZE]


def _decoded(decoder: MemberDecoder, data: Buffer) -> Iterator[Buffer]:
    while True:
        if output := decoder.decompress(data, _OUTPUT_SIZE):
            yield output
        if decoder.eof or decoder.needs_input:
            return
        data = b""
