"""Whoever deletes the folder of a plugin, its tests and the lines that name it has a repository whose tests pass.

Tests run where all plugins were deleted but those that they say they use, so that none can need another: the tests of
commands that use one plugin of the commonest or none, with TRANSSHIP_FULL_MEASURES=1 nearly all tests. Beside that a
plugin is deleted, and what speaks of the repository runs; with TRANSSHIP_FULL_MEASURES=1 each is in turn, and nearly
all tests run. TRANSSHIP_DELETED_PLUGINS says which.
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
DELETED = os.environ.get("TRANSSHIP_DELETED_PLUGINS", "" if FULL else max(PLUGINS)).split() or sorted(PLUGINS)
EVERYWHERE = ["tests/core", "tests/cli", *sorted(f"tests/plugins/{path.name}" for path in ROOT.glob("tests/plugins/*"))]
QUICK = ["tests/cli", "tests/core/anatomy", "tests/core/sync"]
COMMON = ("", "dir", "oci")
OF_REPOSITORY = ["tests/repo/test_distributions.py", "tests/repo/test_security_page.py"]
LISTS = ("pyproject.toml", "requirements.txt", "tox.ini")
NEEDED_BY = {"oci": ["oci-archive"]}  # the one plugin that is made of another goes with it
TOOLS = ["pytest", "pytest-timeout", "hypothesis", "hatchling", "trustme", "tqdm", "google-re2", "PyYAML"]
MORE_TOOLS = ["moto[server]", "paramiko", "s3fs", "ruff", "mypy"]


class Copies:
    """Copies of the checkout from which plugins were deleted, and an environment that has all but them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = Environment(folder)
        self._environment.install(ROOT / "core", *PLUGINS.values())
        for name in ("core", *PLUGINS):
            self._environment.link_needs(f"transship-{name}")
        self._environment.link(*TOOLS, *(MORE_TOOLS if FULL else ()))

    def run(self, module: str, *arguments: str, gone: list[str], check: bool = True) -> str:
        """What a module such as ``pytest`` prints in a copy without the plugins ``gone``."""
        copy = self._folder / "checkout"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        for name in gone:
            delete(copy, PLUGINS[name])
        compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(self._folder / "compiled")}
        with self._environment.without(*gone):
            done = self._environment.run(module, *arguments, cwd=copy, check=check, variables=compiled)
        return done.stdout


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    return Copies(tmp_path_factory.mktemp("copies"))


def delete(checkout: Path, plugin: Path) -> None:
    """The folder, its own tests, and the lines that name it in the lists at the root."""
    place = plugin.relative_to(ROOT)
    shutil.rmtree(checkout / place)
    shutil.rmtree(checkout / "tests" / place, ignore_errors=True)
    package = f"transship_{plugin.name.replace('-', '_')}"
    names_it = re.compile(rf"(transship-{plugin.name}~=|\"{package}[\".]|{place}(/src\",| \\)?$)")
    for name in LISTS:
        lines = (checkout / name).read_text(encoding="utf-8").splitlines(keepends=True)
        (checkout / name).write_text("".join(line for line in lines if not names_it.search(line.rstrip())))


@pytest.mark.parametrize("places", [[place] for place in EVERYWHERE] if FULL else [QUICK], ids=" ".join)
def test_tests_need_no_plugin_that_they_do_not_name(copies, places):
    listing = copies.run("pytest", "-p", "no:cacheprovider", "--collect-only", "--uses=each", *places, gone=[])
    together = re.findall("^uses (.*): (.+)$", listing, re.MULTILINE)
    assert together
    failures = []
    for names, files in (each for each in together if FULL or each[0] in COMMON):
        gone = [name for name in PLUGINS if name not in names.split(",")]
        told = copies.run(
            "pytest", "-q", "-p", "no:cacheprovider", f"--uses={names}", *files.split(), gone=gone, check=False
        )
        summary = told.splitlines()[-1]
        print(f"with {names or 'no plugin'}: {summary}")
        if not re.match(r"\d+ passed", summary):
            failures.append(f"with {names or 'no plugin'}:\n{told}")
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("name", DELETED)
def test_what_is_left_passes_its_tests(copies, name):
    gone = [name, *NEEDED_BY.get(name, [])]
    assert name not in copies.run("transship", "plugins", gone=gone).split()
    tests = [*EVERYWHERE, *OF_REPOSITORY] if FULL else OF_REPOSITORY
    summary = copies.run("pytest", "-q", "-p", "no:cacheprovider", *tests, gone=gone).splitlines()[-1]
    assert re.match("[0-9]+ passed", summary)
    print(f"without {name}: {summary}")
