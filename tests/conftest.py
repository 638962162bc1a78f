"""Which plugins tests use, and the example of a signature mechanism, for where no real one is needed.

A test that uses a plugin of this repository says so with the marker ``uses``, but for those in ``tests/plugins``, which
use their own. Whoever deletes the folder of a plugin thereby leaves out the tests that cannot be without it.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DEFAULT = {"dir", "docker", "docker-archive", "gzip", "oci", "oci-archive", "openpgp", "sigstore", "zstd"}
OF_THE_WHOLE_PROGRAM = [ROOT / "tests" / name for name in ("docs", "fuzz", "interop")]
"""What is tested there is all that is installed by default: by hand-written pages, by fuzzers, and against others."""

_SEAL = Path(__file__).parents[1] / "docs" / "examples" / "transship-seal" / "src" / "transship_seal" / "__init__.py"


@pytest.fixture(scope="session")
def seal():
    """The module of the mechanism ``seal``, to be registered as a plugin."""
    spec = importlib.util.spec_from_file_location("transship_seal", _SEAL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pytest_collection_modifyitems(config, items):
    """Leave out the tests that use a plugin whose folder was deleted."""
    here = {path.parent.name for path in ROOT.glob("plugins/*/*/pyproject.toml")}
    left_out = [item for item in items if not used_by(item) <= here]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if used_by(item) <= here]


def used_by(item: pytest.Item) -> set[str]:
    """The plugins without which a test cannot be."""
    marked = {name for marker in item.iter_markers("uses") for name in marker.args}
    return marked | DEFAULT if any(item.path.is_relative_to(folder) for folder in OF_THE_WHOLE_PROGRAM) else marked
