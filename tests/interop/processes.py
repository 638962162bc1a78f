"""Runs the program in processes of their own, and looks at what that cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

# A process inherits the peak of the one that it was forked from, so a small one is put in between.
_LAUNCHER = """
import json, os, sys
report, *command = sys.argv[1:]
child = os.fork()
if child == 0:
    os.execvp(command[0], command)
_, status, usage = os.wait4(child, 0)
with open(report, "w") as file:
    json.dump([os.waitstatus_to_exitcode(status), usage.ru_maxrss << 10], file)
"""


class Finished(NamedTuple):
    """``peak`` is the most memory it ever had, in bytes."""

    code: int
    stdout: str
    stderr: str
    peak: int
    seconds: float


def transship(folder: Path, *arguments: str, timeout: float = 300, limit: int = 0, **environment: str) -> Finished:
    """Run transship in a process of its own. ``folder`` takes a report of the run.

    ``limit`` is how many bytes a file that it writes may have, 0 for any number.
    """
    report = folder / f"report-{os.urandom(8).hex()}"
    command = [sys.executable, "-SEc", _LAUNCHER, str(report)]
    command += ["prlimit", f"--fsize={limit}"] if limit else []
    command += [sys.executable, "-m", "transship", "--insecure-policy", *arguments]
    start = time.monotonic()
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=timeout, env={**os.environ, **environment}
    )
    code, peak = json.loads(report.read_text())
    return Finished(code, done.stdout, done.stderr, peak, time.monotonic() - start)


# The program, imported once; each run of it is a process of its own, forked from there.
_NURSERY = """
import gc, json, os, signal, sys, threading
from transship.cli.application import Application
exec(sys.argv[1])
gc.freeze()


def start(arguments, stdout, stderr, request):
    child = os.fork()
    if child == 0:
        signal.alarm(request["timeout"])
        os.environ.update(request["environment"])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(stdout, os.O_WRONLY | os.O_CREAT, 0o600), 1)
        os.dup2(os.open(stderr, os.O_WRONLY | os.O_CREAT, 0o600), 2)
        code = Application().run(arguments)
        for thread in threading.enumerate():
            if not (thread.daemon or thread is threading.main_thread()):
                thread.join()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # to tear down what came with the fork would cost more than the run
    return child


def end_of(child):
    _, status, usage = os.wait4(child, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_maxrss << 10


for line in sys.stdin:
    request = json.loads(line)
    children = [start(*run, request) for run in request["runs"]]
    print(json.dumps([end_of(child) for child in children]), flush=True)
"""


class Nursery:
    """Runs the program, once or several times at once; quicker than processes that are started anew.

    ``preparation`` is code that is run once before, so that what it imports or sets is there in each run.
    """

    def __init__(self, preparation: str, *, timeout: int) -> None:
        command = [sys.executable, "-c", _NURSERY, preparation]
        self._timeout = timeout
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def transship(self, folder: Path, *arguments: str, **environment: str) -> Finished:
        """Run it. ``folder`` takes what it says."""
        (finished,) = self.transship_at_once(folder, arguments, **environment)
        return finished

    def transship_at_once(self, folder: Path, *runs: Sequence[str], **environment: str) -> list[Finished]:
        """Run it with each of ``runs`` as arguments, all at the same time, and wait for all of them."""
        outputs = [
            (folder / f"stdout-{name}", folder / f"stderr-{name}") for name in (os.urandom(8).hex() for _ in runs)
        ]
        request = {
            "runs": [
                [["--insecure-policy", *arguments], str(stdout), str(stderr)]
                for arguments, (stdout, stderr) in zip(runs, outputs, strict=True)
            ],
            "environment": environment,
            "timeout": self._timeout,
        }
        start = time.monotonic()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        ends = json.loads(self._process.stdout.readline())
        seconds = time.monotonic() - start
        return [
            Finished(code, stdout.read_text(), stderr.read_text(), peak, seconds)
            for (code, peak), (stdout, stderr) in zip(ends, outputs, strict=True)
        ]

    def close(self) -> None:
        """Let it end."""
        self._process.communicate()
