"""What a layout needs of the place where it is kept, whichever that is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import IO, BinaryIO, NamedTuple

from transship.errors import TransshipError, UnsupportedError
from transship.image.digest import Digest
from transship.plugin.blob import BlobReader, Content

from .failures import reporting

PIECE = 4 << 20  # what is asked for or sent at once
LEFTOVER_SECONDS = 24 * 60 * 60


def blob_name(digest: Digest) -> str:
    """Where a layout keeps a blob (OCI image-spec image-layout.md)."""
    return f"blobs/{digest.algorithm}/{digest.encoded}"


class Found(NamedTuple):
    """A small file's bytes, None if it is not there, and which state of it they are, ``""`` where nothing says so."""

    data: bytes | None
    version: str = ""


class ChangedMeanwhileError(TransshipError):
    """Somebody else has replaced a file since it was read."""


class Store(ABC):
    """The files of one layout, by their names below its root.

    What fails raises ``TransportError``. ``parallel``: several threads may read and write blobs at once.
    """

    parallel = True

    @abstractmethod
    def size(self, name: str) -> int | None:
        """The size of a file, None if there is none."""

    @abstractmethod
    def read(self, name: str, limit: int) -> Found:
        """A whole small file; more than ``limit`` bytes are an error."""

    @abstractmethod
    def content(self, name: str, size: int, offset: int = 0) -> Content | None:
        """The bytes of a file of ``size`` bytes from ``offset`` on, None if there is no such file."""

    def put_blob(self, blob: BlobReader) -> None:
        """Store a blob under the name of its digest, where it appears when it is whole and verified."""
        raise UnsupportedError("nothing can be written here")

    def write(self, name: str, data: bytes) -> None:
        """Store a small file, which appears when it is whole."""
        raise UnsupportedError("nothing can be written here")

    def replace(self, name: str, data: bytes, found: Found) -> None:
        """As ``write``; raise ``ChangedMeanwhileError`` if the file is seen not to be the one that was found."""
        self.write(name, data)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        raise UnsupportedError("nothing can be removed here")

    def locked(self) -> AbstractContextManager[None]:
        """Keep others who do the same away for a block, as far as the place allows that."""
        return nullcontext()

    def seekable(self, name: str) -> BinaryIO:
        """A file to read here and there; it must be there."""
        raise UnsupportedError("an archive cannot be in here")

    def creating(
        self, folder: str, *, size: int = -1, name: str = ""
    ) -> AbstractContextManager[tuple[BinaryIO, Callable[[str], None]]]:
        """A new file, and the function that ends it and gives it its name; without that nothing is left of it.

        ``size`` and ``name`` are what it will have, -1 and ``""`` where that is not known.
        """
        raise UnsupportedError("an archive cannot be in here")

    def finish(self) -> None:  # noqa: B027 - most places have nothing to do
        """Called last of all, when everything was written."""

    def close(self) -> None:  # noqa: B027 - the same
        """Release everything, and remove what is not complete. May be called more than once."""


class PiecewiseContent(Content):
    """Content that is made piece by piece."""

    def __init__(self, pieces: Iterator[bytes], size: int, close: Callable[[], None] = lambda: None) -> None:
        self.size = size
        self._pieces = pieces
        self._close = close

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        """Release what is behind it. May be called more than once."""
        self._close()


def skip(file: IO[bytes], size: int) -> None:
    """Go to position ``size`` of a file that was just opened."""
    if not size:
        return
    try:
        file.seek(size)
    except (OSError, ValueError, NotImplementedError):  # what cannot be sought is read
        while size and (piece := file.read(min(size, PIECE))):
            size -= len(piece)


def pieces(file: IO[bytes], place: object) -> Iterator[bytes]:
    """The rest of a file; ``place`` is what errors call it."""
    while True:
        with reporting("read", place):
            piece = file.read(PIECE)
        if not piece:
            return
        yield piece
