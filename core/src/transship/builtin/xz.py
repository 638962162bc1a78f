"""xz, for reading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from transship import hookimpl
from transship.plugin.blob import Buffer
from transship.plugin.compression import Compression, decompress_members

_MEMORY_LIMIT = 129 << 20
"""A window of 128 MiB, and what the decoder needs besides."""


class Xz(Compression):
    """xz, which images may hold but no manifest has a word for."""

    name = "xz"
    magic = b"\xfd7zXZ\x00"
    can_compress = False

    def decompress(self, chunks: Iterable[Buffer]) -> Iterator[Buffer]:
        from lzma import FORMAT_XZ, LZMADecompressor, LZMAError

        return decompress_members(
            chunks,
            lambda: LZMADecompressor(FORMAT_XZ, memlimit=_MEMORY_LIMIT),
            name=self.name,
            damage=LZMAError,
            padding=b"\0",
        )


@hookimpl
def transship_compressions() -> list[Compression]:
    """Offer xz."""
    return [Xz()]
