"""Writing the members of an archive one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import BinaryIO

from transship.image.descriptor import Descriptor
from transship.image.digest import Digest
from transship.plugin.blob import BlobReader, Buffer, FileContent
from transship.plugin.files import copy_region, unnamed_file
from transship.plugin.tar import BLOCK, END_OF_ARCHIVE, SYMBOLIC_LINK, header, padding

_READ_ONLY = 0o444


class ArchiveWriter:
    """Writes to an unbuffered file; its members say nothing of who wrote them and when."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def add_file(self, name: str, data: bytes) -> None:
        """Write a whole file."""
        self._write(header(name, len(data), mode=_READ_ONLY) + data + padding(len(data)))

    def add_link(self, name: str, target: str) -> None:
        """Write a symbolic link."""
        self._write(header(name, kind=SYMBOLIC_LINK, mode=0, link=target))

    def add_blob(self, blob: BlobReader, name_for: Callable[[Digest], str | None]) -> Descriptor:
        """Read a blob to its end and write it as the file that ``name_for`` its digest gives.

        Nothing of it stays where ``name_for`` gives None.
        """
        raise NotImplementedError

    def finish(self) -> None:
        """Write what ends an archive."""
        self._write(END_OF_ARCHIVE)

    def _write(self, data: Buffer) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) or 0 :]


class FileWriter(ArchiveWriter):
    """For a regular file, open for reading too: a blob goes to its place, then its header before it."""

    def add_blob(self, blob: BlobReader, name_for: Callable[[Digest], str | None]) -> Descriptor:
        start = self._file.tell()
        self._file.seek(start + BLOCK)
        try:
            blob.write_to(self._file)
            digest, size = _digest_and_size(blob)
            name = name_for(digest)
        except BaseException:
            self._cut(start)
            raise
        if name is None:
            self._cut(start)
            return blob.descriptor
        self._write(padding(size))
        end = self._file.tell()
        self._file.seek(start)
        self._write(header(name, size, mode=_READ_ONLY))
        self._file.seek(end)
        return blob.descriptor

    def add_region(self, source: BinaryIO, start: int, end: int) -> None:
        """Copy whole members of another archive."""
        done = sum(len(chunk) for chunk in copy_region(source, start, end - start, self._file))
        self._write(bytes(end - start - done))  # the padding of the very last member may be missing

    def _cut(self, position: int) -> None:
        self._file.seek(position)
        self._file.truncate()


class StreamWriter(ArchiveWriter):
    """For a pipe: a blob of unknown digest or size goes through an unnamed file in ``temporary_directory``."""

    def __init__(self, file: BinaryIO, temporary_directory: str) -> None:
        super().__init__(file)
        self._temporary_directory = temporary_directory

    def add_blob(self, blob: BlobReader, name_for: Callable[[Digest], str | None]) -> Descriptor:
        expected = blob.expected
        if expected.digest is None or expected.size < 0:
            with unnamed_file(self._temporary_directory) as file:
                blob.write_to(file)
                digest, size = _digest_and_size(blob)
                spooled = FileContent(file, size=size, close_file=False)
                self._stream(BlobReader(spooled, blob.descriptor), digest, size, name_for)
        else:
            self._stream(blob, expected.digest, expected.size, name_for)
        return blob.descriptor

    def _stream(self, blob: BlobReader, digest: Digest, size: int, name_for: Callable[[Digest], str | None]) -> None:
        name = name_for(digest)
        if name is not None:
            self._write(header(name, size, mode=_READ_ONLY))
        for chunk in blob:
            if name is not None:
                self._write(chunk)
        if name is not None:
            self._write(padding(size))


def _digest_and_size(blob: BlobReader) -> tuple[Digest, int]:
    descriptor = blob.descriptor
    assert descriptor.digest is not None  # noqa: S101 - what was read to the end has one
    return descriptor.digest, descriptor.size


def open_stream(path: str) -> BinaryIO:
    """Open a pipe, a device or a standard stream of this process for writing, unbuffered."""
    number = {"/dev/stdout": 1, "/dev/stderr": 2}.get(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC) if number is None else os.dup(number)
    return open(descriptor, "wb", buffering=0)
