"""What is public is listed, and it alone is used where others learn from it."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs_pages import PAGES, ROOT, blocks_of, name_of

from transship.scaffold.project import KINDS, write_project

_SPEC = importlib.util.spec_from_file_location("generate_interface", ROOT / "docs" / "generate_interface.py")
GENERATOR = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(GENERATOR)
PUBLIC = GENERATOR.public()
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*/**/*.py"))


def test_the_page_says_what_is_public_now():
    """Else plugins may break: if that is meant, say so in the changelog, and run docs/generate_interface.py."""
    assert GENERATOR.PAGE.read_text(encoding="utf-8") == GENERATOR.page()


def test_a_changed_signature_shows(tmp_path, monkeypatch):
    code = (
        "import os\nLIMIT = 1\n_HIDDEN = 2\nclass A(B):\n    x: int = 3\n    def f(self, y): 0\n    def _g(self): 0\n"
    )
    (tmp_path / "module.py").write_text(code)
    monkeypatch.setattr(GENERATOR, "SOURCE", tmp_path)
    before = GENERATOR.listing("module", frozenset())
    assert before.splitlines() == ["LIMIT = 1", "class A(B)", "    x: int = 3", "    def f(self, y)"]
    assert GENERATOR.listing("module", frozenset({"LIMIT"})) == "LIMIT = 1"
    for old, new in (("y", "z"), ("3", "4"), ("(B)", "(C)"), ("LIMIT = 1", "LIMIT = 2")):
        (tmp_path / "module.py").write_text(code.replace(old, new))
        assert GENERATOR.listing("module", frozenset()) != before


def test_a_long_signature_has_a_line_for_each_parameter(tmp_path, monkeypatch):
    parameters = [f"parameter_{number}: dict[str, tuple[int, int]]=(1, 2)" for number in range(9)]
    (tmp_path / "module.py").write_text(f"def f(*, {', '.join(parameters)}) -> None: ...")
    monkeypatch.setattr(GENERATOR, "SOURCE", tmp_path)
    lines = GENERATOR.listing("module", frozenset()).splitlines()
    assert lines == ["def f(", "    *,", *(f"    {each}," for each in parameters), ") -> None"]


def not_public(code: str) -> Iterator[str]:
    """What the code imports from transship that is not public."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "transship":
            names = PUBLIC.get(node.module)
            for alias in node.names:
                if names is None or (names and alias.name not in names):
                    yield f"{node.module}.{alias.name}"


def test_what_is_not_public_is_noticed():
    code = "from transship.cli.flags import Flag\nfrom transship.retry import with_retries\nimport transship.api"
    assert list(not_public(code)) == ["transship.cli.flags.Flag", "transship.retry.with_retries"]


@pytest.mark.parametrize("path", EXAMPLES, ids=name_of)
def test_examples_use_what_is_public(path):
    assert list(not_public(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pages_use_what_is_public(page):
    code = [block.code for block in blocks_of(page) if block.language == "python"]
    assert [name for each in code for name in not_public(each)] == []


@pytest.mark.parametrize("kind", KINDS)
def test_new_plugins_use_what_is_public(tmp_path, kind):
    write_project(kind, "thing", str(tmp_path / "new"))
    paths = sorted(Path(tmp_path / "new").rglob("*.py"))
    assert [name for path in paths for name in not_public(path.read_text(encoding="utf-8"))] == []
