"""Where the testing registry keeps bytes: in memory when they are few, else in files of its own folder."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

from transship.image.digest import Digest, Digester, digest_of

PIECE = 1 << 20
MEMORY_LIMIT = 4 << 20
"""Uploads of up to this many bytes stay in memory."""


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes in memory, or in the file ``path`` if there is one."""

    data: bytes = b""
    path: Path | None = None

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return len(self.data) if self.path is None else self.path.stat().st_size

    def read(self) -> bytes:
        """All bytes."""
        return self.data if self.path is None else self.path.read_bytes()

    def pieces(self, start: int, end: int) -> Iterator[memoryview]:
        """The bytes from ``start`` to before ``end``, in big pieces; a piece lives until the next."""
        if self.path is None:
            view = memoryview(self.data)
            yield from (view[at : min(at + PIECE, end)] for at in range(start, end, PIECE))
            return
        buffer = memoryview(bytearray(PIECE))
        with self.path.open("rb", buffering=0) as file:
            file.seek(start)
            while start < end and (count := file.readinto(buffer[: end - start])):
                start += count
                yield buffer[:count]

    def digest(self, algorithm: str) -> Digest:
        """Their digest."""
        if self.path is None:
            return digest_of(self.data, algorithm)
        digester = Digester(algorithm)
        for piece in self.pieces(0, self.size):
            digester.update(piece)
        return digester.digest()


class Spool:
    """Bytes that are still arriving: in memory, and in the file ``path`` once they are many."""

    def __init__(self, path: Path) -> None:
        self._path, self._memory = path, bytearray()
        self._file: FileIO | None = None
        self._digester = Digester()
        self.size = 0

    def write(self, piece: memoryview) -> None:
        """Append ``piece``."""
        if self._file is None and self.size + len(piece) > MEMORY_LIMIT:
            self._file = FileIO(self._path, "w+")
            self._append(memoryview(self._memory))
            self._memory = bytearray()
        self._append(piece)
        self._digester.update(piece)
        self.size += len(piece)

    def _append(self, piece: memoryview) -> None:
        if self._file is None:
            self._memory += piece
            return
        while piece:
            piece = piece[self._file.write(piece) :]

    def finish(self, algorithm: str) -> tuple[Content, Digest]:
        """What arrived, and its digest."""
        content = Content(bytes(self._memory)) if self._file is None else Content(path=self._path)
        self._close()
        return content, self._digester.digest() if algorithm == "sha256" else content.digest(algorithm)

    def discard(self) -> None:
        """Forget what arrived."""
        self._close()
        self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()


@dataclass(slots=True)
class Upload:
    """A blob on its way. ``lock`` is held while bytes arrive; ``state`` is what its location must carry along."""

    identifier: str
    repository: str
    spool: Spool
    state: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    short_chunk: bool = False


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest or index as it was put."""

    data: bytes
    media_type: str


@dataclass(slots=True)
class Repository:
    """All that one repository holds."""

    blobs: dict[Digest, Content] = field(default_factory=dict)
    manifests: dict[Digest, StoredManifest] = field(default_factory=dict)
    tags: dict[str, Digest] = field(default_factory=dict)
    signatures: dict[Digest, dict[str, bytes]] = field(default_factory=dict)


class Store:
    """All repositories and uploads. ``lock`` guards whoever reads and changes them in several steps."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = 0
        self.lock = threading.RLock()
        self.repositories: dict[str, Repository] = {}
        self.uploads: dict[str, Upload] = {}

    def new_spool(self) -> Spool:
        """A place for bytes that arrive."""
        with self.lock:
            self._files += 1
            return Spool(self._folder / str(self._files))

    def repository(self, name: str) -> Repository:
        """The repository of that name, made if it is new."""
        with self.lock:
            return self.repositories.setdefault(name, Repository())

    def find_blob(self, name: str, digest: Digest) -> Content | None:
        """A blob that the repository has."""
        with self.lock:
            return self.repositories.get(name, Repository()).blobs.get(digest)

    def find_anywhere(self, digest: Digest) -> Content | None:
        """A blob that any repository has."""
        with self.lock:
            found = (repository.blobs.get(digest) for repository in self.repositories.values())
            return next((content for content in found if content is not None), None)

    def put_blob(self, name: str, digest: Digest, content: Content) -> None:
        """Give the repository a blob whose digest was checked."""
        with self.lock:
            self.repository(name).blobs[digest] = content

    def close(self) -> None:
        """Drop the uploads that nobody finished."""
        with self.lock:
            for upload in self.uploads.values():
                upload.spool.discard()
            self.uploads.clear()
