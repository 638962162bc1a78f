"""Whoever deletes the folder of a plugin, its tests and the lines that name it has a repository whose tests pass.

Which plugins are deleted, ``zstd`` without more, says TRANSSHIP_DELETED_PLUGINS; with TRANSSHIP_FULL_MEASURES=1 each is
in turn, and the tests of the command line and of the other plugins run too.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from environments import Environment

ROOT = Path(__file__).parents[2]
PLUGINS = {path.parent.name: path.parent for path in sorted(ROOT.glob("plugins/*/*/pyproject.toml"))}
FULL = bool(os.environ.get("TRANSSHIP_FULL_MEASURES"))
NAMES = os.environ.get("TRANSSHIP_DELETED_PLUGINS", "" if FULL else "zstd").split() or sorted(PLUGINS)
ALL_TESTS = ("tests/core", "tests/cli", "tests/plugins", "tests/repo/test_distributions.py")
SOME_TESTS = ("tests/core/copy/test_transfer.py", "tests/core/test_api.py", "tests/repo/test_distributions.py")
LISTS = ("pyproject.toml", "requirements.txt", "tox.ini")
NEEDED_BY = {"oci": ["oci-archive"]}  # the one plugin that is made of another goes with it
TOOLS = ("pytest", "pytest-timeout", "hypothesis", "hatchling", "trustme", "tqdm", "google-re2", "PyYAML")


def delete(checkout: Path, plugin: Path) -> None:
    """The folder, its own tests, and the lines that name it in the lists at the root."""
    place = plugin.relative_to(ROOT)
    shutil.rmtree(checkout / place)
    shutil.rmtree(checkout / "tests" / place, ignore_errors=True)
    package = f"transship_{plugin.name.replace('-', '_')}"
    names_it = re.compile(rf"(transship-{plugin.name}~=|\"{package}[\".]|{place}(/src\",)?$)")
    for name in LISTS:
        lines = (checkout / name).read_text(encoding="utf-8").splitlines(keepends=True)
        (checkout / name).write_text("".join(line for line in lines if not names_it.search(line.rstrip())))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_left_passes_its_tests(tmp_path, name):
    ignored = shutil.ignore_patterns(".*", "__pycache__")
    checkout = shutil.copytree(ROOT, tmp_path / "checkout", ignore=ignored)
    gone = [name, *NEEDED_BY.get(name, [])]
    for each in gone:
        delete(checkout, PLUGINS[each])
    environment = Environment(tmp_path)
    left = [plugin for plugin in PLUGINS if plugin not in gone]
    environment.install(checkout / "core", *(checkout / PLUGINS[plugin].relative_to(ROOT) for plugin in left))
    for each in ("core", *left):
        environment.link_needs(f"transship-{each}")
    environment.link(*TOOLS)
    assert name not in environment.run("transship", "plugins", cwd=tmp_path).stdout.split()
    tests = ALL_TESTS if FULL else SOME_TESTS
    done = environment.run("pytest", "-q", "-p", "no:cacheprovider", *tests, cwd=checkout)
    summary = done.stdout.splitlines()[-1]
    assert re.match("[0-9]+ passed", summary)
    print(f"without {name}: {summary}")
