"""The place that an archive is written to."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import threading
from collections.abc import Hashable, Iterator
from typing import BinaryIO

from transship.errors import TransportError
from transship.plugin.files import TemporaryFile, names_open_file, remove_stale, reporting, sync_folder, temporary_in

_STANDARD_STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}

_in_use: set[Hashable] = set()
_spoiled: set[Hashable] = set()
"""Streams that a part of an archive went to: another attempt would only follow it."""
_in_use_lock = threading.Lock()


class ArchiveTarget:
    """A file that appears under its name only when it is whole, or a pipe or device that is written through.

    ``is_stream`` tells the two apart.
    """

    def __init__(self, path: str) -> None:
        """Raises ``TransportError`` where nothing can be written. Nothing is changed yet."""
        self.path = path
        self._resources = contextlib.ExitStack()
        self._temporary: TemporaryFile | None = None
        self._is_committed = False
        self._found = self._status()
        if self._found is not None and stat.S_ISDIR(self._found.st_mode):
            raise TransportError(f'opening file "{path}": open {path}: is a directory')
        self.is_stream = _is_stream(path, self._found)

    @property
    def has_content(self) -> bool:
        """Whether there is a regular file with something in it."""
        return self._found is not None and stat.S_ISREG(self._found.st_mode) and self._found.st_size > 0

    def open(self) -> BinaryIO:
        """The unbuffered file to write to; one that is not a stream can be read too.

        Raises ``TransportError`` while this process writes there for somebody else.
        """
        if self.is_stream:
            stream = self._resources.enter_context(_open_stream(self.path))
            status = os.fstat(stream.fileno())
            if not stat.S_ISCHR(status.st_mode):
                place = (status.st_dev, status.st_ino)
                self._resources.enter_context(_claimed(place, self.path))
                self._resources.enter_context(self._written_once(place))
            return stream
        folder, name = os.path.split(self.path)
        self._resources.enter_context(_claimed((os.path.realpath(folder), name), self.path))
        self._temporary = self._resources.enter_context(temporary_in(folder, name))
        return self._temporary.file

    def commit(self, *, replaces_others: bool = True) -> None:
        """Let the file appear under its name, with the mode of the one that it replaces.

        With ``replaces_others=False`` raises ``TransportError`` if what is there is not what was found at first.
        """
        if self._temporary is not None:
            self._temporary.finish(stat.S_IMODE(self._found.st_mode) if self._found else 0o644)
            if replaces_others:
                os.replace(self._temporary.path, self.path)
            else:
                self._replace_what_was_found(self._temporary)
            folder, name = os.path.split(self.path)
            sync_folder(folder or ".")
            remove_stale(folder, name)
        self._is_committed = True
        self.close()

    def close(self) -> None:
        """Release everything; what was not committed is gone. May be called more than once."""
        self._resources.close()

    def _replace_what_was_found(self, temporary: TemporaryFile) -> None:
        with contextlib.ExitStack() as stack:
            if self._found is not None:
                self._lock_found(stack)
            elif self._linked(temporary):
                return
            self._refuse_change()
            os.replace(temporary.path, self.path)

    def _linked(self, temporary: TemporaryFile) -> bool:
        """Let the file have its name if nothing else has; False where that cannot be done at one stroke."""
        try:
            os.link(temporary.path, self.path)
        except OSError:
            return False
        return True

    def _lock_found(self, stack: contextlib.ExitStack) -> None:
        """Keep away other processes that would replace the same file, until ``stack`` ends."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        stack.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._changed() from None

    def _refuse_change(self) -> None:
        if _identity(self._status()) != _identity(self._found):
            raise self._changed()

    def _changed(self) -> TransportError:
        return TransportError(f"{self.path} was changed by somebody else meanwhile")

    @contextlib.contextmanager
    def _written_once(self, place: Hashable) -> Iterator[None]:
        if place in _spoiled:
            raise TransportError(f"{self.path} holds a part of an archive already, and cannot be written again")
        try:
            yield
        finally:
            if not self._is_committed:
                _spoiled.add(place)

    def _status(self) -> os.stat_result | None:
        try:
            with reporting(f'opening file "{self.path}": open', self.path):
                return os.stat(self.path)
        except TransportError as error:
            folder = os.path.dirname(self.path) or "."
            if isinstance(error.__cause__, FileNotFoundError) and self.path and os.path.isdir(folder):
                return None
            raise


@contextlib.contextmanager
def _claimed(place: Hashable, path: str) -> Iterator[None]:
    with _in_use_lock:
        if place in _in_use:
            raise TransportError(f"{path} is being written to already, by another destination")
        _in_use.add(place)
    try:
        yield
    finally:
        with _in_use_lock:
            _in_use.discard(place)


def _identity(status: os.stat_result | None) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns) if status else ()


def _is_stream(path: str, status: os.stat_result | None) -> bool:
    """Whether a path is written through, as pipes and standard streams are, rather than replaced."""
    if names_open_file(path):
        return True
    return status is not None and not stat.S_ISREG(status.st_mode)


def _open_stream(path: str) -> BinaryIO:
    number = _STANDARD_STREAMS.get(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC) if number is None else os.dup(number)
    return open(descriptor, "wb", buffering=0)
