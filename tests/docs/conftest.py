from __future__ import annotations

import os
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "transship-example"


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
    home = workplace / "home"
    home.mkdir()
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TMPDIR") if name in os.environ}
    path = f"{workplace / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def installed_example(tmp_path_factory, environment):
    """The environment, as it is after the example distribution was installed."""
    site = tmp_path_factory.mktemp("site")
    shutil.copytree(EXAMPLE / "src" / "transship_example", site / "transship_example")
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    record = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    record.mkdir()
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    (record / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
            for group, entries in project["entry-points"].items()
        )
    )
    return {**environment, "PYTHONPATH": str(site)}


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
