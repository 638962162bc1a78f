"""A layout in a zip archive, which lies in any other place. It is read, or written once, as a whole."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from typing import BinaryIO, cast

from transship.errors import TransportError, UnsupportedError
from transship.plugin.blob import BlobReader, Content
from transship.plugin.files import unnamed_file

from .failures import reporting
from .reference import Place
from .store import PIECE, Found, PiecewiseContent, Store, blob_name, pieces, skip

# zipfile takes in the list of members at once.
DIRECTORY_LIMIT = 16 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)


class ZipReader(Store):
    """The files below ``folder`` of the archive that ``outer`` has as ``name``. One thread at a time reads it."""

    parallel = False

    def __init__(self, place: Place, outer: Store, name: str) -> None:
        self._place = place
        self._outer = outer
        with reporting("read", place):
            self._file = outer.seekable(name)
            try:
                self._zip = zipfile.ZipFile(cast("BinaryIO", _BoundedReads(self._file)))
            except BaseException:
                self._file.close()
                raise

    def size(self, name: str) -> int | None:
        found = self._find(name)
        return None if found is None else found.file_size

    def read(self, name: str, limit: int) -> Found:
        found = self._find(name)
        if found is None:
            return Found(None)
        with reporting("read", f"{self._place} {name}"), self._zip.open(found) as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise TransportError(f"read {self._place}: {name} has more than {limit} bytes")
        return Found(data)

    def content(self, name: str, size: int, offset: int = 0) -> Content | None:
        found = self._find(name)
        if found is None:
            return None
        with reporting("read", f"{self._place} {name}"):
            file = self._zip.open(found)
            try:
                skip(file, offset)
            except BaseException:
                file.close()
                raise
        return PiecewiseContent(pieces(file, self._place), found.file_size - offset, file.close)

    def close(self) -> None:
        self._zip.close()
        self._file.close()
        self._outer.close()

    def _find(self, name: str) -> zipfile.ZipInfo | None:
        path = f"{self._place.folder}/{name}" if self._place.folder else name
        return self._zip.NameToInfo.get(path)


class ZipWriter(Store):
    """A new archive, begun with the first file, which appears as ``name`` of ``outer`` when all is written."""

    parallel = False

    def __init__(self, place: Place, outer: Store, name: str, temporary_directory: str) -> None:
        self._place = place
        self._outer = outer
        self._name = name
        self._temporary_directory = temporary_directory
        self._stack = ExitStack()
        self._zip: zipfile.ZipFile | None = None
        self._publish: Callable[[str], None] | None = None
        self._sizes: dict[str, int] = {}
        self._small: dict[str, bytes] = {}
        self._is_broken = False
        self._refuse_old()

    def size(self, name: str) -> int | None:
        return self._sizes.get(name)

    def read(self, name: str, limit: int) -> Found:
        return Found(self._small.get(name))

    def content(self, name: str, size: int, offset: int = 0) -> Content | None:
        return None  # what is written cannot be read yet

    def put_blob(self, blob: BlobReader) -> None:
        expected = blob.expected
        if expected.digest is None:
            with unnamed_file(self._temporary_directory) as file:
                blob.write_to(file)
                file.seek(0)
                written = blob.descriptor
                self._add(blob_name(written.digest), lambda: file.read(PIECE), written.size)
        else:
            self._add(blob_name(expected.digest), lambda: blob.read(PIECE), expected.size)

    def write(self, name: str, data: bytes) -> None:
        self._add(name, _reader_of(data), len(data))
        self._small[name] = data

    def finish(self) -> None:
        """Complete the archive, and let it appear."""
        if self._is_broken or self._zip is None or self._publish is None:
            raise TransportError(f"write {self._place}: the archive is not whole")
        with reporting("write", self._place):
            self._zip.close()
        self._publish(self._name)  # with nothing asked between: see ``sftp_store``

    def close(self) -> None:
        if self._zip is not None:
            self._zip.fp = None  # else it would be completed by being forgotten
        self._stack.close()
        self._outer.close()

    def _refuse_old(self) -> None:
        if self._outer.size(self._name) is not None:
            raise UnsupportedError(f"{self._place}: the archive is there already, and is written as a whole only")

    def _add(self, name: str, read: Callable[[], bytes], size: int) -> None:
        if name in self._sizes:
            while read():  # it is verified, though it is there
                pass
            return
        path = f"{self._place.folder}/{name}" if self._place.folder else name
        self._is_broken = True
        count = 0
        is_large = not 0 <= size < 1 << 30
        with (
            reporting("write", self._place),
            self._begun().open(zipfile.ZipInfo(path, _EPOCH), "w", force_zip64=is_large) as member,
        ):
            while piece := read():
                member.write(piece)
                count += len(piece)
        self._is_broken = False
        self._sizes[name] = count

    def _begun(self) -> zipfile.ZipFile:
        if self._zip is None:
            file, self._publish = self._stack.enter_context(self._outer.creating("", name=self._name))
            self._zip = zipfile.ZipFile(cast("BinaryIO", _Sink(file)), "w")
        return self._zip


class _BoundedReads:
    """A file to read from, which refuses to read a lot at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = lambda: True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(min(size, DIRECTORY_LIMIT + 1) if size >= 0 else DIRECTORY_LIMIT + 1)
        if len(data) > DIRECTORY_LIMIT:
            raise TransportError("the archive has too many files")
        return data


def _reader_of(data: bytes) -> Callable[[], bytes]:
    stream = io.BytesIO(data)
    return lambda: stream.read(PIECE)


class _Sink:
    """A file to write to, from its beginning to its end."""

    def __init__(self, file: BinaryIO) -> None:
        self.write = file.write

    def flush(self) -> None:
        """Nothing: it is ended by whoever has made it."""
