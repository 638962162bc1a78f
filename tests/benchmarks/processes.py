"""Runs programs one at a time, and says what each run cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

# A process starts with the peak of the one it was forked from: this small one stands in between.
_LAUNCHER = """
import json, os, resource, signal, sys, time
def kill(*_): os.kill(child, signal.SIGKILL)
signal.signal(signal.SIGALRM, kill)
null = os.open(os.devnull, os.O_RDWR)
for line in sys.stdin:
    job = json.loads(line)
    said = os.open(job["said"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        os.dup2(null, 0), os.dup2(null, 1), os.dup2(said, 2)
        try:
            os.execvpe(job["command"][0], job["command"], job["environment"])
        except OSError as error:
            os.write(2, str(error).encode())
        os._exit(127)
    signal.alarm(job["timeout"])
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - start
    signal.alarm(0)
    os.close(said)
    cost = [seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10]
    print(json.dumps([os.waitstatus_to_exitcode(status), *cost]), flush=True)
"""


class FailedError(Exception):
    """The program did not end well."""


class Cost(NamedTuple):
    """``seconds`` by the clock, ``cpu`` seconds of all its processes, ``memory`` the peak of the largest, in bytes."""

    seconds: float
    cpu: float
    memory: int


class Launcher:
    """Starts programs with a ``home`` of their own, so that no settings or caches of this user matter."""

    def __init__(self, folder: Path, *, timeout: int = 1800) -> None:
        self._said = folder / "stderr"
        self._timeout = timeout
        command = [sys.executable, "-SEc", _LAUNCHER]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.communicate()

    def run(self, command: Sequence[str], home: Path) -> Cost:
        """Run ``command`` to its end; raises ``FailedError`` with the last thing it said."""
        job = {
            "command": list(command),
            "environment": environment(home),
            "said": str(self._said),
            "timeout": self._timeout,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        code, seconds, cpu, memory = json.loads(self._process.stdout.readline())
        if code:
            said = self._said.read_text(errors="replace").strip().splitlines()
            raise FailedError(f"exit code {code}: {said[-1][-300:] if said else 'nothing said'}")
        return Cost(seconds, cpu, memory)


def environment(home: Path) -> Mapping[str, str]:
    """The settings of this process but for those that lead to the user's files."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LC_ALL", "TMPDIR")}
    folders = {"HOME": home, "XDG_DATA_HOME": home / "data", "XDG_CACHE_HOME": home / "cache"}
    # Skopeo has root keep what it knows of blobs in /var, unless it takes itself for somebody else.
    return {**kept, **{name: str(path) for name, path in folders.items()}, "_CONTAINERS_ROOTLESS_UID": "1000"}
