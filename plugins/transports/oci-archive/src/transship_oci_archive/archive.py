"""Opening an archive for reading, whatever it is: a file, a compressed file, a pipe."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO

from transship.errors import BlobNotFoundError, TransportError
from transship.image.digest import Digest
from transship.image.strict_json import METADATA_LIMIT
from transship.plugin.blob import Buffer, FileContent, StreamContent
from transship.plugin.context import Context
from transship.plugin.files import reporting, unnamed_file
from transship_oci.layout import INDEX_FILE, LayoutIndex, blob_path
from transship_oci_archive.tar_index import BLOCK, TarIndex, is_header

_STANDARD_INPUT = "/dev/stdin"


class ArchiveStore:
    """A layout in a tar archive, which is read where it lies, or from a temporary copy if that cannot be."""

    def __init__(self, path: str, context: Context) -> None:
        self._path = path
        self._file = _open_archive(path, context)
        try:
            self._index = TarIndex(self._file, path)
        except BaseException:
            self._file.close()
            raise

    def read_index(self) -> LayoutIndex:
        content = self._content(INDEX_FILE)
        if content is None:
            raise TransportError(f"{self._path}: no {INDEX_FILE} in this archive")
        if content.size > METADATA_LIMIT:
            raise TransportError(f"{INDEX_FILE}: exceeded maximum allowed size of {METADATA_LIMIT} bytes")
        with reporting("read", self._path):
            data = b"".join(bytes(chunk) for chunk in content)
        return LayoutIndex.parse(data, f"{self._path}: {INDEX_FILE}")

    def open_blob(self, digest: Digest) -> FileContent:
        content = self._content(blob_path(digest))
        if content is None:
            raise BlobNotFoundError(f"{self._path}: {blob_path(digest)} is not in this archive")
        return content

    def close(self) -> None:
        self._file.close()

    def _content(self, name: str) -> FileContent | None:
        region = self._index.find(name)
        if region is None:
            return None
        return FileContent(self._file, region.offset, region.size, close_file=False)


def _open_archive(path: str, context: Context) -> BinaryIO:
    file = _open(path)
    try:
        mode = os.fstat(file.fileno()).st_mode
        with reporting("read", path):
            if stat.S_ISREG(mode) and is_header(os.pread(file.fileno(), BLOCK, 0)):
                return file
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
            raise TransportError(f"{path}: neither a regular file nor a pipe")
        spooled = _spool(StreamContent(file), path, context)
    except BaseException:
        file.close()
        raise
    file.close()
    return spooled


def _open(path: str) -> BinaryIO:
    try:
        if path == _STANDARD_INPUT:  # by its number, which works for sockets too
            return open(os.dup(0), "rb", buffering=0)
        return open(path, "rb", buffering=0)
    except FileNotFoundError:
        raise TransportError(f'archive file not found: "{path}"') from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise TransportError(f"open {path}: {reason[:1].lower()}{reason[1:]}") from error


def _spool(raw: Iterable[Buffer], path: str, context: Context) -> BinaryIO:
    """An unnamed file with the uncompressed bytes. What does not begin as a tar archive is refused at once."""
    chunks = iter(context.decompress(raw))
    with reporting("unpack", path):
        file = unnamed_file(context.temporary_directory)
        try:
            begin = _first_block(chunks)
            if not is_header(begin[:BLOCK]):
                raise TransportError(f"{path}: not a tar archive")
            for chunk in chain([begin], chunks):
                context.cancellation.check()
                view = memoryview(chunk)
                while view:
                    view = view[file.write(view) or 0 :]
        except BaseException:
            file.close()
            raise
    return file


def _first_block(chunks: Iterator[Buffer]) -> bytes:
    begin = b""
    for chunk in chunks:
        begin += bytes(chunk)
        if len(begin) >= BLOCK:
            break
    return begin
