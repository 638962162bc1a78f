"""The pages of the documentation, and what stands in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TOP_PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES = [*TOP_PAGES, *sorted(DOCS.rglob("*.md"))]
REGISTRIES = ("registry.example.com", "mirror.example.com")

_BLOCK = re.compile(
    r"^(?:<!-- (?P<marker>[^>]*?) -->\n)?(?P<fence> *```+)(?P<language>[^\n]*)\n(?P<code>.*?)^(?P=fence)$\n?"
    r"(?:\n(?P=fence)text\n(?P<output>.*?)^(?P=fence)$\n?)?",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    marker: str
    language: str
    code: str
    output: str | None


def blocks_of(page: Path) -> list[Block]:
    found = _BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(each["marker"] or "", each["language"], each["code"], each["output"]) for each in found]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


class Place(NamedTuple):
    """Where commands of a page run. ``hosts`` says what the hosts that the page names are called there."""

    folder: Path
    environment: Mapping[str, str]
    hosts: Mapping[str, str] = {}
