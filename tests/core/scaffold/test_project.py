"""New plugin projects: complete or not there at all, and code that a checker has nothing to say about."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from transship import __version__
from transship.discovery import KINDS as GROUPS
from transship.errors import PluginError, TransshipError
from transship.plugin import HOOK_VERSION
from transship.scaffold import project as scaffold
from transship.scaffold.project import KINDS, write_project

TEMPLATES = Path(scaffold.__file__).parent / "templates"
LONGEST = "a" * 32


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "new"


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_there_is_a_template_for_each_entry_point_group():
    assert {f"{kind}s" for kind in KINDS} == set(GROUPS)


@pytest.mark.parametrize("kind", KINDS)
def test_project_is_complete(folder, kind):
    write_project(kind, "my-thing", str(folder))
    assert files_of(folder) == {
        "README.md",
        "pyproject.toml",
        "src/transship_my_thing/__init__.py",
        "src/transship_my_thing/py.typed",
        "tests/test_my_thing.py",
    }
    document = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert document["name"] == "transship-my-thing"
    assert document["dependencies"] == [f"transship-core~={__version__}"]
    assert document["entry-points"] == {f"transship.{kind}s": {"my-thing": "transship_my_thing"}}
    module = (folder / "src" / "transship_my_thing" / "__init__.py").read_text()
    assert f"transship_hook_version = {HOOK_VERSION}\n" in module


def test_folder_has_the_rights_that_new_folders_have(folder):
    write_project("command", "thing", str(folder))
    folder.with_name("other").mkdir()
    assert folder.stat().st_mode == folder.with_name("other").stat().st_mode


@pytest.mark.parametrize("name", ["thing", LONGEST, "a-" + "b" * 30, "s3"])
def test_code_is_clean_whatever_the_name(tmp_path, name):
    for kind in KINDS:
        write_project(kind, name, str(tmp_path / kind))
    for command in (["check"], ["format", "--check"]):
        for kind in KINDS:
            check([sys.executable, "-m", "ruff", *command, "."], tmp_path / kind)


def test_types_are_strict(tmp_path):
    for kind in KINDS:
        write_project(kind, f"my-{kind}", str(tmp_path / kind))
    settings = tomllib.loads((tmp_path / "transport" / "pyproject.toml").read_text())["tool"]["mypy"]
    assert settings == {"files": ["src", "tests"], "strict": True}
    folders = [tmp_path / kind / part for kind in KINDS for part in settings["files"]]
    search = os.pathsep.join(str(tmp_path / kind / "src") for kind in KINDS)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", *folders]
    check(mypy, tmp_path, variables={"MYPYPATH": search})


def check(command: list, folder: Path, variables: dict[str, str] | None = None) -> None:
    result = subprocess.run(
        command, cwd=folder, env={**os.environ, **(variables or {})}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    "name",
    [
        "",
        "A",
        "Thing",
        "my_thing",
        "my--thing",
        "-thing",
        "thing-",
        "3d",
        "thing\n",
        "ding.dong",
        "täst",
        "a/b",
        "..",
        "x" * 33,
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_name_that_no_plugin_can_have_is_refused(folder, kind, name):
    with pytest.raises(PluginError):
        write_project(kind, name, str(folder))
    assert list(folder.parent.iterdir()) == []


def test_name_of_the_core_is_refused(folder):
    with pytest.raises(PluginError):
        write_project("command", "core", str(folder))


@pytest.mark.parametrize("kind", KINDS)
def test_no_name_gives_one_word_two_meanings(tmp_path, kind):
    """Names made of words that Python or the code itself needs: each class is defined once, and never imported."""
    words = set(re.findall(r"[A-Z][A-Za-z]+", (TEMPLATES / kind / "plugin.py.in").read_text()))
    parts = {"-".join(re.findall(r"[A-Z][a-z]*", word)[:count]).lower() for word in words for count in (1, 2, 3)}
    refused = set()
    for name in sorted({*parts, "none", "class", "import", "true"} - {""}):
        try:
            write_project(kind, name, str(tmp_path / name))
        except PluginError:
            refused.add(name)
            continue
        for path in (tmp_path / name).rglob("*.py"):
            tree = ast.parse(path.read_text())
            imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
            imported = {alias.name for node in imports for alias in node.names}
            classes = [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
            assert len(set(classes)) == len(classes)
            assert not imported & set(classes)
    assert refused == {"signature": {"signature"}, "executor": {"executor", "thread-pool"}}.get(kind, set())


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_what_is_there_stays(folder, make):
    make(folder)
    with pytest.raises(TransshipError, match="exists"):
        write_project("command", "thing", str(folder))
    assert list(folder.parent.iterdir()) == [folder]


def test_folder_above_must_be_there(folder):
    with pytest.raises(TransshipError, match="no folder"):
        write_project("command", "thing", str(folder / "below"))


def test_a_place_that_cannot_be_written_is_named_as_it_was_given():
    with pytest.raises(TransshipError, match=r"write /proc/acme: [a-z ]+$"):
        write_project("transport", "acme", "/proc/acme")


def test_nothing_is_left_of_a_project_that_could_not_be_written(folder, monkeypatch):
    monkeypatch.setitem(scaffold._FILES, "tests/" + "x" * 300, "py.typed.in")  # no file system takes such a name
    with pytest.raises(TransshipError):
        write_project("command", "thing", str(folder))
    assert list(folder.parent.iterdir()) == []
