"""The place that an archive is written to."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import BinaryIO

from transship.errors import TransportError, UnsupportedError
from transship.plugin.files import TemporaryFile, names_open_file, remove_stale, reporting, sync_folder, temporary_in
from transship_docker_archive.writer import open_stream


class Target:
    """A file that appears under its name only when it is whole, or a pipe or device that is written through."""

    def __init__(self, path: str, *, may_hold_archive: bool = False) -> None:
        """Raises ``TransportError`` where nothing can be written. Nothing is changed yet."""
        self.path = path
        self._may_hold_archive = may_hold_archive
        self._resources = contextlib.ExitStack()
        self._temporary: TemporaryFile | None = None
        self._found = self._status()
        self.is_stream = _is_stream(path, self._found)
        self._refuse_content()

    @property
    def holds_archive(self) -> bool:
        """Whether there is a file with something in it."""
        return self._found is not None and self._found.st_size > 0 and not self.is_stream

    def open(self) -> BinaryIO:
        """The unbuffered file to write to; one that is not a stream can be read too."""
        if self.is_stream:
            return self._resources.enter_context(open_stream(self.path))
        folder, name = os.path.split(self.path)
        self._temporary = self._resources.enter_context(temporary_in(folder, name))
        return self._temporary.file

    def commit(self) -> None:
        """Let the file appear under its name, if nothing else has appeared there meanwhile."""
        if self._temporary is not None:
            self._refuse_change()
            mode = stat.S_IMODE(self._found.st_mode) if self._found else 0o644
            self._temporary.publish(self.path, mode)
            folder, name = os.path.split(self.path)
            sync_folder(folder or ".")
            remove_stale(folder, name)
        self.close()

    def close(self) -> None:
        """Release everything; what was not committed is gone."""
        self._resources.close()

    def _status(self) -> os.stat_result | None:
        try:
            with reporting(f'opening file "{self.path}": open', self.path):
                return os.stat(self.path)
        except TransportError as error:
            folder = os.path.dirname(self.path) or "."
            if isinstance(error.__cause__, FileNotFoundError) and self.path and os.path.isdir(folder):
                return None
            raise

    def _refuse_content(self) -> None:
        status = self._found
        if status is None:
            return
        if stat.S_ISDIR(status.st_mode):
            raise TransportError(f'opening file "{self.path}": open {self.path}: is a directory')
        if stat.S_ISREG(status.st_mode) and status.st_size:
            if not self._may_hold_archive:
                raise UnsupportedError("docker-archive doesn't support modifying existing images")
            if self.is_stream:
                raise UnsupportedError(f"{self.path}: cannot be appended to, it is no file with a name")

    def _refuse_change(self) -> None:
        if _identity(self._status()) != _identity(self._found):
            raise TransportError(f"{self.path} was changed by somebody else meanwhile")


def _identity(status: os.stat_result | None) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns) if status else ()


def _is_stream(path: str, status: os.stat_result | None) -> bool:
    """Whether a path is written through, as pipes and standard streams are, rather than replaced."""
    if names_open_file(path):
        return True
    return status is not None and not stat.S_ISREG(status.st_mode)
