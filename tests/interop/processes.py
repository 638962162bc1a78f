"""Runs the program as users do, and looks at what it cost."""

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
