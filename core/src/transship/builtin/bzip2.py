"""bzip2, for reading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from transship import hookimpl
from transship.plugin.blob import Buffer
from transship.plugin.compression import Compression, decompress_members


class Bzip2(Compression):
    """bzip2, which images may hold but no manifest has a word for."""

    name = "bzip2"
    magic = b"BZh"
    can_compress = False

    def decompress(self, chunks: Iterable[Buffer]) -> Iterator[Buffer]:
        from bz2 import BZ2Decompressor

        return decompress_members(chunks, BZ2Decompressor, name=self.name, damage=(OSError, ValueError))


@hookimpl
def transship_compressions() -> list[Compression]:
    """Offer bzip2."""
    return [Bzip2()]
