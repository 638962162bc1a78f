"""How bytes are compressed is told from the bytes themselves, never from a label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

from transship.errors import PluginError
from transship.plugin.blob import Buffer, Content, ContinuedContent, FileContent

if TYPE_CHECKING:
    from transship.discovery import PluginManager

_MAGIC = {
    "gzip": b"\x1f\x8b\x08",
    "bzip2": b"BZh",
    "xz": b"\xfd7zXZ\x00",
    "zstd": b"\x28\xb5\x2f\xfd",
}
HEAD_SIZE = 64
"""How many bytes of a blob tell how it is compressed."""


def detect(manager: PluginManager, head: Buffer) -> str | None:
    """The name of the algorithm that made data which begins with ``head``; None for uncompressed data.

    The four usual ones are known without their plugins; third-party ones are asked where none of them fits.
    """
    begin = bytes(head[:HEAD_SIZE])
    for name, magic in _MAGIC.items():
        if begin.startswith(magic):
            return name
    return next((name for name in manager.names("compressions") if _fits(manager, name, begin)), None)


def _fits(manager: PluginManager, name: str, begin: bytes) -> bool:
    if name in _MAGIC:
        return False
    try:
        magic = manager.compression(name).magic
    except PluginError:  # a broken plugin must not stop the copy of layers that have nothing to do with it
        return False
    return bool(magic) and begin.startswith(magic)


def sniffed(content: Content) -> tuple[bytes, Iterable[Buffer]]:
    """The first bytes of ``content``, and all of it, the first bytes included."""
    if isinstance(content, FileContent):
        return content.head(HEAD_SIZE), content
    if isinstance(content, ContinuedContent) and content.beginning.size >= HEAD_SIZE:
        return content.beginning.head(HEAD_SIZE), content
    return peeked(iter(content))


def peeked(chunks: Iterator[Buffer]) -> tuple[bytes, Iterable[Buffer]]:
    """The first bytes of ``chunks``, and all of them."""
    head = b""
    for chunk in chunks:
        head += bytes(chunk)
        if len(head) >= HEAD_SIZE:
            break
    return head[:HEAD_SIZE], chain([head] if head else [], chunks)


def decompressed(manager: PluginManager, chunks: Iterable[Buffer]) -> Iterator[Buffer]:
    """``chunks`` as they were before compression; uncompressed ones pass."""
    head, everything = peeked(iter(chunks))
    name = detect(manager, head)
    return iter(everything) if name is None else manager.compression(name).decompress(everything)
