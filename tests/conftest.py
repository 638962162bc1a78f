"""The example of a signature mechanism, which is signed and verified with where no real one is needed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

_SEAL = Path(__file__).parents[1] / "docs" / "examples" / "transship-seal" / "src" / "transship_seal" / "__init__.py"


@pytest.fixture(scope="session")
def seal():
    """The module of the mechanism ``seal``, to be registered as a plugin."""
    spec = importlib.util.spec_from_file_location("transship_seal", _SEAL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
