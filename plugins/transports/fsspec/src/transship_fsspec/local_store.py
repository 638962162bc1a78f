"""A layout in a folder of this machine, with what only the kernel can do: locks, links refused, files cloned."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from transship.errors import TransportError
from transship.plugin.blob import BlobReader, Content, FileContent
from transship.plugin.files import (
    locked,
    open_regular,
    read_regular,
    remove_stale,
    reporting,
    sync_folder,
    temporary_in,
    write_file,
)

from .store import LEFTOVER_SECONDS, Found, Store, blob_name


class LocalStore(Store):
    """The files below ``root``."""

    def __init__(self, root: str) -> None:
        self._root = root
        if os.path.realpath(root) != root:
            raise TransportError(f"open {root}: it has become a link since it was named")

    def size(self, name: str) -> int | None:
        with reporting("read", self._path(name)):
            try:
                status = os.lstat(self._path(name))
            except (FileNotFoundError, NotADirectoryError):
                return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def read(self, name: str, limit: int) -> Found:
        with reporting("read", self._path(name)):
            try:
                return Found(read_regular(self._path(name), limit, within=self._root))
            except FileNotFoundError:
                return Found(None)

    def content(self, name: str, size: int, offset: int = 0) -> Content | None:
        with reporting("read", self._path(name)):
            try:
                return FileContent(open_regular(self._path(name), within=self._root), offset)
            except FileNotFoundError:
                return None

    def put_blob(self, blob: BlobReader) -> None:
        folder = self._folder("blobs")
        with reporting("write", folder), temporary_in(folder) as file:
            blob.write_to(file.file)
            name = blob_name(blob.descriptor.digest)
            self._folder(os.path.dirname(name))
            file.publish(self._path(name))

    def write(self, name: str, data: bytes) -> None:
        self._folder(os.path.dirname(name))
        with reporting("write", self._path(name)):
            write_file(self._path(name), data)

    def remove(self, name: str) -> None:
        self._folder(os.path.dirname(name))
        with reporting("remove", self._path(name)):
            try:
                os.unlink(self._path(name))
            except FileNotFoundError:
                return

    def seekable(self, name: str) -> BinaryIO:
        with reporting("read", self._path(name)):
            return io.BufferedReader(open_regular(self._path(name)))  # type: ignore[type-var]

    @contextmanager
    def creating(
        self, folder: str, *, size: int = -1, name: str = ""
    ) -> Iterator[tuple[BinaryIO, Callable[[str], None]]]:
        path = self._folder(folder)
        with reporting("write", path), temporary_in(path) as file:
            yield file.file, lambda final: file.publish(self._path(final))

    @contextmanager
    def locked(self) -> Iterator[None]:
        folder = self._folder("")
        with reporting("lock", folder), locked(folder):
            yield

    def finish(self) -> None:
        with reporting("write", self._root):
            sync_folder(self._root)
            remove_stale(self._folder("blobs"), seconds=LEFTOVER_SECONDS)

    def _path(self, name: str) -> str:
        return os.path.join(self._root, name)

    def _folder(self, name: str) -> str:
        """A folder of the layout, made if it is not there, and refused if a link leads out of the layout."""
        path = self._path(name) if name else self._root
        with reporting("write", path):
            os.makedirs(path, exist_ok=True)
        if os.path.realpath(path) != os.path.normpath(os.path.join(os.path.realpath(self._root), name)):
            raise TransportError(f"write {path}: a link leads elsewhere")
        return path
