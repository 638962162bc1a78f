"""Partial blobs: what a copy that was broken off has left at its destination, for a later one to go on with.

A partial blob lies under a dot name that says its digest. Who writes to it, removes or renames it holds its lock, so
nobody ever takes what another process is writing. What it holds is believed only when it was hashed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Callable
from types import TracebackType
from typing import BinaryIO, NamedTuple, Self

from transship.image.digest import Digest

_PREFIX = ".transship."
_SUFFIX = ".partial"
_COMPLETE = 0o644


class PartialState(NamedTuple):
    """Which file, and in which state: one that was written to or replaced has another."""

    device: int
    number: int
    size: int
    modified: int

    @classmethod
    def of(cls, status: os.stat_result) -> PartialState:
        """That of the file with this ``status``."""
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


class PartialFile:
    """A partial blob, locked until ``file`` is closed, which is unbuffered and open for reading and writing."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        self.file = file
        self.path = path

    @property
    def state(self) -> PartialState:
        """The file as it is now."""
        return PartialState.of(os.fstat(self.file.fileno()))

    def restart(self) -> None:
        """Empty it."""
        os.fchmod(self.file.fileno(), 0o600)
        os.ftruncate(self.file.fileno(), 0)

    def complete(self) -> PartialState:
        """Make what was written durable, and let others read it, now that it was verified."""
        os.fsync(self.file.fileno())
        os.fchmod(self.file.fileno(), _COMPLETE)
        return self.state

    @property
    def is_complete(self) -> bool:
        """Whether somebody has verified what was written, and may count on finding it here."""
        return stat.S_IMODE(os.fstat(self.file.fileno()).st_mode) == _COMPLETE

    def publish(self, final: str) -> None:
        """Let what it holds, which was verified, take the name ``final``, durably."""
        if not self.is_complete:
            self.complete()
        os.replace(self.path, final)

    def touch(self) -> None:
        """Let it live for another day."""
        with contextlib.suppress(OSError):
            os.utime(self.file.fileno())

    def discard(self) -> None:
        """Remove it."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.file.close()


def partial_path(folder: str, digest: Digest) -> str:
    """Where the partial blob of ``digest`` lies."""
    return os.path.join(folder, f"{_PREFIX}{digest.algorithm}-{digest.encoded}{_SUFFIX}")


def open_partial(folder: str, digest: Digest, *, create: bool = False, waits: bool = False) -> PartialFile | None:
    """Lock the partial blob of ``digest``, a new one if there is none and ``create`` says so.

    None if there is none, if it is not this user's alone, or if another process has it locked and nothing ``waits``
    for that to end.
    """
    partial = _lock(partial_path(folder, digest), os.O_CREAT if create else 0, waits=lambda _: waits)
    if partial is None:
        return None
    status = os.fstat(partial.file.fileno())
    if status.st_uid != os.geteuid() or status.st_nlink != 1:
        partial.file.close()
        return None
    return partial


def continued_partial(folder: str, digest: Digest, file: BinaryIO) -> PartialFile | None:
    """The partial blob of ``digest`` if ``file``, which is locked, is the one."""
    path = partial_path(folder, digest)
    return PartialFile(file, path) if _names(path, file) else None


def publish_partial(path: str, state: PartialState, final: str) -> bool:
    """Let the whole blob at ``path`` take the name ``final``, durably; False if it is no longer there as it was."""
    partial = _lock(path, waits=lambda found: found == state)
    if partial is None:
        return False
    with partial:
        if partial.state != state:
            return False
        partial.publish(final)
        return True


def remove_partial(folder: str, digest: Digest) -> None:
    """Remove the partial blob of ``digest``, unless somebody is writing it."""
    _remove(partial_path(folder, digest))


def remove_stale_partials(folder: str, *, seconds: float = 24 * 3600) -> None:
    """Remove partial blobs that nobody has written to or taken for ``seconds``."""
    limit = time.time() - seconds
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(_PREFIX) and entry.name.endswith(_SUFFIX):
                with contextlib.suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime < limit:
                        _remove(entry.path)


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        partial = _lock(path)
        if partial is not None:
            with partial:
                partial.discard()


def _lock(path: str, flags: int = 0, *, waits: Callable[[PartialState], bool] = lambda _: False) -> PartialFile | None:
    """Open and lock the regular file ``path``; None if that cannot be, at once but for one that it ``waits`` for."""
    try:
        flags |= os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        file = open(os.open(path, flags, 0o600), "r+b", buffering=0)  # noqa: SIM115 - it is what a PartialFile holds
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if waits(PartialState.of(os.fstat(file.fileno()))) else fcntl.LOCK_NB))
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode) and _names(path, file):
            return PartialFile(file, path)
    except OSError:
        pass
    file.close()
    return None


def _names(path: str, file: BinaryIO) -> bool:
    """Whether ``path`` is still the name of an open file: somebody may have renamed or removed it."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(file.fileno()))
    except OSError:
        return False
