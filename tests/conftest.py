"""Which plugins tests use, and the example of a signature mechanism, for where no real one is needed.

A test that uses a plugin of this repository says so with the marker ``uses``, but for those in ``tests/plugins``, which
use their own. Whoever deletes the folder of a plugin thereby leaves out the tests that cannot be without it.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HERE = {path.parent.name for path in ROOT.glob("plugins/*/*/pyproject.toml")}
DEFAULT = {"dir", "docker", "docker-archive", "gzip", "oci", "oci-archive", "openpgp", "sigstore", "zstd"}
NEEDS = {"oci-archive": {"oci"}}  # the one plugin that is made of another
OF_PLUGINS = ROOT / "tests" / "plugins"
OF_THE_WHOLE_PROGRAM = {
    ROOT / "tests" / "docs": DEFAULT,
    ROOT / "tests" / "interop": DEFAULT - {"openpgp", "sigstore"},
}
"""What is tested there is what is installed by default: by hand-written pages, and against others."""

_SEAL = Path(__file__).parents[1] / "docs" / "examples" / "transship-seal" / "src" / "transship_seal" / "__init__.py"


@pytest.fixture(scope="session")
def seal():
    """The module of the mechanism ``seal``, to be registered as a plugin."""
    spec = importlib.util.spec_from_file_location("transship_seal", _SEAL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pytest_addoption(parser):
    parser.addoption(
        "--uses",
        metavar="PLUGINS",
        help="run only the tests that use just these plugins, separated by commas, or none with ''; "
        "with --collect-only, 'each' says which plugins are used together, and in which files",
    )


def pytest_ignore_collect(collection_path):
    """Leave out whole folders whose files may import what was deleted; None leaves the decision to others."""
    return None if OF_THE_WHOLE_PROGRAM.get(collection_path, HERE) <= HERE else True


def pytest_collection_modifyitems(config, items):
    """Leave out the tests that use a plugin whose folder was deleted, and those that were not asked for."""
    only = config.getoption("uses")
    asked = None if only in (None, "each") else {*only.split(",")} - {""}
    chosen = {item for item in items if used_by(item) <= HERE and asked in (None, used_by(item))}
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = [item for item in items if item in chosen]


def pytest_report_collectionfinish(config, items):
    if config.getoption("uses") != "each":
        return []
    files = {}
    for item in items:
        files.setdefault(frozenset(used_by(item)), set()).add(str(item.path.relative_to(ROOT)))
    return [f"uses {','.join(sorted(plugins))}: {' '.join(sorted(paths))}" for plugins, paths in files.items()]


def used_by(item: pytest.Item) -> set[str]:
    """The plugins without which a test cannot be."""
    used = {name for marker in item.iter_markers("uses") for name in marker.args}
    if item.path.is_relative_to(OF_PLUGINS):
        used.add(item.path.relative_to(OF_PLUGINS).parts[1])
    for folder, plugins in OF_THE_WHOLE_PROGRAM.items():
        used |= plugins if item.path.is_relative_to(folder) else set()
    return used.union(*(NEEDS.get(name, set()) for name in used))
