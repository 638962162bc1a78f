"""Tar archives: what lies where in one (POSIX.1-2017 pax and ustar; GNU tar manual).

Nothing is ever extracted: members are found, and read through the archive's own file.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO

from transship.errors import TransportError
from transship.plugin.blob import FileContent, StreamContent
from transship.plugin.files import reporting, unnamed_file

if TYPE_CHECKING:
    from transship.plugin.context import Context

BLOCK = 512
REGULAR, SYMBOLIC_LINK, DIRECTORY, PAX_HEADER = b"0", b"2", b"5", b"x"

_MAX_MEMBERS = 100_000
_MAX_HEADER = 1 << 20
_MAX_HEADERS = 16  # that one member may have before its own
_MAX_NAMES = 32 << 20
_MAX_HOPS = 32
_MAX_DIGITS = 19  # of a size that a 64-bit file can have

_REGULAR_KINDS = (b"0", b"\0", b"7")
_HARD_LINK = b"1"
_WITHOUT_DATA = (b"1", b"2", b"3", b"4", b"5", b"6")
_EXTENDED, _GLOBAL, _LONG_NAME, _LONG_LINK = (PAX_HEADER, b"X"), b"g", b"L", b"K"
_SPARSE = b"S"


@dataclass(frozen=True, slots=True)
class Region:
    """Where the bytes of a regular file lie in the archive."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class TarMember:
    """One member as it is stored: its headers begin at ``start``, the next member's at ``end``."""

    name: str
    kind: bytes
    link: str
    region: Region
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Link:
    target: str


class TarArchive:
    """An archive to read, whatever it comes as: a file, a compressed file, a pipe.

    ``file`` is what its members are read from; ``is_unpacked``: it is an uncompressed copy.
    """

    def __init__(self, opened: BinaryIO, path: str, context: Context, *, first_counts: bool = False) -> None:
        """Takes over ``opened``; raises ``TransportError``, naming ``path``, for no sound archive. See ``TarIndex``."""
        self.path = path
        self.file = seekable_archive(opened, path, context)
        self.is_unpacked = self.file is not opened
        try:
            self.index = TarIndex(self.file, path, first_counts=first_counts)
        except BaseException:
            self.file.close()
            raise

    def find(self, name: str) -> FileContent | None:
        """A regular file of the archive; it shares the archive's own file. None: it is not there."""
        region = self.index.find(name)
        if region is None:
            return None
        return FileContent(self.file, region.offset, region.size, close_file=False)

    def read(self, name: str, limit: int) -> bytes:
        """A whole file, which must be there and have no more than ``limit`` bytes; raises ``TransportError``."""
        content = self.find(name)
        if content is None:
            raise TransportError(f"{self.path}: file {name[:300]} not found in tar")
        if content.size > limit:
            raise TransportError(f"{self.path}: {name[:300]}: exceeded maximum allowed size of {limit} bytes")
        with reporting("read", self.path):
            return b"".join(bytes(chunk) for chunk in content)

    def close(self) -> None:
        """Release the file. May be called more than once."""
        self.file.close()


class TarIndex:
    """The regular files of an archive, by clean relative path.

    Of two with one name the later one counts, as if they had been extracted, or, with ``first_counts``, the
    first one. ``members`` are all members in stored order.
    """

    def __init__(self, file: BinaryIO, path: str, *, first_counts: bool = False) -> None:
        """Read all headers of ``file``; raise ``TransportError``, naming ``path``, for no sound archive."""
        self.members = tuple(_Reader(file, path).members())
        self._entries: dict[str, Region | _Link] = {}
        for member in self.members:
            self._enter(member, first_counts)

    def find(self, path: str) -> Region | None:
        """Where a file lies; links are followed inside the archive only. None: it is not there."""
        parts, done = (clean_path(path) or "").split("/"), ""
        hops = 0
        while parts:
            done = posixpath.join(done, parts.pop(0))
            entry = self._entries.get(done)
            if isinstance(entry, Region):
                return None if parts else entry
            if isinstance(entry, _Link):
                hops += 1
                target = clean_path(posixpath.join(posixpath.dirname(done), entry.target))
                if hops > _MAX_HOPS or not target or entry.target.startswith("/"):
                    return None
                parts, done = target.split("/") + parts, ""
        return None

    def _enter(self, member: TarMember, first_counts: bool) -> None:
        name = clean_path(member.name)
        if not name or (first_counts and name in self._entries):
            return
        if member.kind in _REGULAR_KINDS and not member.name.endswith("/"):
            self._entries[name] = member.region
        elif member.kind == SYMBOLIC_LINK:
            self._entries[name] = _Link(member.link)
        elif member.kind == _HARD_LINK and isinstance(
            target := self._entries.get(clean_path(member.link) or ""), Region
        ):
            self._entries[name] = target
        else:
            self._entries.pop(name, None)


def clean_path(path: str) -> str | None:
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
    stated = _number(block[148:156])
    others = block[:148] + b" " * 8 + block[156:]
    unsigned = sum(others)
    if stated == unsigned:
        return True
    return stated == unsigned - 256 * sum(byte > 127 for byte in others)  # what some old tars computed


class _Reader:
    def __init__(self, file: BinaryIO, path: str) -> None:
        self._descriptor = file.fileno()
        self._end = os.fstat(self._descriptor).st_size
        self._path = path
        self._position = 0

    def members(self) -> Iterator[TarMember]:
        count = names = 0
        with reporting("read", self._path):
            while (member := self._next()) is not None:
                count += 1
                names += len(member.name) + len(member.link)
                if count > _MAX_MEMBERS or names > _MAX_NAMES:
                    raise self._error("too many members")
                yield member

    def _next(self) -> TarMember | None:
        start = self._position
        extended: dict[str, str] = {}
        for _ in range(_MAX_HEADERS):
            block = os.pread(self._descriptor, BLOCK, self._position)
            if not any(block):
                return None
            if not is_header(block):
                raise self._error(f"no tar header at {self._position}")
            kind = block[156:157]
            if kind not in (*_EXTENDED, _GLOBAL, _LONG_NAME, _LONG_LINK):
                return self._member(block, extended, start)
            self._extend(extended, kind, self._take(_number(block[124:136])))
        raise self._error("too many extended headers")

    def _member(self, block: bytes, extended: dict[str, str], start: int) -> TarMember:
        kind = block[156:157]
        if kind == _SPARSE or any(key.startswith("GNU.sparse.") for key in extended):
            raise self._error("sparse members are not supported")
        size = _decimal(extended["size"]) if "size" in extended else _number(block[124:136])
        name = extended.get("path", _name(block))
        link = extended.get("linkpath", _text(block[157:257]))
        region = self._take(0 if kind in _WITHOUT_DATA else size)
        return TarMember(name, kind, link, region, start, self._position)

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
        if kind == _LONG_NAME:
            extended["path"] = _text(data)
        elif kind == _LONG_LINK:
            extended["linkpath"] = _text(data)
        elif kind in _EXTENDED:
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
            yield _text(key), _text(value[:-1])
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


def open_input(path: str) -> BinaryIO:
    """Open a file, a pipe or standard input for reading, unbuffered; raises ``OSError`` as ``open`` does."""
    if path == "/dev/stdin":  # by its number, which works for sockets too
        return open(os.dup(0), "rb", buffering=0)
    return open(path, "rb", buffering=0)


def seekable_archive(file: BinaryIO, path: str, context: Context) -> BinaryIO:
    """``file`` itself where it is an uncompressed archive on disk, else an unnamed file with its uncompressed bytes.

    In the second case ``file`` is closed. What does not begin as an archive is refused at once, as is what is
    neither a regular file nor a pipe or socket.
    """
    mode = os.fstat(file.fileno()).st_mode
    with reporting("read", path):
        if stat.S_ISREG(mode) and is_header(os.pread(file.fileno(), BLOCK, 0)):
            return file
    with file:
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
            raise TransportError(f"{path}: neither a regular file nor a pipe")
        return _unpacked(file, path, context)


def _unpacked(file: BinaryIO, path: str, context: Context) -> BinaryIO:
    chunks = context.decompress(StreamContent(file))
    with reporting("unpack", path):
        unpacked = unnamed_file(context.temporary_directory)
        try:
            begin = b""
            while len(begin) < BLOCK and (chunk := next(chunks, None)) is not None:
                begin += bytes(chunk)
            if not is_header(begin[:BLOCK]):
                raise TransportError(f"{path}: not a tar archive")
            for chunk in chain([begin], chunks):
                context.cancellation.check()
                view = memoryview(chunk)
                while view:
                    view = view[unpacked.write(view) or 0 :]
            unpacked.seek(0)
        except BaseException:
            unpacked.close()
            raise
    return unpacked
