"""A layout on a file system of fsspec's that has folders, where a file shows while it is written."""

from __future__ import annotations

import io
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, BinaryIO

from transship.errors import TransportError
from transship.plugin.blob import BlobReader, Content
from transship.plugin.context import Context

from .connection import Connections
from .failures import reason_of, reporting
from .lock import LOCK_NAME, FolderLock, Lock, process_lock
from .reference import Url
from .store import LEFTOVER_SECONDS, PIECE, Found, PiecewiseContent, Store, blob_name, pieces, skip

_ABSENT = (FileNotFoundError, NotADirectoryError)


class TreeStore(Store):
    """The files below ``url``. They get their names by a move, when they are whole."""

    parallel = False  # few of fsspec's file systems say that threads may share them

    def __init__(self, url: Url, connections: Connections, context: Context) -> None:
        self._url = url
        self._connections = connections
        self._context = context
        self._made: Any = None
        self._folders: set[str] = set()

    def size(self, name: str) -> int | None:
        with reporting("read", self.place(name)):
            found = self._status(name)
        return None if found is None or found["type"] != "file" else int(found["size"])

    def read(self, name: str, limit: int) -> Found:
        with reporting("read", self.place(name)):
            try:
                data = self._first_bytes(name, limit + 1)
            except _ABSENT:
                return Found(None)
        if len(data) > limit:
            raise TransportError(f"read {self.place(name)}: more than {limit} bytes")
        return Found(data)

    def content(self, name: str, size: int, offset: int = 0) -> Content | None:
        with reporting("read", self.place(name)):
            try:
                file = self._open(name, offset)
            except _ABSENT:
                return None
        return PiecewiseContent(self._pieces(file, name), size - offset if size >= 0 else -1, file.close)

    def seekable(self, name: str) -> BinaryIO:
        with reporting("read", self.place(name)):
            return self._open(name, 0)

    def put_blob(self, blob: BlobReader) -> None:
        expected = blob.expected
        name = blob_name(expected.digest) if expected.digest else ""
        with self.creating("blobs", size=expected.size, name=name) as (file, publish):
            while piece := blob.read(PIECE):
                with reporting("write", self.place("blobs")):
                    file.write(piece)
            publish(blob_name(blob.descriptor.digest))

    def write(self, name: str, data: bytes) -> None:
        with self.creating(name.rpartition("/")[0], size=len(data), name=name) as (file, publish):
            with reporting("write", self.place(name)):
                file.write(data)
            publish(name)

    @contextmanager
    def creating(
        self, folder: str, *, size: int = -1, name: str = ""
    ) -> Iterator[tuple[BinaryIO, Callable[[str], None]]]:
        self.make_folder(folder)
        temporary = temporary_name(folder)
        file: BinaryIO | None = None
        is_published = False

        def publish(final: str) -> None:
            nonlocal is_published
            with reporting("write", self.place(final)):
                if file is not None:
                    file.close()
            self.make_folder(final.rpartition("/")[0])
            with reporting("write", self.place(final)):
                self._filesystem.mv(self._path(temporary), self._path(final))
            is_published = True

        try:
            with reporting("write", self.place(temporary)):
                file = self._create(temporary)
            yield file, publish
        except Exception:
            with suppress(Exception):  # what went wrong before is what the user wants to know
                if file is not None:
                    file.close()
            raise
        except BaseException:
            self._connections.end(self._made)  # it may have been interrupted in the middle of a message
            self._made = None
            raise
        finally:
            if not is_published:
                with suppress(Exception):
                    self._filesystem.rm_file(self._path(temporary))

    def remove(self, name: str) -> None:
        with reporting("remove", self.place(name)), suppress(FileNotFoundError):
            self._filesystem.rm_file(self._path(name))

    @contextmanager
    def locked(self) -> Iterator[None]:
        self.make_folder("")
        with process_lock(str(self._url), self._context.cancellation), self._lock().held():
            yield

    def finish(self) -> None:
        """Remove what killed writers have left, where times are known."""
        try:
            for found in self._filesystem.ls(self._path("blobs"), detail=True):
                name = found["name"].rpartition("/")[2]
                if name.startswith(".transship.") and _age(found) > LEFTOVER_SECONDS:
                    self._filesystem.rm_file(self._path(f"blobs/{name}"))
        except Exception as error:  # the image is complete all the same
            self._context.debug(f"tidy up {self.place('blobs')}: {reason_of(error)}")

    def close(self) -> None:
        made, self._made = self._made, None
        if made is not None:
            self._connections.give_back(made)

    def place(self, name: str) -> str:
        """How messages call a file."""
        return f"{self._url}/{name}" if name else str(self._url)

    def make_folder(self, name: str) -> None:
        """Make a folder of the layout, and those above it, if they are not there."""
        if name in self._folders:
            return
        with reporting("write", self.place(name)):
            self._make_folders(self._path(name))
        self._folders.add(name)

    @property
    def _filesystem(self) -> Any:
        if self._made is None:
            self._made = self._connections.take()
        return self._made

    def _path(self, name: str) -> str:
        root: str = self._filesystem._strip_protocol(str(self._url))
        return f"{root}/{name}" if name else root

    def _make_folders(self, path: str) -> None:
        before = ""
        while True:
            try:
                self._filesystem.makedirs(path, exist_ok=True)
                return
            except Exception:  # many file systems fail in some way when another writer makes a level first
                there = self._nearest_folder(path)
                if there == path:
                    return
                if len(there) <= len(before):
                    raise
                before = there

    def _nearest_folder(self, path: str) -> str:
        """``path``, or the nearest folder above it that is there."""
        while path and not self._filesystem.isdir(path):
            path = path.rpartition("/")[0]
        return path

    def _status(self, name: str) -> dict[str, Any] | None:
        path = self._path(name)
        self._filesystem.invalidate_cache(path)
        try:
            return dict(self._filesystem.info(path))
        except _ABSENT:
            return None

    def _first_bytes(self, name: str, most: int) -> bytes:
        with self._open(name, 0) as file:
            return file.read(most)

    def _open(self, name: str, offset: int) -> BinaryIO:
        file: BinaryIO = self._filesystem.open(self._path(name), "rb")
        try:
            skip(file, offset)
        except BaseException:
            file.close()
            raise
        return file

    def _create(self, name: str) -> BinaryIO:
        file: BinaryIO = self._filesystem.open(self._path(name), "wb")
        return file

    def _pieces(self, file: BinaryIO, name: str) -> Iterator[bytes]:
        return pieces(file, self.place(name))

    def _lock(self) -> Lock:
        return FolderLock(self._filesystem, self._path(LOCK_NAME), self._context)


class MemoryStore(TreeStore):
    """In the memory of this process. All who open a file there get the same one, so it is read by position."""

    parallel = True

    def _open(self, name: str, offset: int) -> BinaryIO:
        return io.BytesIO(self._filesystem.cat_file(self._path(name), start=offset))

    @contextmanager
    def locked(self) -> Iterator[None]:
        self.make_folder("")
        with process_lock(str(self._url), self._context.cancellation):
            yield


def temporary_name(folder: str) -> str:
    """A name that nothing has."""
    return f"{folder}/.transship.{secrets.token_hex(8)}.tmp".removeprefix("/")


def _age(found: dict[str, Any]) -> float:
    """How many seconds ago a file was last written to, 0 where nothing says so."""
    when = next((found[name] for name in ("mtime", "LastModified", "modified", "created") if found.get(name)), None)
    if isinstance(when, datetime):
        when = when.timestamp()
    return time.time() - when if isinstance(when, int | float) else 0.0
