"""Fragments of the changelog have known kinds and say something."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FRAGMENTS = [path for path in sorted((ROOT / "docs" / "changelog").iterdir()) if path.name != "README.md"]
TOWNCRIER = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda path: path.name)
def test_a_fragment_has_a_known_kind_and_full_sentences(fragment):
    topic, kind, suffix = fragment.name.split(".")
    assert topic
    assert suffix == "md"
    assert kind in [entry["directory"] for entry in TOWNCRIER["type"]]
    assert fragment.read_text(encoding="utf-8").rstrip().endswith(".")


def test_the_readme_explains_every_kind():
    readme = (ROOT / "docs" / "changelog" / "README.md").read_text(encoding="utf-8")
    assert [entry["directory"] for entry in TOWNCRIER["type"] if f"`{entry['directory']}`" not in readme] == []
