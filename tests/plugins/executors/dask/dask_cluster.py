"""A Dask scheduler and workers as processes on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from distributed import Client

THREADS = 2
_PATIENCE = 30.0


class Cluster:
    """A scheduler, and the workers that are added. ``environment`` is that of the scheduler."""

    def __init__(self, folder: Path, *, workers: int = 0, **environment: str) -> None:
        folder.mkdir()
        self._folder = folder
        self._processes: list[subprocess.Popen] = []
        try:
            self._begin(workers, environment)
        except BaseException:
            self.close()
            raise

    def _begin(self, workers: int, environment: Mapping[str, str]) -> None:
        file = self._folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--port", "0", "--scheduler-file", str(file), **environment)
        _wait_for(lambda: file.exists() and file.read_text())
        self.address = json.loads(file.read_text())["address"]
        self.workers = [self.add_worker() for _ in range(workers)]
        if workers:
            self.wait_for_workers(workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill all that is left."""
        for process in self._processes:
            process.kill()
            process.wait()

    def add_worker(self, **environment: str) -> subprocess.Popen:
        """A worker, which may still be starting, with ``THREADS`` threads."""
        options = ("--no-nanny", "--nthreads", str(THREADS), "--local-directory", str(self._folder))
        return self._start("worker", self.address, *options, **environment)

    def wait_for_workers(self, count: int) -> None:
        """Wait until so many are there."""
        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=_PATIENCE)

    def wait_until_there_are(self, count: int) -> None:
        """Wait until no more than so many are left."""
        with Client(self.address, set_as_default=False) as client:
            _wait_for(lambda: len(client.nthreads()) <= count)

    @property
    def jobs(self) -> int:
        """How many jobs the scheduler knows."""
        with Client(self.address, set_as_default=False) as client:
            # A function in a function travels with its code: the scheduler cannot import this module.
            return len(client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks)))

    def _start(self, role: str, *arguments: str, **environment: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "dask", role, *arguments, "--host", "127.0.0.1", "--no-dashboard"]
        with open(self._folder / f"log-{len(self._processes)}", "wb") as log:
            process = subprocess.Popen(
                command, cwd=self._folder, stdout=log, stderr=log, env={**os.environ, **environment}
            )
        self._processes.append(process)
        return process


def _wait_for(condition) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
