"""What a compression plugin implements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from transship.errors import UnsupportedError
from transship.plugin.blob import Buffer


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
