"""Runs the program in processes of their own, and looks at what that cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

# A process inherits the peak of the one that it was forked from, so a small one is put in between.
_LAUNCHER = """
import json, os, sys
report, *command = sys.argv[1:]
child = os.fork()
if child == 0:
    os.execv(command[0], command)
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


def transship(folder: Path, *arguments: str, timeout: float = 300, **environment: str) -> Finished:
    """Run transship in a process of its own. ``folder`` takes a report of the run."""
    report = folder / f"report-{os.urandom(8).hex()}"
    command = [sys.executable, "-SEc", _LAUNCHER, str(report)]
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
for line in sys.stdin:
    request = json.loads(line)
    child = os.fork()
    if child == 0:
        signal.alarm(request["timeout"])
        os.environ.update(request["environment"])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(request["stdout"], os.O_WRONLY | os.O_CREAT, 0o600), 1)
        os.dup2(os.open(request["stderr"], os.O_WRONLY | os.O_CREAT, 0o600), 2)
        code = Application().run(request["arguments"])
        for thread in threading.enumerate():
            if not (thread.daemon or thread is threading.main_thread()):
                thread.join()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # to tear down what came with the fork would cost more than the run
    _, status, usage = os.wait4(child, 0)
    print(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_maxrss << 10]), flush=True)
"""


class Nursery:
    """Runs the program, one run at a time; quicker than a process that is started anew.

    ``preparation`` is code that is run once before, so that what it imports or sets is there in each run.
    """

    def __init__(self, preparation: str, *, timeout: int) -> None:
        command = [sys.executable, "-c", _NURSERY, preparation]
        self._timeout = timeout
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def transship(self, folder: Path, *arguments: str, **environment: str) -> Finished:
        """Run it. ``folder`` takes what it says."""
        number = os.urandom(8).hex()
        stdout, stderr = folder / f"stdout-{number}", folder / f"stderr-{number}"
        request = {
            "arguments": ["--insecure-policy", *arguments],
            "environment": environment,
            "stdout": str(stdout),
            "stderr": str(stderr),
            "timeout": self._timeout,
        }
        start = time.monotonic()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        code, peak = json.loads(self._process.stdout.readline())
        return Finished(code, stdout.read_text(), stderr.read_text(), peak, time.monotonic() - start)

    def close(self) -> None:
        """Let it end."""
        self._process.communicate()
