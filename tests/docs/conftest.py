from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest
import trustme

sys.path.insert(0, str(Path(__file__).parent))

from docs_pages import REGISTRIES, Place

from transship.testing.registry import Registry

ROOT = Path(__file__).parents[2]
EXAMPLES = [ROOT / "docs" / "examples" / name for name in ("transship-example", "transship-seal")]
PASSWORD = "open sesame"  # noqa: S105 - of a registry that lives as long as a test


@pytest.fixture
def workplace(tmp_path):
    """What the reader of a page has: a folder with docs/examples, and programs on the path."""
    shutil.copytree(ROOT / "docs" / "examples", tmp_path / "docs" / "examples")
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("transship", "dask", "pytest"):
        _program(programs / name, f'exec "{sys.executable}" -m {name} "$@"')
    return tmp_path


@pytest.fixture
def environment(workplace):
    """The environment of the reader's shell; the home folder holds nothing yet."""
    home, runtime = workplace / "home", workplace / "run"
    home.mkdir()
    runtime.mkdir()
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TMPDIR") if name in os.environ}
    path = f"{workplace / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    places = {"PATH": path, "HOME": str(home), "XDG_RUNTIME_DIR": str(runtime)}
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as gnupg:  # a socket's name must be short
        yield {**kept, **places, "GNUPGHOME": gnupg, "PYTHONDONTWRITEBYTECODE": "1"}
        if shutil.which("gpgconf"):  # pages that need it fail without it, the others do not
            subprocess.run(["gpgconf", "--homedir", gnupg, "--kill", "all"], check=False)


@pytest.fixture
def place(workplace, environment):
    return Place(workplace, environment)


@pytest.fixture
def place_with_examples(workplace, environment, tmp_path_factory):
    """After the example distributions were installed."""
    site = tmp_path_factory.mktemp("site")
    for example in EXAMPLES:
        _install(example, site)
    return Place(workplace, {**environment, "PYTHONPATH": str(site)})


@pytest.fixture(scope="session")
def authority():
    """Who signs the certificates of registries and of people."""
    return trustme.CA()


@pytest.fixture(scope="session")
def certificate(authority, tmp_path_factory):
    """A certificate of the registries, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(folder / "registry.crt")
    issued.private_key_pem.write_to_path(folder / "registry.key")
    authority.cert_pem.write_to_path(folder / "ca.crt")
    return folder / "registry.crt", folder / "registry.key"


@pytest.fixture
def place_with_registries(workplace, environment, certificate):
    """With registries by the names that pages give them, whose certificate the machine trusts.

    Everybody may read there, and ann may do everything.
    """
    running = {}
    try:
        for name in REGISTRIES:
            running[name] = Registry(tls=certificate, auth="bearer", users={"ann": PASSWORD}, anonymous=("pull",))
        trusted = {"SSL_CERT_FILE": str(certificate[0].with_name("ca.crt")), "REGISTRY_PASSWORD": PASSWORD}
        hosts = {name: registry.host for name, registry in running.items()}
        yield Place(workplace, {**environment, **trusted}, hosts)
    finally:
        for registry in running.values():
            registry.close()


@pytest.fixture
def place_with_client_certificates(workplace, environment, authority, certificate):
    """With a registry that nobody reaches without a certificate, and what its owner gave ann."""
    issued = authority.issue_cert("ann@example.com")
    issued.cert_chain_pems[0].write_to_path(workplace / "ann.cert")
    issued.private_key_pem.write_to_path(workplace / "ann.key")
    shutil.copy(certificate[0].with_name("ca.crt"), workplace)
    with Registry(tls=certificate, client_ca=workplace / "ca.crt") as registry:
        yield Place(workplace, environment, {"registry.example.com": registry.host})


@pytest.fixture
def place_with_scheduler(place_with_registries):
    """With a free port on this machine in the place of a scheduler's."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    scheduler = {"scheduler.example.com:8786": f"127.0.0.1:{port}", "--port 8786": f"--port {port}"}
    return place_with_registries._replace(hosts={**place_with_registries.hosts, **scheduler})


@pytest.fixture
def place_with_bucket(place_with_registries, monkeypatch, tmp_path_factory):
    """With the bucket ``images`` of a service that is not Amazon's, and credentials for it."""
    monkeypatch.syspath_prepend(ROOT / "tests" / "plugins" / "transports" / "fsspec")
    from fsspec_servers import CREDENTIALS, S3Server

    server = S3Server(tmp_path_factory.mktemp("s3"))
    try:
        server.make_bucket("images")
        environment = {**place_with_registries.environment, **CREDENTIALS}
        hosts = {**place_with_registries.hosts, "https://s3.example.com": server.endpoint}
        yield place_with_registries._replace(environment=environment, hosts=hosts)
    finally:
        server.stop()


def _install(example: Path, site: Path) -> None:
    shutil.copytree(example / "src", site, dirs_exist_ok=True)
    project = tomllib.loads((example / "pyproject.toml").read_text())["project"]
    record = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    record.mkdir()
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    (record / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
            for group, entries in project["entry-points"].items()
        )
    )


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
