"""A folder that is filled under a temporary name and takes the place of another when it is complete."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
import time
from collections.abc import Callable, Sequence

from transship.plugin.files import sync_folder, unused_name

_STALE_SECONDS = 24 * 3600
_TEMPORARY = ".tmp"

_CANNOT_MOVE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.EXDEV}
_CANNOT_EXCHANGE = {*_CANNOT_MOVE, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


class Leftovers:
    """The names in folders that may be of killed runs. Each folder is looked at once, as it was then."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    def within(self, folder: str) -> list[str]:
        """The names in ``folder``; none if it cannot be read."""
        with self._lock:
            if folder not in self._names:
                self._names[folder] = []
                with contextlib.suppress(OSError), os.scandir(folder) as entries:
                    self._names[folder] = [entry.name for entry in entries if entry.name.endswith(_TEMPORARY)]
            return self._names[folder]


class Staging:
    """New content for the folder ``target``, a path that leads over no link. ``leftovers`` are those of the whole run.

    It is made beside ``target``, or inside where ``target`` itself cannot be replaced: a mount point, the
    current folder, a folder of somebody else or in a parent that takes no new names.
    """

    def __init__(self, target: str, leftovers: Leftovers | None = None) -> None:
        self.target = target
        self._leftovers = leftovers or Leftovers()
        self._parent, self._name = os.path.split(target)
        self._prefix = os.path.basename(unused_name("", self._name)).rsplit(".", 2)[0] + "."
        self._lock = threading.Lock()
        self._folder = ""
        self._inside = False

    @property
    def folder(self) -> str:
        """Where to write; it is made when it is first asked for. May be asked for from several threads."""
        with self._lock:
            if not self._folder:
                self._folder = self._make()
            return self._folder

    def holds_only_leftovers(self) -> bool:
        """Whether nothing is in ``target`` but what killed runs have left."""
        with os.scandir(self.target) as entries:
            return all(self._is_temporary(entry.name) for entry in entries)

    def replace_target(self, last: Sequence[str], check_target: Callable[[], None]) -> None:
        """Let the content appear as ``target`` and remove what was there.

        Where that cannot be done at one stroke, the files ``last`` are put there after all others, in their
        order. ``check_target`` raises if what is there by now must not be removed.
        """
        folder = self.folder
        sync_folder(folder)
        if self._inside or not self._swap(folder, check_target):
            self._move_in(folder, last)
        _remove_tree(folder)
        self._folder = ""
        with contextlib.suppress(OSError):  # a parent that may not be read cannot be synced either
            sync_folder(self._parent)
        self._remove_stale()

    def discard(self) -> None:
        """Remove what was not committed."""
        with self._lock:
            if self._folder:
                _remove_tree(self._folder)
                self._folder = ""

    def _make(self) -> str:
        if not os.path.isdir(self.target):
            return self._make_in(self._parent, 0o755)
        if not _must_stay(self.target):
            try:
                return self._make_twin()
            except OSError as error:
                if error.errno not in _CANNOT_MOVE:
                    raise
        self._inside = True
        return self._make_in(self.target, 0o700)

    def _make_in(self, parent: str, mode: int) -> str:
        folder = unused_name(parent, self._name)
        os.mkdir(folder, mode)
        return folder

    def _make_twin(self) -> str:
        """A folder beside ``target`` with the same owner, as whoever uses it next expects."""
        folder = self._make_in(self._parent, 0o700)
        try:
            wanted, found = os.stat(self.target), os.stat(folder)
            if (wanted.st_uid, wanted.st_gid) != (found.st_uid, found.st_gid):
                os.chown(folder, wanted.st_uid, wanted.st_gid)
        except BaseException:
            os.rmdir(folder)
            raise
        return folder

    def _swap(self, folder: str, check_target: Callable[[], None]) -> bool:
        with contextlib.suppress(FileNotFoundError):
            os.chmod(folder, stat.S_IMODE(os.stat(self.target).st_mode))
        try:
            os.rename(folder, self.target)
            return True
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, *_CANNOT_MOVE}:
                raise
        check_target()
        try:
            exchange(folder, self.target)
        except OSError as error:
            if error.errno not in _CANNOT_EXCHANGE:
                raise
            return False
        return True

    def _move_in(self, folder: str, last: Sequence[str]) -> None:
        names = set(os.listdir(folder))
        for name in sorted(names - set(last)):
            os.replace(os.path.join(folder, name), os.path.join(self.target, name))
        sync_folder(self.target)
        for name in last:
            if name in names:
                os.replace(os.path.join(folder, name), os.path.join(self.target, name))
        sync_folder(self.target)
        with os.scandir(self.target) as entries:
            old = [e.path for e in entries if e.name not in names and not self._is_temporary(e.name)]
        for path in old:
            _remove_tree(path)

    def _is_temporary(self, name: str) -> bool:
        return name.startswith(self._prefix) and name.endswith(_TEMPORARY)

    def _remove_stale(self) -> None:
        limit = time.time() - _STALE_SECONDS
        for place, leftovers in ((self._parent, self._leftovers), (self.target, Leftovers())):
            for name in leftovers.within(place):
                if self._is_temporary(name) and _is_old_folder(path := os.path.join(place, name), limit):
                    _remove_tree(path)


def _is_old_folder(path: str, limit: float) -> bool:
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_mtime < limit


def _remove_tree(path: str) -> None:
    """Remove a file, link or folder as far as that can be."""
    with contextlib.suppress(OSError):
        if os.path.isdir(path) and not os.path.islink(path):
            import shutil  # brings compressions with it

            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)


def _must_stay(folder: str) -> bool:
    return _holds_current_folder(folder) or _is_mount_point(folder)


def _holds_current_folder(folder: str) -> bool:
    try:
        here = os.getcwd()
    except FileNotFoundError:
        return False
    return here == folder or here.startswith(folder.rstrip("/") + "/")


def _is_mount_point(folder: str) -> bool:
    if os.path.ismount(folder):
        return True
    try:  # a bind mount within one file system shows only here
        with open("/proc/self/mountinfo", "rb") as mounts:
            points = [line.split(b" ", 5)[4] for line in mounts]
    except (OSError, IndexError):
        return False
    return _escaped(os.fsencode(folder)) in points


def _escaped(path: bytes) -> bytes:
    """A path as mountinfo writes it (proc(5))."""
    return b"".join(b"\\%03o" % byte if byte in b" \t\n\\" else bytes([byte]) for byte in path)


def exchange(one: str, other: str) -> None:
    """Let two existing names change places at one stroke; raise ``OSError`` where that cannot be."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    renameat2 = getattr(libc, "renameat2", None)
    if renameat2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), one, None, other)
    at_current_folder, rename_exchange = -100, ctypes.c_uint(2)  # renameat2(2)
    names = (os.fsencode(one), os.fsencode(other))
    if renameat2(at_current_folder, names[0], at_current_folder, names[1], rename_exchange):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), one, None, other)
