"""Local files, handled so that a killed run leaves nothing that looks complete and no link leads astray."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import re
import stat
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

from transship.errors import TransportError

if TYPE_CHECKING:
    from typing import Self

_COPY_SIZE = 4 << 20
_READ_SIZE = 1 << 20
_NAME_PART = 50  # characters; with what is added it stays below 255 bytes in any script
_LOCK_FILE = ".transship.lock"
_FICLONE = 0x40049409
_PIPES = threading.Lock()
_TEMPORARY = r"(^|/)\.[^/]*\.[0-9a-f]{16}\.tmp(/|$)"


def open_regular(path: str | os.PathLike[str], *, within: str | os.PathLike[str] | None = None) -> BinaryIO:
    """Open a regular file for reading, unbuffered, without ever blocking on a pipe or device.

    ``within`` is a folder: a file that really lies outside of it, by whatever link, is refused.
    Raises ``OSError`` as ``open`` does, also for a name that no file can have, and ``TransportError`` for what is no
    regular file or lies outside.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError:
        raise _no_name(path) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise TransportError(f"{os.fspath(path)}: not a regular file")
        if within is not None and not _lies_within(descriptor, path, within):
            raise TransportError(f"{os.fspath(path)}: leads out of {os.fspath(within)}")
        return open(descriptor, "rb", buffering=0)
    except BaseException:
        os.close(descriptor)
        raise


def _lies_within(descriptor: int, path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> bool:
    root = os.path.realpath(folder)
    return _real_path(descriptor, path).startswith(root if root.endswith("/") else root + "/")


def _real_path(descriptor: int, path: str | os.PathLike[str]) -> str:
    """Where the file lies that was opened as ``path``, not what that name leads to by now."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return os.path.realpath(path)


def require_place(file: BinaryIO, path: str | os.PathLike[str], resolved: str) -> None:
    """Raise ``TransportError`` unless ``file``, opened as ``path``, is what that led to when it was ``resolved``."""
    found = _real_path(file.fileno(), path)
    # What is no file, such as a pipe, was resolved to its name in the folder of what a process has open.
    if found != (resolved if found.startswith("/") else os.path.basename(resolved)):
        raise TransportError(f"{os.fspath(path)}: leads elsewhere than before, to {resolved} then")


def read_regular(path: str | os.PathLike[str], limit: int, *, within: str | os.PathLike[str] | None = None) -> bytes:
    """The bytes of a regular file, at most ``limit``; more raise ``TransportError``. See ``open_regular``."""
    with open_regular(path, within=within) as file:
        data = bytearray()
        while len(data) <= limit and (chunk := file.read(min(_READ_SIZE, limit + 1 - len(data)))):
            data += chunk
    if len(data) > limit:
        raise _too_long(path, limit)
    return bytes(data)


def read_settings(path: str, limit: int, *, is_named: bool) -> bytes:
    """The bytes of a file of settings, at most ``limit``; more raise ``TransportError``.

    ``is_named``: the user named this very file. It may then be a pipe, as shells make them of ``<(…)``, and is waited
    for; it gives its bytes once, so they are remembered for whoever asks next. What merely lies in a usual place is not
    waited for: it must be a regular file, or the null device, which says nothing.
    Raises ``OSError`` as ``open`` does.
    """
    try:
        status = os.stat(path)
    except ValueError:
        raise _no_name(path) from None
    if stat.S_ISREG(status.st_mode) or not (is_named or _is_null_device(status)):
        return read_regular(path, limit)
    with _PIPES:
        data = _read_once(_Pipe(path), limit + 1)
    if len(data) > limit:
        raise _too_long(path, limit)
    return data


class _Pipe:
    """What ``path`` names now. As long as this is there nothing else gets its number: equal ones are the same."""

    _held = -1

    def __init__(self, path: str) -> None:
        self.path = path
        if sys.platform == "linux":  # elsewhere nothing can be held without being opened for reading
            self._held = os.open(path, os.O_PATH | os.O_CLOEXEC)
        status = os.stat(self._held if self._held >= 0 else path)
        self._number = status.st_dev, status.st_ino

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Pipe) and self._number == other._number

    def __hash__(self) -> int:
        return hash(self._number)

    def __del__(self) -> None:
        if self._held >= 0:
            os.close(self._held)


@functools.lru_cache(maxsize=16)
def _read_once(pipe: _Pipe, size: int) -> bytes:
    with open(pipe.path, "rb") as file:
        return file.read(size)


def _is_null_device(status: os.stat_result) -> bool:
    """Whether this is the null device, under whatever name: files are masked with it."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == os.stat(os.devnull).st_rdev


def _no_name(path: str | os.PathLike[str]) -> OSError:
    """For a zero byte, or what no encoding has."""
    return OSError(errno.EINVAL, "No file can have this name", os.fspath(path))


def _too_long(path: str | os.PathLike[str], limit: int) -> TransportError:
    return TransportError(f"{os.fspath(path)}: exceeded maximum allowed size of {limit} bytes")


def home_folder() -> str:
    """The user's home folder, ``/`` where nobody knows one: a folder ``~`` in the current one is never meant."""
    folder = os.path.expanduser("~")
    return "/" if folder == "~" else folder


class TemporaryFile:
    """A new file ``path``, gone at the end of a ``with`` block unless it was published.

    ``file`` is unbuffered, open for reading and writing. Raises ``FileExistsError`` where something has that name.
    """

    def __init__(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self.file: BinaryIO = open(descriptor, "w+b", buffering=0)  # noqa: SIM115 - closed at the end of the block
        self.path = path
        self._is_published = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if not self._is_published:
                self._remove()
        finally:
            self.file.close()

    def _remove(self) -> None:
        """Remove the file, but not another that has taken its name since."""
        with contextlib.suppress(FileNotFoundError):
            if self.file.closed or os.path.samestat(os.fstat(self.file.fileno()), os.lstat(self.path)):
                os.unlink(self.path)

    def write(self, data: bytes) -> None:
        """Write all of ``data``."""
        view = memoryview(data)
        while view:
            view = view[self.file.write(view) or 0 :]

    def finish(self, mode: int = 0o644) -> None:
        """Make the bytes durable."""
        os.fchmod(self.file.fileno(), mode)
        os.fsync(self.file.fileno())

    def publish(self, path: str | os.PathLike[str], mode: int = 0o644) -> None:
        """Make the bytes durable, then let the file take the name ``path``, whatever had it."""
        self.finish(mode)
        if path != self.path:
            os.replace(self.path, path)
        self._is_published = True


def temporary_in(folder: str | os.PathLike[str], name: str = "transship") -> TemporaryFile:
    """A new file ``.NAME.RANDOM.tmp`` in ``folder``."""
    return TemporaryFile(unused_name(folder, name))


def unnamed_file(folder: str | os.PathLike[str]) -> BinaryIO:
    """A new file in ``folder`` that vanishes when it is closed: unbuffered, open for reading and writing."""
    import tempfile  # whose imports are a twentieth of the start of a copy

    return tempfile.TemporaryFile(prefix="container_images_", dir=folder, buffering=0)


def unused_name(folder: str | os.PathLike[str], name: str = "transship") -> str:
    """A path like that of ``temporary_in`` that nothing has, for what cannot be written to an open file."""
    return os.path.join(os.fspath(folder) or ".", f".{name[:_NAME_PART]}.{os.urandom(8).hex()}.tmp")


def remove_stale(folder: str | os.PathLike[str], name: str = "transship", *, seconds: float = 24 * 3600) -> None:
    """Remove what killed runs left behind: ``.NAME.*.tmp`` in ``folder`` not written to for ``seconds``."""
    limit = time.time() - seconds
    prefix = f".{name[:_NAME_PART]}."
    with contextlib.suppress(OSError), os.scandir(os.fspath(folder) or ".") as entries:
        for entry in entries:
            if not (entry.name.startswith(prefix) and entry.name.endswith(".tmp")):
                continue
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                # that of a further name of a file says when the file was written, not when it got this name
                moment = status.st_ctime if status.st_nlink > 1 else status.st_mtime
                if stat.S_ISREG(status.st_mode) and moment < limit:
                    os.unlink(entry.path)


@contextlib.contextmanager
def reporting(action: str, path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an ``OSError`` of the block into a ``TransportError``: ``ACTION PATH: reason``.

    The path is the one that the system names, ``path`` where it names none, or one that was never meant to stay.
    """
    try:
        yield
    except OSError as error:
        is_telling = isinstance(error.filename, str) and not re.search(_TEMPORARY, error.filename)
        named = error.filename if is_telling else os.fspath(path)
        reason = error.strerror or str(error) or type(error).__name__
        raise TransportError(f"{action} {named}: {reason[:1].lower()}{reason[1:]}") from error


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], mode: int = 0o644) -> Iterator[BinaryIO]:
    """A new file that takes the name ``path`` when the block ends well: written beside, fsynced, renamed.

    The file is unbuffered and open for reading too. If the block raises, nothing is left of it.
    """
    folder, name = os.path.split(os.fspath(path))
    with temporary_in(folder, name) as temporary:
        yield temporary.file
        temporary.publish(path, mode)


def write_file(path: str | os.PathLike[str], data: bytes, mode: int = 0o644) -> None:
    """Write ``data`` to a new file that then takes the name ``path``. See ``replacing``."""
    folder, name = os.path.split(os.fspath(path))
    with temporary_in(folder, name) as temporary:
        temporary.write(data)
        temporary.publish(path, mode)


def names_open_file(path: str) -> bool:
    """Whether ``path`` stands for a file that a process has open, such as ``/dev/stdout``, whatever is behind it."""
    absolute = os.path.abspath(path)
    return absolute in ("/dev/stdin", "/dev/stdout", "/dev/stderr") or absolute.startswith(("/dev/fd/", "/proc/"))


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(folder: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the exclusive lock of ``folder`` for a block.

    Where folders cannot be locked (NFS takes locks of files open for writing only), it is that of a file in it, which
    stays.
    """
    with contextlib.ExitStack() as stack:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            file = os.open(_LOCK_FILE, flags, 0o644, dir_fd=descriptor)
            stack.callback(os.close, file)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def copy_region(source: BinaryIO, offset: int, size: int, target: BinaryIO) -> Iterator[memoryview]:
    """Copy a region of a file to the position of another by the fastest way there is.

    Yields the bytes that are in ``target`` afterwards, read back from it, in pieces that are valid until the
    next one; ``target`` must be readable. Ends early where ``source`` does.
    """
    start = target.tell()
    whole = offset == 0 and start == 0 and size == os.fstat(source.fileno()).st_size
    cloned = whole and _clone(source, target)
    if cloned:  # a source that grew meanwhile was cloned with what it gained
        os.ftruncate(target.fileno(), size)
    buffer = memoryview(bytearray(min(_COPY_SIZE, max(size, 1))))
    done = 0
    for got in _pieces(size) if cloned else _copied(source, offset, size, target, start):
        filled = 0
        while filled < got:
            count = os.preadv(target.fileno(), [buffer[filled:got]], start + done + filled)
            if count == 0:
                break
            filled += count
        yield buffer[:filled]
        done += got
    target.seek(start + done)


def _pieces(size: int) -> Iterator[int]:
    for done in range(0, size, _COPY_SIZE):
        yield min(_COPY_SIZE, size - done)


def _copied(source: BinaryIO, offset: int, size: int, target: BinaryIO, start: int) -> Iterator[int]:
    """How many bytes were copied, piece by piece. Of a large file the next piece comes while the last one is used."""

    def copy(done: int) -> int:
        want = min(_COPY_SIZE, size - done)
        return _copy_some(source, offset + done, want, target, start + done) if want else 0

    done = 0
    if size <= _COPY_SIZE:
        while got := copy(done):
            done += got
            yield got
        return
    from concurrent.futures import ThreadPoolExecutor  # small files are not worth a thread

    with ThreadPoolExecutor(1, "transship-copy") as pool:
        coming = pool.submit(copy, 0)
        while got := coming.result():
            done += got
            coming = pool.submit(copy, done)
            yield got


def _clone(source: BinaryIO, target: BinaryIO) -> bool:
    try:
        fcntl.ioctl(target.fileno(), _FICLONE, source.fileno())
    except OSError:
        return False
    return True


_NOT_IN_KERNEL = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM}


def _copy_some(source: BinaryIO, offset: int, size: int, target: BinaryIO, position: int) -> int:
    if hasattr(os, "copy_file_range"):
        try:
            return os.copy_file_range(source.fileno(), target.fileno(), size, offset, position)
        except OSError as error:
            if error.errno not in _NOT_IN_KERNEL:
                raise
    data = memoryview(os.pread(source.fileno(), size, offset))
    written = 0
    while written < len(data):
        written += os.pwrite(target.fileno(), data[written:], position + written)
    return written
