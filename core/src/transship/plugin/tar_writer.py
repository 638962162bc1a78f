"""Writing tar archives whose bytes depend on nothing but their content (POSIX.1-2017 ustar and pax)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import BinaryIO

from transship.image.descriptor import Descriptor
from transship.image.digest import Digest, Digester
from transship.plugin.blob import BlobReader, Buffer, FileContent
from transship.plugin.files import copy_region, unnamed_file
from transship.plugin.tar import BLOCK, DIRECTORY, PAX_HEADER, REGULAR, SYMBOLIC_LINK

_NAME_LIMIT = 100
_OCTAL_LIMIT = 8**11

NameOf = Callable[[Digest], str]
"""Gives the name that a blob has in an archive; of one algorithm all are equally long."""

IsKnown = Callable[[Digest], bool]
"""Says whether a blob is in the archive already."""


def header(name: str, size: int = 0, *, kind: bytes = REGULAR, mode: int = 0o644, link: str = "") -> bytes:
    """The blocks before a member's data, owned by 0:0 and without a time.

    ``link`` is at most 100 bytes. How many blocks there are depends on ``name`` alone: one up to 100 bytes.
    """
    encoded_name, encoded_link = name.encode(), link.encode()
    if len(encoded_link) > _NAME_LIMIT:
        raise ValueError(f"too long for a tar header: {link}")
    if len(encoded_name) <= _NAME_LIMIT:
        return _block(encoded_name, size, kind, mode, encoded_link)
    record = _pax_record(b"path", encoded_name)
    extended = _block(b"././@PaxHeader", len(record), PAX_HEADER, mode) + record + padding(len(record))
    return extended + _block(encoded_name[:_NAME_LIMIT], size, kind, mode, encoded_link)


def _block(name: bytes, size: int, kind: bytes, mode: int, link: bytes = b"") -> bytes:
    fields = [
        name.ljust(_NAME_LIMIT, b"\0"),
        b"%07o\0" % mode,
        b"0000000\0" * 2,  # owner and group
        b"%011o\0" % size if size < _OCTAL_LIMIT else b"\x80" + size.to_bytes(11, "big"),  # from 8 GiB: GNU's form
        b"00000000000\0",  # time
        b" " * 8,  # where the checksum goes
        kind,
        link.ljust(_NAME_LIMIT, b"\0"),
        b"ustar\0" + b"00",
        bytes(64),  # names of owner and group
        b"0000000\0" * 2,  # device
        bytes(167),  # prefix, padding
    ]
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _pax_record(key: bytes, value: bytes) -> bytes:
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while len(b"%d" % length) + len(rest) != length:
        length = len(b"%d" % length) + len(rest)
    return b"%d" % length + rest


def padding(size: int) -> bytes:
    """What fills the last block of a member's data."""
    return bytes(-size % BLOCK)


END_OF_ARCHIVE = bytes(2 * BLOCK)


class TarWriter:
    """Writes members one after the other to an unbuffered file. Regular ones have ``mode``."""

    def __init__(self, file: BinaryIO, *, mode: int = 0o644) -> None:
        self._file = file
        self._mode = mode

    def add_file(self, name: str, data: bytes) -> None:
        """Write a whole file."""
        self._write(header(name, len(data), mode=self._mode) + data + padding(len(data)))

    def add_folder(self, name: str) -> None:
        """Write a folder; its name ends with ``/``."""
        self._write(header(name, kind=DIRECTORY, mode=0o755))

    def add_link(self, name: str, target: str) -> None:
        """Write a symbolic link."""
        self._write(header(name, kind=SYMBOLIC_LINK, mode=0, link=target))

    def add_blob(self, blob: BlobReader, name_of: NameOf, is_known: IsKnown) -> Descriptor:
        """Read a blob to its end and write it under its name; nothing of one that ``is_known`` stays."""
        raise NotImplementedError

    def finish(self) -> None:
        """Write what ends an archive."""
        self._write(END_OF_ARCHIVE)

    def _write(self, data: Buffer) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) or 0 :]


class FileTarWriter(TarWriter):
    """For a regular file, open for reading too: a blob goes to its place, then its header before it."""

    def add_blob(self, blob: BlobReader, name_of: NameOf, is_known: IsKnown) -> Descriptor:
        start = self._file.tell()
        self._file.seek(start + _header_size(blob, name_of))
        try:
            blob.write_to(self._file)
            is_new = not is_known(blob.descriptor.digest)
        except BaseException:
            self._cut(start)
            raise
        if is_new:
            self._write(padding(blob.descriptor.size))
            end = self._file.tell()
            self._file.seek(start)
            self._write(header(name_of(blob.descriptor.digest), blob.descriptor.size, mode=self._mode))
            self._file.seek(end)
        else:
            self._cut(start)
        return blob.descriptor

    def add_region(self, source: BinaryIO, start: int, end: int) -> None:
        """Copy whole members of another archive."""
        done = sum(len(chunk) for chunk in copy_region(source, start, end - start, self._file))
        self._write(bytes(end - start - done))  # the padding of the very last member may be missing

    def _cut(self, position: int) -> None:
        self._file.seek(position)
        self._file.truncate()


class StreamTarWriter(TarWriter):
    """For a pipe: a blob of unknown digest or size goes through an unnamed file in ``temporary_directory``."""

    def __init__(self, file: BinaryIO, temporary_directory: str, *, mode: int = 0o644) -> None:
        super().__init__(file, mode=mode)
        self._temporary_directory = temporary_directory

    def add_blob(self, blob: BlobReader, name_of: NameOf, is_known: IsKnown) -> Descriptor:
        expected = blob.expected
        if expected.digest is None or expected.size < 0:
            self._spool(blob, name_of, is_known)
        elif is_known(expected.digest):
            for _ in blob:
                pass
        else:
            self._stream(blob, name_of(expected.digest), expected.size)
        return blob.descriptor

    def _spool(self, blob: BlobReader, name_of: NameOf, is_known: IsKnown) -> None:
        with unnamed_file(self._temporary_directory) as file:
            blob.write_to(file)
            digest, size = blob.descriptor.digest, blob.descriptor.size
            if not is_known(digest):
                self._stream(FileContent(file, 0, size, close_file=False), name_of(digest), size)

    def _stream(self, chunks: Iterable[Buffer], name: str, size: int) -> None:
        self._write(header(name, size, mode=self._mode))
        for chunk in chunks:
            self._write(chunk)
        self._write(padding(size))


def _header_size(blob: BlobReader, name_of: NameOf) -> int:
    algorithm = blob.expected.digest.algorithm if blob.expected.digest else "sha256"
    return len(header(name_of(Digester(algorithm).digest())))  # any digest of this algorithm is as long
