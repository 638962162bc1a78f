from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from transship.testing.registry import Registry

ROOT = Path(__file__).parents[2]
EXAMPLES = [ROOT / "docs" / "examples" / name for name in ("transship-example", "transship-seal")]
REGISTRIES = ("registry.example.com", "mirror.example.com")
PASSWORD = "open sesame"  # noqa: S105 - of a registry that lives as long as a test


@pytest.fixture
def workplace(tmp_path):
    """What the reader of a page has: a folder with docs/examples, and programs on the path."""
    shutil.copytree(ROOT / "docs" / "examples", tmp_path / "docs" / "examples")
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    _program(programs / "transship", f'exec "{sys.executable}" -m transship "$@"')
    return tmp_path


@pytest.fixture
def environment(workplace):
    """The environment of the reader's shell; the home folder holds nothing yet."""
    home, runtime = workplace / "home", workplace / "run"
    home.mkdir()
    runtime.mkdir()
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TMPDIR") if name in os.environ}
    path = f"{workplace / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "HOME": str(home), "XDG_RUNTIME_DIR": str(runtime), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate of the registries, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "registry.crt", folder / "registry.key"
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=example", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", *kind, *names, "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


@pytest.fixture
def registries(certificate):
    """Registries by the names that pages give them: everybody may read there, and ann may do everything."""
    running = {}
    try:
        for name in REGISTRIES:
            running[name] = Registry(tls=certificate, auth="bearer", users={"ann": PASSWORD}, anonymous=("pull",))
        yield running
    finally:
        for registry in running.values():
            registry.close()


@pytest.fixture
def registry_environment(environment, certificate):
    """The environment of a reader whose machine trusts the registries' certificate."""
    return {**environment, "SSL_CERT_FILE": str(certificate[0]), "REGISTRY_PASSWORD": PASSWORD}


@pytest.fixture
def installed_examples(tmp_path_factory, environment):
    """The environment, as it is after the example distributions were installed."""
    site = tmp_path_factory.mktemp("site")
    for example in EXAMPLES:
        _install(example, site)
    return {**environment, "PYTHONPATH": str(site)}


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
