"""What lies where in a tar archive. Nothing is ever extracted (POSIX.1-2017 pax, ustar; GNU tar manual)."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from transship.errors import TransportError

BLOCK = 512
_MAX_MEMBERS = 100_000
_MAX_HEADER = 1 << 20
_MAX_NAMES = 32 << 20
_MAX_HOPS = 32
_MAX_DIGITS = 19  # of a size that a 64-bit file can have

_REGULAR = (b"0", b"\0", b"7")
_WITHOUT_DATA = (b"1", b"2", b"3", b"4", b"5", b"6")


@dataclass(frozen=True, slots=True)
class Region:
    """Where the bytes of a regular file lie in the archive."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class _Link:
    target: str


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    kind: bytes
    link: str
    region: Region


class TarIndex:
    """The regular files of an archive, by clean relative path. Of two with one name the later one counts."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        """Read all headers of ``file``; raise ``TransportError``, naming ``path``, for what is no sound archive."""
        self._members: dict[str, Region | _Link] = {}
        for member in _Reader(file, path).members():
            self._enter(member)

    def find(self, path: str) -> Region | None:
        """Where a file lies; links are followed inside the archive only. None: it is not there."""
        parts, done = path.split("/"), ""
        hops = 0
        while parts:
            done = posixpath.join(done, parts.pop(0))
            member = self._members.get(done)
            if isinstance(member, Region):
                return None if parts else member
            if isinstance(member, _Link):
                hops += 1
                target = _clean(posixpath.join(posixpath.dirname(done), member.target))
                if hops > _MAX_HOPS or target is None or member.target.startswith("/"):
                    return None
                parts, done = target.split("/") + parts, ""
        return None

    def _enter(self, member: _Member) -> None:
        name = _clean(member.name)
        if not name:
            return
        if member.kind in _REGULAR and not member.name.endswith("/"):
            self._members[name] = member.region
        elif member.kind == b"2":
            self._members[name] = _Link(member.link)
        elif member.kind == b"1" and isinstance(target := self._members.get(_clean(member.link) or ""), Region):
            self._members[name] = target
        else:
            self._members.pop(name, None)


def _clean(path: str) -> str | None:
    """A path from the archive's root without ``.`` and ``..``; None if it leads out."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def is_header(block: bytes) -> bool:
    """Whether ``block`` begins a member, or, being all zero, ends an archive."""
    return len(block) == BLOCK and (not any(block) or _has_checksum(block))


def _has_checksum(block: bytes) -> bool:
    try:
        stated = int(block[148:156].strip(b"\0 ") or b"x", 8)
    except ValueError:
        return False
    others = block[:148] + b" " * 8 + block[156:]
    unsigned = sum(others)
    signed = unsigned - 256 * sum(byte > 127 for byte in others)  # what some old tars computed
    return stated in (unsigned, signed)


class _Reader:
    def __init__(self, file: BinaryIO, path: str) -> None:
        self._descriptor = file.fileno()
        self._end = os.fstat(self._descriptor).st_size
        self._path = path
        self._position = 0

    def members(self) -> Iterator[_Member]:
        count = names = 0
        while (member := self._next()) is not None:
            count += 1
            names += len(member.name) + len(member.link)
            if count > _MAX_MEMBERS or names > _MAX_NAMES:
                raise self._error("too many members")
            yield member

    def _next(self) -> _Member | None:
        extended: dict[str, str] = {}
        for _ in range(16):  # headers that one member may have before its own
            block = os.pread(self._descriptor, BLOCK, self._position)
            if not any(block):
                return None
            if not is_header(block):
                raise self._error(f"no tar header at {self._position}")
            kind = block[156:157]
            if kind not in (b"x", b"X", b"g", b"L", b"K"):
                return self._member(block, kind, extended)
            self._extend(extended, kind, self._take(_number(block[124:136])))
        raise self._error("too many extended headers")

    def _member(self, block: bytes, kind: bytes, extended: dict[str, str]) -> _Member:
        if kind == b"S" or any(key.startswith("GNU.sparse.") for key in extended):
            raise self._error("sparse members are not supported")
        size = _decimal(extended["size"]) if "size" in extended else _number(block[124:136])
        name = extended.get("path", _name(block))
        link = extended.get("linkpath", _text(block[157:257]))
        return _Member(name, kind, link, self._take(0 if kind in _WITHOUT_DATA else size))

    def _take(self, size: int) -> Region:
        """The region after the header at the position, which moves behind it."""
        region = Region(self._position + BLOCK, size)
        if size < 0:
            raise self._error(f"invalid size of the member at {self._position}")
        if region.offset + size > self._end:
            raise self._error("unexpected end of archive")
        self._position = region.offset + -(-size // BLOCK) * BLOCK
        return region

    def _extend(self, extended: dict[str, str], kind: bytes, region: Region) -> None:
        if region.size > _MAX_HEADER:
            raise self._error(f"extended header of {region.size} bytes")
        data = os.pread(self._descriptor, region.size, region.offset)
        if kind == b"L":
            extended["path"] = _text(data)
        elif kind == b"K":
            extended["linkpath"] = _text(data)
        elif kind in (b"x", b"X"):
            extended.update(self._records(data))

    def _records(self, data: bytes) -> Iterator[tuple[str, str]]:
        position = 0
        while position < len(data):
            digits, _, _ = data[position : position + 8].partition(b" ")
            end = position + (int(digits) if digits.isdigit() else 0)
            record = data[position + len(digits) + 1 : end]
            key, equals, value = record.partition(b"=")
            if not equals or not value.endswith(b"\n") or end > len(data):
                raise self._error("malformed extended header")
            yield key.decode(errors="surrogateescape"), value[:-1].decode(errors="surrogateescape")
            position = end

    def _error(self, reason: str) -> TransportError:
        return TransportError(f"{self._path}: invalid tar archive: {reason}")


def _name(block: bytes) -> str:
    name = _text(block[:100])
    prefix = _text(block[345:500]) if block[257:263] == b"ustar\0" else ""  # GNU keeps times there
    return f"{prefix}/{name}" if prefix else name


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="surrogateescape")


def _number(field: bytes) -> int:
    """An octal number, or GNU's base 256; -1 for what is neither or negative."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    if field[0] & 0x80:
        return -1
    digits = field.strip(b"\0 ")
    return int(digits or b"0", 8) if all(byte in b"01234567" for byte in digits) else -1


def _decimal(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS else -1
