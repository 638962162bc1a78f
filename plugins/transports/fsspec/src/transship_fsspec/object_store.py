"""A layout in an object store: an upload shows when it is complete, and not at all if it is broken off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from transship.plugin.blob import Content

from .failures import reporting
from .lock import LOCK_NAME, Lock, ObjectLock, is_refused_condition
from .store import PIECE, ChangedMeanwhileError, Found, PiecewiseContent
from .tree_store import TreeStore, temporary_name

SCHEMES = frozenset(["abfs", "gcs", "oci", "oss", "s3", "tos"])
PART = 8 << 20
MOST_PARTS = 9000  # S3 allows 10,000


class ObjectStore(TreeStore):
    """The objects below ``url``. There are no folders, and what has a name from the beginning is not moved."""

    parallel = True

    def read(self, name: str, limit: int) -> Found:
        is_replaced = "/" not in name  # what has a digest for a name is not
        version = self._version(name) if is_replaced else ""  # if the bytes turn out newer, the condition fails
        return Found(super().read(name, limit).data, version)

    def content(self, name: str, size: int, offset: int = 0) -> Content | None:
        found = self.size(name)
        if found is None:
            return None
        return PiecewiseContent(self._ranges(name, offset, found), found - offset)

    def write(self, name: str, data: bytes) -> None:
        with reporting("write", self.place(name)):
            self._filesystem.pipe_file(self._path(name), data)

    def replace(self, name: str, data: bytes, found: Found) -> None:
        with reporting("write", self.place(name)):
            try:
                if found.data is None:
                    self._filesystem.pipe_file(self._path(name), data, mode="create")
                elif found.version:
                    self._filesystem.pipe_file(self._path(name), data, IfMatch=found.version)
                else:
                    self._filesystem.pipe_file(self._path(name), data)
            except FileExistsError as error:
                raise _changed() from error
            except OSError as error:
                if is_refused_condition(error):
                    raise _changed() from error
                raise

    def make_folder(self, name: str) -> None:
        """Nothing: making a folder at the top would make a bucket."""

    def seekable(self, name: str) -> BinaryIO:
        with reporting("read", self.place(name)):
            file: BinaryIO = self._filesystem.open(self._path(name), "rb", block_size=PIECE)
            return file

    @contextmanager
    def creating(
        self, folder: str, *, size: int = -1, name: str = ""
    ) -> Iterator[tuple[BinaryIO, Callable[[str], None]]]:
        begun = name or temporary_name(folder)
        with reporting("write", self.place(begun)):
            part = max(PART, size // MOST_PARTS)
            file = self._filesystem.open(self._path(begun), "wb", block_size=part, autocommit=False)
        is_published = False

        def publish(final: str) -> None:
            nonlocal is_published
            with reporting("write", self.place(final)):
                file.close()
                file.commit()
                is_published = True
                if final != begun:
                    self._filesystem.cp_file(self._path(begun), self._path(final))
                    self._filesystem.rm_file(self._path(begun))

        try:
            yield file, publish
        finally:
            if not is_published:
                with suppress(Exception):  # what went wrong before is what the user wants to know
                    file.discard()
                file.closed = True  # else it would be completed by being forgotten

    def _first_bytes(self, name: str, most: int) -> bytes:
        return bytes(self._filesystem.cat_file(self._path(name), start=0, end=most))

    def _ranges(self, name: str, offset: int, size: int) -> Iterator[bytes]:
        path = self._path(name)
        while offset < size:
            with reporting("read", self.place(name)):
                piece = self._filesystem.cat_file(path, start=offset, end=min(offset + PIECE, size))
            if not piece:
                return
            offset += len(piece)
            yield piece

    def _version(self, name: str) -> str:
        with reporting("read", self.place(name)):
            found = self._status(name) if self._url.scheme == "s3" else None
        return str((found or {}).get("ETag", ""))

    def _lock(self) -> Lock:
        return ObjectLock(self._filesystem, self._path(LOCK_NAME), self._context)


def _changed() -> ChangedMeanwhileError:
    return ChangedMeanwhileError("somebody else was quicker")
