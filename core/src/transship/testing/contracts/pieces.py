"""Bytes in pieces, as plugins are given them."""

from __future__ import annotations

from collections.abc import Iterator

from transship.plugin.blob import Buffer


def cut(data: bytes, length: int) -> Iterator[bytes]:
    """``data`` in pieces of this length, the last of which may be shorter."""
    for start in range(0, len(data), length):
        yield data[start : start + length]


def reused_pieces(data: bytes, length: int) -> Iterator[Buffer]:
    """The same as the engine gives it: each piece is overwritten by the next one."""
    buffer = memoryview(bytearray(length))
    for piece in cut(data, length):
        buffer[: len(piece)] = piece
        yield buffer[: len(piece)]
    buffer[:] = bytes(length)
