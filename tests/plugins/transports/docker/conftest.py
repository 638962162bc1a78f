"""Registries to talk to, and contexts to talk to them in."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from transship.plugin.cancellation import Cancellation
from transship.plugin.context import Context
from transship.testing.registry import Registry
from transship_docker.transport import DockerTransport

_CONFIGURATION = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {folder}}}
  delete: {{enabled: true}}
  maintenance: {{uploadpurging: {{enabled: false}}}}
http: {{addr: 127.0.0.1:{port}}}
"""


class Waits(Cancellation):
    """Notes how long somebody wanted to sleep, and lets nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, seconds: float) -> None:
        self.check()
        self.seconds.append(seconds)


@dataclass(frozen=True)
class Distribution:
    """A real docker-registry. ``host`` is ``127.0.0.1:PORT``."""

    host: str
    folder: Path


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch, tmp_path_factory):
    home = tmp_path_factory.getbasetemp() / "empty-home"
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(home))
    for name in ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def registry():
    """The testing registry, open to everybody."""
    with Registry() as registry:
        yield registry


@pytest.fixture
def make_registry():
    """Makes testing registries that are closed at the end."""
    opened = []

    def make(**behaviour) -> Registry:
        opened.append(Registry(**behaviour))
        return opened[-1]

    yield make
    for registry in opened:
        registry.close()


@pytest.fixture
def waits() -> Waits:
    """What the contexts of ``make_context`` wanted to sleep."""
    return Waits()


@pytest.fixture
def warnings_shown() -> list[str]:
    """What the contexts of ``make_context`` showed the user."""
    return []


@pytest.fixture
def make_context(waits, warnings_shown):
    """Makes contexts without TLS verification, whose sleeps take no time."""

    def make(*, credentials=None, anonymous=False, find_credentials=None, dry_run=False, **options: str) -> Context:
        named = {name.replace("_", "-"): value for name, value in options.items()}
        return Context(
            options={"tls-verify": "false", **named},
            cancellation=waits,
            warn=warnings_shown.append,
            credentials=credentials,
            anonymous=anonymous,
            find_credentials=find_credentials or (lambda registry, repository: None),
            dry_run=dry_run,
        )

    return make


@pytest.fixture(scope="session")
def run_registry():
    """Runs a docker-registry as long as a ``with`` lasts, its data in a folder.

    The second argument are further lines of its configuration.
    """
    return _running_registry


@pytest.fixture(scope="session")
def distribution(tmp_path_factory, run_registry):
    """Debian's docker-registry, with deletion, open to everybody."""
    with run_registry(tmp_path_factory.mktemp("docker-registry")) as registry:
        yield registry


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def _running_registry(folder: Path, more: str = ""):
    port = _free_port()
    configuration = folder / "config.yml"
    configuration.write_text(_CONFIGURATION.format(folder=folder / "storage", port=port) + more)
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", configuration], stdout=log, stderr=log)
    try:
        _wait_until_open(port)
        yield Distribution(f"127.0.0.1:{port}", folder / "storage")
    finally:
        process.terminate()
        process.wait(10)


def _wait_until_open(port: int) -> None:
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


_HELPER = """\
#!{python} -SE
import json, pathlib, sys
kept = pathlib.Path({kept!r})
entries = json.loads(kept.read_text())
action, data = sys.argv[1], sys.stdin.read()
if action in ("get", "erase") and data not in entries:
    print("credentials not found in native keychain")
    sys.exit(1)
if action == "get":
    print(json.dumps(entries[data]))
elif action == "list":
    print(json.dumps({{server: entry["Username"] for server, entry in entries.items()}}))
elif action == "erase":
    del entries[data]
elif action == "store":
    entries[json.loads(data)["ServerURL"]] = json.loads(data)
kept.write_text(json.dumps(entries))
"""


@pytest.fixture
def make_helper(tmp_path, monkeypatch):
    """Puts a program ``docker-credential-NAME`` on PATH: one that keeps the credentials given, or a script.

    The answer is the file in which the former keeps them, by server.
    """
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")

    def make(name: str, script: str = "", **users: str) -> Path:
        kept = tmp_path / f"{name}.json"
        entries = {
            server: {"ServerURL": server, "Username": user.partition(":")[0], "Secret": user.partition(":")[2]}
            for server, user in users.items()
        }
        kept.write_text(json.dumps(entries))
        program = programs / f"docker-credential-{name}"
        program.write_text(script or _HELPER.format(python=sys.executable, kept=str(kept)))
        program.chmod(0o755)
        return kept

    return make


@pytest.fixture(autouse=True)
def _cache_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def lookaside(tmp_path) -> Path:
    """The folder of signatures; ``registries.d`` beside it says so, and that attachments are used."""
    configuration = tmp_path / "registries.d"
    configuration.mkdir()
    text = f"default-docker: {{lookaside: file://{tmp_path}/lookaside, use-sigstore-attachments: true}}"
    (configuration / "default.yaml").write_text(text)
    return tmp_path / "lookaside"


@pytest.fixture
def open_destination(make_context):
    """Opens ``//HOST/NAME`` for writing, with options by keyword; closed at the end."""
    opened = []

    def open_destination(place, name="library/app:v1", **options):
        host = place if isinstance(place, str) else place.host
        transport = DockerTransport()
        reference = transport.parse_reference(f"//{host}/{name}")
        opened.append(transport.open_destination(reference, make_context(**options)))
        return opened[-1]

    yield open_destination
    for destination in opened:
        destination.close()
