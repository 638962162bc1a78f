"""The page that says what is promised names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/security.md").read_text(encoding="utf-8")
RULES = [tuple(rule.split(". ", 1)) for rule in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]]


def _is_gone(name: str) -> bool:
    """Whether this is a test of a plugin whose folder was deleted, and its tests with it."""
    place = Path(*Path(name).parts[1:4])
    return place.parts[0] == "plugins" and not (ROOT / place).is_dir()


def test_there_are_25_rules():
    assert [number for number, _ in RULES] == [str(number) for number in range(1, 26)]


@pytest.mark.parametrize("text", [text for _, text in RULES], ids=[number for number, _ in RULES])
def test_a_rule_names_tests_that_exist(text):
    named = re.findall(r"`(tests/[^`]+)`", text.partition("\nTests: ")[2])
    assert named
    for name in named:
        assert _is_gone(name) or "def test_" in (ROOT / name).read_text(encoding="utf-8"), name


def test_everything_else_that_is_named_is_there():
    named = re.findall(r"`(tests/[^`]+)`", PAGE)
    assert [name for name in named if not _is_gone(name) and not (ROOT / name).is_file()] == []
