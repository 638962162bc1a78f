"""The program, run in the process of a test."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from transship.cli.application import Application
from transship.cli.gotemplate.literals import unquote
from transship.discovery import PluginManager

_FATAL = re.compile(r'level=fatal msg=("(?:[^"\\]|\\.)*"|\S+)')


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a command: the exit code, what it wrote to its streams, and the files that it made or changed.

    ``data`` is standard output byte for byte. ``files`` are sorted, and relative to the folder that it ran in.
    """

    code: int
    data: bytes
    err: str
    files: tuple[str, ...]

    @property
    def out(self) -> str:
        """Standard output as text."""
        return self.data.decode("utf-8", "surrogateescape")

    @property
    def lines(self) -> list[str]:
        """The lines of standard output."""
        return self.out.splitlines()

    @property
    def fatal(self) -> str:
        """What the line says that tells why the command failed, ``""`` if there is none."""
        found = _FATAL.search(self.err)
        message = found[1] if found else ""
        return unquote(message) if message.startswith('"') else message


class CommandLine:
    """Runs commands in ``folder`` as a shell would: each begins anew, and no terminal is there.

    They know what is installed, and the plugins that were registered with ``manager``. One runs at a time, in the main
    thread: the current folder, the streams and the signal handlers are the process's.
    """

    def __init__(self, manager: PluginManager, folder: Path) -> None:
        self.manager = manager
        self.folder = folder

    def __call__(self, *arguments: str | os.PathLike[str], stdin: str | bytes = b"") -> Outcome:
        """Run ``transship`` with these arguments; an error that is a bug of the program is raised."""
        before = dict(self._files())
        data = stdin.encode() if isinstance(stdin, str) else stdin
        with _streams(data) as (out, err), _handlers_kept(), contextlib.chdir(self.folder):
            application = Application()
            for name, plugin in self.manager.registered():
                application.manager.register(plugin, name)
            code = application.run([os.fspath(argument) for argument in arguments])
        made = sorted(name for name, state in self._files() if before.get(name) != state)
        return Outcome(code, out.getvalue(), err.getvalue().decode(), tuple(made))

    def _files(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        for parent, _, names in os.walk(self.folder):
            for path in (Path(parent, name) for name in names):
                with contextlib.suppress(FileNotFoundError):  # whatever else runs there may take it away
                    status = path.lstat()
                    state = (status.st_ino, status.st_size, status.st_mtime_ns)
                    yield path.relative_to(self.folder).as_posix(), state


@contextlib.contextmanager
def _streams(data: bytes) -> Iterator[tuple[io.BytesIO, io.BytesIO]]:
    """The streams of the process replaced: what is written comes into the two buffers."""
    kept = sys.stdin, sys.stdout, sys.stderr
    out, err = io.BytesIO(), io.BytesIO()
    sys.stdin = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(out, encoding="utf-8", write_through=True)
    sys.stderr = io.TextIOWrapper(err, encoding="utf-8", write_through=True)
    wrappers = sys.stdout, sys.stderr
    try:
        yield out, err
    finally:
        sys.stdin, sys.stdout, sys.stderr = kept
        for wrapper in wrappers:
            wrapper.detach()  # or the buffer would be closed with it


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    """Whatever the program makes of signals ends with the block."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
