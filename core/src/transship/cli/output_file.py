"""Files that commands write beside their work, such as reports."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from transship.errors import TransportError
from transship.plugin.files import TemporaryFile, names_open_file, temporary_in


class OutputFile:
    """A file that appears, or is replaced, when all of it is written; a pipe or device is written through."""

    def __init__(self, path: str, temporary: TemporaryFile | None) -> None:
        self._path = path
        self._temporary = temporary

    def write(self, data: bytes) -> None:
        """Let the file hold ``data``; raises ``TransportError`` that names it."""
        with _naming(self._path):
            if self._temporary is None:
                with open(self._path, "wb") as stream:
                    stream.write(data)
            else:
                rest = memoryview(data)
                while rest:
                    rest = rest[self._temporary.file.write(rest) or 0 :]
                self._temporary.publish(self._path)


def is_written_through(path: str) -> bool:
    """Whether ``path`` is a pipe, a device or a stream, which cannot be replaced."""
    return names_open_file(path) or (os.path.exists(path) and not os.path.isfile(path))


@contextlib.contextmanager
def opened_output(path: str) -> Iterator[OutputFile]:
    """A file to be written in the block; raises ``TransportError`` at once where that cannot be."""
    with contextlib.ExitStack() as stack:
        with _naming(path):
            temporary = None
            if is_written_through(path):
                stack.enter_context(open(path, "wb"))
            else:
                temporary = stack.enter_context(temporary_in(*os.path.split(path)))
        yield OutputFile(path, temporary)


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """The user knows ``path``, and nothing of a temporary name beside it."""
    try:
        yield
    except OSError as error:
        raise TransportError(f"open {path}: {(error.strerror or str(error)).lower()}") from error
