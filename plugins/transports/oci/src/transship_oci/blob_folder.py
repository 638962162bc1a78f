"""A folder that blobs are written to: ``ALGORITHM/ENCODED`` below one root."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

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
from transship.plugin.partial import (
    PartialFile,
    PartialState,
    continued_partial,
    open_partial,
    publish_partial,
    remove_partial,
    remove_stale_partials,
)

_LIMIT = 20_000
_LEAST_KEPT = 64 << 10
_ATTEMPTS = 4

_Result = TypeVar("_Result")


class _Staged(NamedTuple):
    """A whole blob without its name yet. ``state`` is that of a file which others may take too, None for our own."""

    path: str
    size: int
    state: PartialState | None = None


class StagedBlobs:
    """Blobs that images of the same run have written to one folder, or have found there and verified."""

    def __init__(self) -> None:
        self._staged: dict[Digest, _Staged] = {}
        self._verified: dict[Digest, tuple[int, ...]] = {}
        self._lock = threading.Lock()

    def note(self, digest: Digest, staged: _Staged) -> None:
        """Note that a file, which has only a temporary name, holds a blob."""
        with self._lock:
            _drop_oldest(self._staged)
            self._staged[digest] = staged

    def note_verified(self, digest: Digest, status: os.stat_result) -> None:
        """Note that the file with that ``status`` has been read and holds a blob."""
        with self._lock:
            _drop_oldest(self._verified)
            self._verified[digest] = _fingerprint(status)

    def is_verified(self, digest: Digest, status: os.stat_result) -> bool:
        """Whether the file with that ``status`` was verified, and nothing has changed it since."""
        with self._lock:
            return self._verified.get(digest) == _fingerprint(status)

    def find(self, digest: Digest) -> _Staged | None:
        """The file that holds a blob, if it is still there."""
        with self._lock:
            return self._staged.get(digest)


def _fingerprint(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _drop_oldest(held: dict[Digest, Any]) -> None:
    if len(held) >= _LIMIT:
        del held[next(iter(held))]


class BlobFolder:
    """Writes blobs below ``root``, from several threads if need be; folders are made when they are needed.

    A blob gets its name in ``settle``; until then it has a temporary one, and nobody else can come to rely on it. If
    its digest is known beforehand and it comes from elsewhere, that name is one by which a later copy finds it, whole
    or not, if there is no ``settle``. What is a file of this machine can be had again just as fast.

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
        self._staged: dict[Digest, _Staged] = {}
        self._made: list[str] = []
        self._others = others or StagedBlobs()

    def find(self, descriptor: Descriptor) -> int | None:
        """The size of a blob that is here and holds what it should, None if there is none."""
        digest = descriptor.digest
        size = self._sizes.get(digest)
        if size is None:
            size = self._shared_size(digest) or self._verified_size(digest, descriptor) or self._kept_size(descriptor)
        if size is None or 0 <= descriptor.size != size:
            return None
        self._sizes[digest] = size
        return size

    def find_partial(self, descriptor: Descriptor) -> FileContent | None:
        """The first bytes of a blob, as a copy that was broken off has left them here."""
        partial = self._open_partial(descriptor.digest)
        if partial is None:
            return None
        size = partial.state.size
        is_whole = descriptor.size <= size if descriptor.size >= 0 else partial.is_complete
        if size == 0 or is_whole:
            partial.file.close()
            return None
        return FileContent(partial.file, 0, size)

    def store(self, blob: BlobReader) -> None:
        """Read a blob to its end and keep it under its digest."""
        with reporting("write", self._root):
            self.make()
            if not ((self._prefers_links and self._link(blob)) or self._store_resumably(blob)):
                with self._temporary() as temporary:
                    blob.write_to(temporary.file)
                    self._publish(temporary, blob.descriptor.digest, blob.descriptor.size)

    def store_bytes(self, data: bytes, digest: Digest) -> None:
        """Keep ``data`` under ``digest``, which must be its own."""
        if digest_of(data, digest.algorithm) != digest:
            raise ContentMismatchError(f"the manifest to be written is not {digest}")
        with reporting("write", self._root), self._temporary() as temporary:
            temporary.write(data)
            self._publish(temporary, digest, len(data))

    def make(self) -> None:
        """Make the root, and refuse one that leads elsewhere."""
        self._made += _insisting(make_folders, self._root)
        self._refuse_astray(self._root)

    def settle(self) -> None:
        """Give blobs their names, durably; check that none has vanished meanwhile; clear what killed runs left."""
        for digest, staged in list(self._staged.items()):
            _insisting(self._give_name, digest, staged)
        for digest in self._sizes:
            if not os.path.isfile(self._path(digest)):
                raise self._vanished(digest)
        for algorithm in {digest.algorithm for digest in self._sizes}:
            sync_folder(os.path.join(self._root, algorithm))
        for digest in self._sizes:
            remove_partial(self._root, digest)
        remove_stale_partials(self._root)
        remove_stale(self._root)
        sync_folder(self._root)

    def abandon(self) -> None:
        """Remove blobs that no later copy could find, and the folders that this object made, if they are empty."""
        for staged in self._staged.values():
            if staged.state is None:
                with contextlib.suppress(OSError):
                    os.unlink(staged.path)
        self._staged.clear()
        for folder in sorted(self._made, key=len, reverse=True):  # threads may have noted them in any order
            with contextlib.suppress(OSError):
                os.rmdir(folder)

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[TemporaryFile]:
        """A new file in the root, gone at the end of the block unless published."""

        def begin() -> TemporaryFile:
            self.make()
            return stack.enter_context(temporary_in(self._root))

        with contextlib.ExitStack() as stack:
            yield _insisting(begin)

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
        try:
            if staged.state is not None:
                if PartialState.of(os.lstat(staged.path)) != staged.state:
                    return None
            else:
                own = unused_name(self._root)
                os.link(staged.path, own)
                staged = staged._replace(path=own)
        except OSError:  # it has its final name by now, or its image was given up
            return None
        self._stage(digest, staged)
        return staged.size

    def _kept_size(self, descriptor: Descriptor) -> int | None:
        """The size of a blob that a copy which was broken off has left here whole."""
        partial = self._open_partial(descriptor.digest)
        if partial is None:
            return None
        with partial:
            size = partial.state.size
            content = FileContent(partial.file, 0, size)
            if 0 <= descriptor.size != size or not holds(content, Descriptor("", descriptor.digest, size)):
                return None
            partial.touch()
            if not partial.is_complete:  # nobody else may begin it anew
                partial.complete()
            self._stage(descriptor.digest, _Staged(partial.path, size, partial.state))
            return size

    def _open_partial(self, digest: Digest, *, create: bool = False, waits: bool = False) -> PartialFile | None:
        return None if self._leads_astray(self._root) else open_partial(self._root, digest, create=create, waits=waits)

    def _store_resumably(self, blob: BlobReader) -> bool:
        """Store a blob so that a later copy can go on with it; False if that cannot be."""
        digest, beginning = blob.expected.digest, blob.beginning
        if digest is None or blob.file_content is not None:
            return False
        partial = beginning and continued_partial(self._root, digest, beginning.file)
        if partial:
            self._write_partial(blob, digest, partial)
            return True
        partial = self._open_partial(digest, create=True)
        if partial is None:
            return False
        with partial:
            if partial.is_complete:  # by another process that is about to give it its name
                return False
            partial.restart()
            self._write_partial(blob, digest, partial)
        return True

    def _write_partial(self, blob: BlobReader, digest: Digest, partial: PartialFile) -> None:
        try:
            blob.write_to(partial.file)
            state = partial.complete()
        except (ContentMismatchError, OSError):  # a wrong blob, or a full disk
            partial.discard()
            raise
        except BaseException:
            if partial.state.size < _LEAST_KEPT:
                partial.discard()
            raise
        self._stage(digest, _Staged(partial.path, blob.descriptor.size, state))

    def _give_name(self, digest: Digest, staged: _Staged) -> None:
        final = self._final_path(digest)
        if staged.state is None:
            os.replace(staged.path, final)
            with contextlib.suppress(FileNotFoundError):  # renaming onto another name of one file keeps both
                os.unlink(staged.path)
        elif not publish_partial(staged.path, staged.state, final):
            self._find_again(digest, final)

    def _find_again(self, digest: Digest, final: str) -> None:
        """See to a blob that another process has taken, and perhaps given its name, meanwhile."""
        for _ in range(_ATTEMPTS):
            if self._verified_size(digest, Descriptor("", digest)) is not None or self._publish_kept(digest, final):
                return
        raise self._vanished(digest)

    def _publish_kept(self, digest: Digest, final: str) -> bool:
        """Give its name to a whole blob that others are reading, or perhaps writing, at this moment."""
        partial = self._open_partial(digest, waits=True)
        if partial is None:
            return False
        with partial:
            size = partial.state.size
            if not holds(FileContent(partial.file, 0, size), Descriptor("", digest, size)):
                return False
            partial.publish(final)
            return True

    def _vanished(self, digest: Digest) -> TransportError:
        return TransportError(f"{self._path(digest)} was removed by somebody else meanwhile")

    def _link(self, blob: BlobReader) -> bool:
        path = unused_name(self._root)
        if not blob.link_to(path):
            return False
        self._stage(blob.descriptor.digest, _Staged(path, blob.descriptor.size))
        return True

    def _publish(self, temporary: TemporaryFile, digest: Digest, size: int) -> None:
        path = unused_name(self._root)
        temporary.publish(path)
        self._stage(digest, _Staged(path, size))

    def _stage(self, digest: Digest, staged: _Staged) -> None:
        if self._staged.setdefault(digest, staged) != staged and staged.state is None:  # another thread was first
            os.unlink(staged.path)
        self._refuse_astray(os.path.dirname(self._path(digest)))
        self._sizes[digest] = staged.size
        self._others.note(digest, self._staged[digest])

    def _final_path(self, digest: Digest) -> str:
        path = self._path(digest)
        folder = os.path.dirname(path)
        self._made += make_folders(folder)
        self._refuse_astray(folder)
        return path

    def _refuse_astray(self, folder: str) -> None:
        if self._leads_astray(folder):
            raise TransportError(f"{folder}: leads out of {self._within}")

    def _leads_astray(self, folder: str) -> bool:
        """Whether ``folder``, the root or one in it, really lies outside."""
        if not self._is_led_by_links(folder):
            return False
        real, place = os.path.realpath(folder), os.path.realpath(self._within)
        return real != place and not real.startswith(place.rstrip("/") + "/")

    def _is_led_by_links(self, folder: str) -> bool:
        """Whether any name on the way from the place to ``folder`` is a link: there are one or two."""
        while len(folder) > len(self._within):
            if os.path.islink(folder):
                return True
            folder = os.path.dirname(folder)
        return False


def _insisting(work: Callable[..., _Result], *arguments: object) -> _Result:
    """What ``work`` gives, at a later attempt where a copy that failed took away the folders that it had made."""
    for _ in range(_ATTEMPTS - 1):
        with contextlib.suppress(FileNotFoundError):
            return work(*arguments)
    return work(*arguments)


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
