"""A folder that blobs are written to: ``ALGORITHM/ENCODED`` below one root."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from typing import Any

from transship.errors import ContentMismatchError, TransportError
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest, digest_of
from transship.plugin.blob import BlobReader, FileContent, holds
from transship.plugin.files import (
    TemporaryFile,
    open_regular,
    remove_stale,
    reporting,
    sync_folder,
    temporary_in,
    unused_name,
)

_LIMIT = 20_000


class StagedBlobs:
    """Blobs that images of the same run have written to one folder, or have found there and verified."""

    def __init__(self) -> None:
        self._staged: dict[Digest, tuple[str, int]] = {}
        self._verified: dict[Digest, tuple[int, ...]] = {}
        self._lock = threading.Lock()

    def note(self, digest: Digest, path: str, size: int) -> None:
        """Note that the file ``path``, which has only a temporary name, holds a blob."""
        with self._lock:
            _drop_oldest(self._staged)
            self._staged[digest] = (path, size)

    def note_verified(self, digest: Digest, status: os.stat_result) -> None:
        """Note that the file with that ``status`` has been read and holds a blob."""
        with self._lock:
            _drop_oldest(self._verified)
            self._verified[digest] = _fingerprint(status)

    def is_verified(self, digest: Digest, status: os.stat_result) -> bool:
        """Whether the file with that ``status`` was verified, and nothing has changed it since."""
        with self._lock:
            return self._verified.get(digest) == _fingerprint(status)

    def find(self, digest: Digest) -> tuple[str, int] | None:
        """The file that holds a blob, if it is still there, and its size."""
        with self._lock:
            return self._staged.get(digest)


def _fingerprint(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _drop_oldest(held: dict[Digest, Any]) -> None:
    if len(held) >= _LIMIT:
        del held[next(iter(held))]


class BlobFolder:
    """Writes blobs below ``root``, from several threads if need be; folders are made when they are needed.

    A blob gets its name in ``settle``; until then it has a temporary one, and nobody else can come to rely on it.

    ``within`` is the place that nothing may lead out of. ``prefers_links``: blobs that are files of this
    machine are given a further name instead of being copied, where that can be. ``others`` are those of other images.
    """

    def __init__(
        self, root: str, within: str, *, prefers_links: bool = False, others: StagedBlobs | None = None
    ) -> None:
        self._root = root
        self._within = within
        self._prefers_links = prefers_links
        self._sizes: dict[Digest, int] = {}
        self._staged: dict[Digest, str] = {}
        self._made: list[str] = []
        self._others = others or StagedBlobs()

    def find(self, descriptor: Descriptor) -> int | None:
        """The size of a blob that is here and holds what it should, None if there is none."""
        digest = descriptor.digest
        size = self._sizes.get(digest)
        if size is None:
            size = self._shared_size(digest) or self._verified_size(digest, descriptor)
        if size is None or 0 <= descriptor.size != size:
            return None
        self._sizes[digest] = size
        return size

    def store(self, blob: BlobReader) -> None:
        """Read a blob to its end and keep it under its digest."""
        with reporting("write", self._root):
            self.make()
            if not (self._prefers_links and self._link(blob)):
                with temporary_in(self._root) as temporary:
                    blob.write_to(temporary.file)
                    self._publish(temporary, blob.descriptor.digest, blob.descriptor.size)

    def store_bytes(self, data: bytes, digest: Digest) -> None:
        """Keep ``data`` under ``digest``, which must be its own."""
        if digest_of(data, digest.algorithm) != digest:
            raise ContentMismatchError(f"the manifest to be written is not {digest}")
        with reporting("write", self._root):
            self.make()
            with temporary_in(self._root) as temporary:
                view = memoryview(data)
                while view:
                    view = view[temporary.file.write(view) or 0 :]
                self._publish(temporary, digest, len(data))

    def make(self) -> None:
        """Make the root, and refuse one that leads elsewhere."""
        self._made += make_folders(self._root)
        self._refuse_astray(self._root)

    def settle(self) -> None:
        """Give blobs their names, durably; check that none has vanished meanwhile; clear what killed runs left."""
        for digest, staged in self._staged.items():
            os.replace(staged, self._final_path(digest))
            with contextlib.suppress(FileNotFoundError):  # renaming onto another name of one file keeps both
                os.unlink(staged)
        for digest in self._sizes:
            if not os.path.isfile(self._path(digest)):
                raise TransportError(f"{self._path(digest)} was removed by somebody else meanwhile")
        for algorithm in {digest.algorithm for digest in self._sizes}:
            sync_folder(os.path.join(self._root, algorithm))
        remove_stale(self._root)
        sync_folder(self._root)

    def abandon(self) -> None:
        """Remove blobs that have no name yet, and the folders that this object made, as far as they are empty."""
        for staged in self._staged.values():
            with contextlib.suppress(OSError):
                os.unlink(staged)
        self._staged.clear()
        for folder in sorted(self._made, key=len, reverse=True):  # threads may have noted them in any order
            with contextlib.suppress(OSError):
                os.rmdir(folder)

    def _path(self, digest: Digest) -> str:
        return os.path.join(self._root, digest.algorithm, digest.encoded)

    def _verified_size(self, digest: Digest, descriptor: Descriptor) -> int | None:
        try:
            content = FileContent(open_regular(self._path(digest), within=self._within))
        except (OSError, TransportError):
            return None
        try:
            if 0 <= descriptor.size != content.size:
                return None
            status = os.fstat(content.file.fileno())
            if self._others.is_verified(digest, status):
                return content.size
            with reporting("read", self._path(digest)):
                if not holds(content, Descriptor("", digest, content.size)):
                    return None
            self._others.note_verified(digest, status)
            return content.size
        finally:
            content.close()

    def _shared_size(self, digest: Digest) -> int | None:
        """The size of a blob that another image has just written, and that gets a name of this one too."""
        if (staged := self._others.find(digest)) is None:
            return None
        path, size = staged
        own = unused_name(self._root)
        try:
            os.link(path, own)
        except OSError:  # it has its final name by now, or its image was given up
            return None
        self._stage(own, digest, size)
        return size

    def _link(self, blob: BlobReader) -> bool:
        path = unused_name(self._root)
        if not blob.link_to(path):
            return False
        self._stage(path, blob.descriptor.digest, blob.descriptor.size)
        return True

    def _publish(self, temporary: TemporaryFile, digest: Digest, size: int) -> None:
        path = unused_name(self._root)
        temporary.publish(path)
        self._stage(path, digest, size)

    def _stage(self, path: str, digest: Digest, size: int) -> None:
        if self._staged.setdefault(digest, path) != path:  # another thread was first
            os.unlink(path)
        self._refuse_astray(os.path.dirname(self._path(digest)))
        self._sizes[digest] = size
        self._others.note(digest, self._staged[digest], size)

    def _final_path(self, digest: Digest) -> str:
        path = self._path(digest)
        folder = os.path.dirname(path)
        self._made += make_folders(folder)
        self._refuse_astray(folder)
        return path

    def _refuse_astray(self, folder: str) -> None:
        real, place = os.path.realpath(folder), os.path.realpath(self._within)
        if real != place and not real.startswith(place.rstrip("/") + "/"):
            raise TransportError(f"{folder}: leads out of {self._within}")


def make_folders(path: str) -> list[str]:
    """Make a folder and its parents; gives those that were not there, outermost first."""
    missing = []
    while path and not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    made = []
    for folder in reversed(missing):
        try:
            os.mkdir(folder, 0o755)
        except FileExistsError:
            if not os.path.isdir(folder):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder) from None
        else:
            made.append(folder)
    return made
