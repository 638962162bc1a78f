"""Manual pages agree with the program, are well-formed, and are shipped."""

from __future__ import annotations

import importlib.util
import subprocess
import tomllib
from pathlib import Path

import pytest

from transship.cli.options import HIDDEN_COMMANDS
from transship.discovery import PluginManager

ROOT = Path(__file__).parents[2]


def load_script(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES = load_script(ROOT / "docs" / "generate_manual.py").manual()
EACH = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


@EACH
def test_a_page_is_what_the_generator_writes(path):
    assert path.read_text(encoding="ascii") == PAGES[path], "run: python3 docs/generate_reference.py"


def test_every_command_has_one_and_nothing_else_has():
    names = {f"transship-{name}" for name in PluginManager().names("commands") if name not in HIDDEN_COMMANDS}
    assert {path.stem for path in PAGES} == {"transship", *names}
    assert {*ROOT.glob("core/man/*"), *ROOT.glob("plugins/*/*/man/*")} == set(PAGES)


@EACH
def test_a_page_has_no_mistakes(path):
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@EACH
def test_a_page_has_no_markdown_left(path):
    shown = subprocess.run(["mandoc", "-T", "ascii", path], capture_output=True, text=True, check=True).stdout
    assert "](" not in shown
    assert "```" not in shown
    assert "\n## " not in shown


@pytest.mark.parametrize("folder", sorted({path.parent for path in PAGES}), ids=lambda folder: folder.parent.name)
def test_a_wheel_ships_them_where_man_looks(folder):
    document = tomllib.loads((folder.parent / "pyproject.toml").read_text(encoding="utf-8"))
    assert document["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]["man"] == "share/man/man1"
