"""Writing a tar archive whose bytes depend on nothing but its content (POSIX.1-2017 ustar and pax)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import BinaryIO

from transship.image.digest import Digest, Digester
from transship.plugin.blob import BlobReader, Buffer, FileContent
from transship.plugin.files import unnamed_file
from transship_oci.blob_folder import read_content
from transship_oci.layout import blob_path

_BLOCK = 512
_RECORD = 20 * _BLOCK
_OCTAL_LIMIT = 8**11
_DIRECTORY, _FILE, _EXTENDED = b"5", b"0", b"x"


def header(name: str, size: int, *, directory: bool = False) -> bytes:
    """The blocks before a member's data, owned by 0:0 and without a time."""
    encoded = name.encode()
    blocks = b""
    if len(encoded) > 100:
        record = _pax_record(b"path", encoded)
        blocks = _block(b"././@PaxHeader", len(record), _EXTENDED) + _padded(record)
        encoded = encoded[:100]
    return blocks + _block(encoded, size, _DIRECTORY if directory else _FILE)


def _block(name: bytes, size: int, kind: bytes) -> bytes:
    mode = b"0000755\0" if kind == _DIRECTORY else b"0000644\0"
    fields = [
        name.ljust(100, b"\0"),
        mode,
        b"0000000\0" * 2,  # owner and group
        _size(size),
        b"00000000000\0",  # time
        b" " * 8,  # where the checksum goes
        kind,
        bytes(100),  # link
        b"ustar\0" + b"00",
        bytes(64),  # names of owner and group
        b"0000000\0" * 2,  # device
        bytes(167),  # prefix, padding
    ]
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _size(size: int) -> bytes:
    if size < _OCTAL_LIMIT:
        return b"%011o\0" % size
    return b"\x80" + size.to_bytes(11, "big")  # GNU's form, read by every tar of this century


def _pax_record(key: bytes, value: bytes) -> bytes:
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while len(b"%d" % length) + len(rest) != length:
        length = len(b"%d" % length) + len(rest)
    return b"%d" % length + rest


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _BLOCK)


class TarWriter:
    """Writes members one after the other to an unbuffered file, each blob and each folder once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._position = 0
        self._folders: set[str] = set()
        self._sizes: dict[Digest, int] = {}

    def size_of(self, digest: Digest) -> int | None:
        """The size of a blob that was written already, else None."""
        return self._sizes.get(digest)

    def add_file(self, name: str, data: bytes) -> None:
        """Write a whole file."""
        self._write(header(name, len(data)) + _padded(data))

    def add_bytes(self, data: bytes, digest: Digest) -> None:
        """Write a blob that is in memory."""
        if digest not in self._sizes:
            self._begin_blob(digest.algorithm)
            self.add_file(blob_path(digest), data)
            self._sizes[digest] = len(data)

    def add_blob(self, blob: BlobReader) -> None:
        """Read a blob to its end and write it under its digest."""
        raise NotImplementedError

    def finish(self) -> None:
        """Write what ends an archive."""
        end = self._position + 2 * _BLOCK
        self._write(bytes(2 * _BLOCK + -end % _RECORD))

    def _begin_blob(self, algorithm: str) -> None:
        for name in ("blobs/", f"blobs/{algorithm}/"):
            if name not in self._folders:
                self._folders.add(name)
                self._write(header(name, 0, directory=True))

    def _write(self, data: Buffer) -> None:
        view = memoryview(data)
        while view:
            count = self._file.write(view) or 0
            self._position += count
            view = view[count:]


class SeekableTarWriter(TarWriter):
    """For a regular file: a blob goes straight to its place, its header is written when it is known."""

    def add_blob(self, blob: BlobReader) -> None:
        algorithm = blob.expected.digest.algorithm if blob.expected.digest else "sha256"
        self._begin_blob(algorithm)
        start = self._position
        head_size = _head_size(algorithm)
        self._file.seek(start + head_size)
        try:
            blob.write_to(self._file)
        except BaseException:
            self._cut(start)
            raise
        digest, size = read_content(blob)
        if digest in self._sizes:
            self._cut(start)
            return
        os.pwrite(self._file.fileno(), header(blob_path(digest), size), start)
        self._position = start + head_size + size
        self._file.seek(self._position)
        self._write(bytes(-size % _BLOCK))
        self._sizes[digest] = size

    def _cut(self, position: int) -> None:
        self._file.truncate(position)
        self._file.seek(position)
        self._position = position


class StreamTarWriter(TarWriter):
    """For a pipe: a blob of unknown digest or size goes through an unnamed file in ``temporary_directory``."""

    def __init__(self, file: BinaryIO, temporary_directory: str) -> None:
        super().__init__(file)
        self._temporary_directory = temporary_directory

    def add_blob(self, blob: BlobReader) -> None:
        expected = blob.expected
        if expected.digest is None or expected.size < 0:
            self._spool(blob)
        elif expected.digest in self._sizes:
            for _ in blob:
                pass
        else:
            self._stream(blob, expected.digest, expected.size)

    def _spool(self, blob: BlobReader) -> None:
        with unnamed_file(self._temporary_directory) as file:
            blob.write_to(file)
            digest, size = read_content(blob)
            if digest not in self._sizes:
                self._stream(FileContent(file, 0, size, close_file=False), digest, size)

    def _stream(self, chunks: Iterable[Buffer], digest: Digest, size: int) -> None:
        self._begin_blob(digest.algorithm)
        self._write(header(blob_path(digest), size))
        for chunk in chunks:
            self._write(chunk)
        self._write(bytes(-size % _BLOCK))
        self._sizes[digest] = size


def _head_size(algorithm: str) -> int:
    return len(header(blob_path(Digester(algorithm).digest()), 0))  # any digest of this algorithm is as long
