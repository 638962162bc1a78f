"""A docker-registry of our own for as long as a benchmark runs."""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

_CONFIGURATION = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/storage}}}}
http: {{addr: "{host}"}}
"""
_PATIENCE = 10.0


def has_docker_registry() -> bool:
    """Whether Debian's docker-registry is on the PATH."""
    return shutil.which("docker-registry") is not None


@contextmanager
def docker_registry(folder: Path) -> Iterator[str]:
    """Host and port of a registry that keeps everything in ``folder`` and speaks plain HTTP."""
    folder.mkdir(parents=True)
    host = f"localhost:{_free_port()}"
    configuration = folder / "config.yml"
    configuration.write_text(_CONFIGURATION.format(folder=folder, host=host))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", configuration], stdout=log, stderr=log)
    try:
        _wait_for(host)
        yield host
    finally:
        process.terminate()
        process.wait(10)


def seconds_per_request(host: str, count: int = 200) -> float:
    """What one request costs on a connection that is open, body read."""
    with closing(http.client.HTTPConnection(host, timeout=10)) as connection:
        times = []
        for _ in range(count):
            start = time.perf_counter()
            connection.request("GET", "/v2/")
            connection.getresponse().read()
            times.append(time.perf_counter() - start)
    return sorted(times)[count // 2]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(host: str) -> None:
    end = time.monotonic() + _PATIENCE
    name, _, port = host.partition(":")
    while True:
        try:
            socket.create_connection((name, int(port)), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return
