"""Signed messages of OpenPGP, taken apart without any trust in them (RFC 4880, RFC 9580).

Simple signing knows one form: a binary message of one signature over one text, compressed or not. All else is refused
here, within bounds of size, before GnuPG gets to see it.
"""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from transship.errors import SignatureError
from transship.image.strict_json import METADATA_LIMIT

_SIGNATURE, _ONE_PASS_SIGNATURE, _COMPRESSED_DATA, _LITERAL_DATA = 2, 4, 8, 11
_MOST_PACKETS = 16
_NEW_FORMAT, _IS_PACKET = 0x40, 0x80
_INDETERMINATE = 3


@dataclass(frozen=True, slots=True)
class SignedMessage:
    """What a message claims: ``content``, the signed text, and ``key_id`` of its signer, ``""`` if it names none."""

    content: bytes
    key_id: str


def parse_message(data: bytes) -> SignedMessage:
    """Take a message apart; its signature is not checked. Raises ``SignatureError``."""
    if len(data) > METADATA_LIMIT:
        raise _invalid(f"more than {METADATA_LIMIT} bytes")
    packets = _packets(data)
    if [packet.tag for packet in packets] == [_COMPRESSED_DATA]:
        packets = _packets(_decompressed(packets[0].body))
    tags = [packet.tag for packet in packets]
    if _LITERAL_DATA in tags and tags.count(_SIGNATURE) != 1:
        raise SignatureError(f"Unexpected GPG signature count {tags.count(_SIGNATURE)}")
    if tags != [_ONE_PASS_SIGNATURE, _LITERAL_DATA, _SIGNATURE]:
        raise _invalid(f"not a signed message: it has packets of the types {', '.join(map(str, tags)) or 'none'}")
    return SignedMessage(_literal_content(packets[1].body), _key_id(packets[0].body))


@dataclass(frozen=True, slots=True)
class _Packet:
    tag: int
    body: bytes


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def __bool__(self) -> bool:
        return self._position < len(self._data)

    def take(self, size: int) -> bytes:
        end = self._position + size
        if end > len(self._data):
            raise _invalid("it is truncated")
        taken, self._position = self._data[self._position : end], end
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._position)


def _packets(data: bytes) -> list[_Packet]:
    reader = _Reader(data)
    packets: list[_Packet] = []
    while reader:
        if len(packets) == _MOST_PACKETS:
            raise _invalid("it has too many packets")
        packets.append(_packet(reader))
    return packets


def _packet(reader: _Reader) -> _Packet:
    first = reader.number(1)
    if not first & _IS_PACKET:
        raise _invalid("not a binary OpenPGP message")
    if first & _NEW_FORMAT:
        return _Packet(first & 0x3F, _new_format_body(first & 0x3F, reader))
    tag, length_type = first >> 2 & 0x0F, first & 0x03
    if length_type != _INDETERMINATE:
        return _Packet(tag, reader.take(reader.number(1 << length_type)))
    if tag != _COMPRESSED_DATA:
        raise _invalid(f"a packet of the type {tag} has no length")
    return _Packet(tag, reader.rest())


def _new_format_body(tag: int, reader: _Reader) -> bytes:
    """A body that may come in parts (RFC 9580, section 4.2.1)."""
    body = bytearray()
    while 224 <= (first := reader.number(1)) < 255:
        if tag not in (_COMPRESSED_DATA, _LITERAL_DATA):
            raise _invalid(f"a packet of the type {tag} comes in parts")
        body += reader.take(1 << (first & 0x1F))
    if first >= 192:
        first = reader.number(4) if first == 255 else ((first - 192) << 8) + reader.number(1) + 192
    return bytes(body + reader.take(first))


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


_DECOMPRESSORS: dict[int, Callable[[], _Decompressor]] = {
    1: lambda: zlib.decompressobj(-zlib.MAX_WBITS),
    2: zlib.decompressobj,
    3: bz2.BZ2Decompressor,
}


def _decompressed(body: bytes) -> bytes:
    algorithm, compressed = body[:1], body[1:]
    if algorithm == b"\0":
        return compressed
    make = _DECOMPRESSORS.get(int.from_bytes(algorithm))
    if make is None:
        raise _invalid("it is compressed in an unknown way")
    decompressor = make()
    try:
        content = decompressor.decompress(compressed, METADATA_LIMIT + 1)
    except (zlib.error, OSError):
        raise _invalid("its compressed data is damaged") from None
    if len(content) > METADATA_LIMIT:
        raise _invalid(f"more than {METADATA_LIMIT} bytes when decompressed")
    if not decompressor.eof or decompressor.unused_data:
        raise _invalid("its compressed data is truncated, or followed by more")
    return content


def _literal_content(body: bytes) -> bytes:
    reader = _Reader(body)
    reader.take(1)  # the format: binary or text
    reader.take(reader.number(1))  # a file name
    reader.take(4)  # a date
    return reader.rest()


def _key_id(body: bytes) -> str:
    is_version_3 = body[:1] == b"\x03" and len(body) == 13
    return body[4:12].hex().upper() if is_version_3 else ""


def _invalid(reason: str) -> SignatureError:
    return SignatureError(f"Invalid GPG signature: {reason}")
