"""The site of the pages: it is whole, needs nothing from elsewhere, and what is wrong in a page fails its build."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WRONG = {
    "how-to/wrong-page.md": "# A page\n\n[no page](nowhere.md)",
    "how-to/wrong-heading.md": "# A page\n\n[no heading](push-and-pull.md#nowhere)",
    "how-to/wrong-own-heading.md": "# A page\n\n[no heading](#nowhere)",
    "how-to/wrong-file.md": "# A page\n\n[no file](../examples/nowhere.json)",
    "how-to/wrong-file-elsewhere.md": "# A page\n\n[no file](../../nowhere.txt)",
    "how-to/wrong-picture.md": "# A page\n\n![no picture](nowhere.png)",
    "how-to/wrong-language.md": "# A page\n\n```no-language\ntext\n```",
    "how-to/wrong-directive.md": "# A page\n\n```{nowhere}\ntext\n```",
    "forgotten.md": "# A page\n\nin no section",
    "how-to/deep/forgotten.md": "# A page\n\ntoo deep for its section",
}
_REMOTE = re.compile(
    r"""<(?:script|img|iframe|source|link)\b[^>]*?\b(?:src|href)=["'](?:https?:)?//|(?:@import\s|url\()["']?(?:https?:)?//"""
)


def build(docs: Path, site: Path, *options: str) -> subprocess.CompletedProcess:
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-n",
        "-q",
        "-E",
        "-d",
        site.with_suffix(".doctrees"),
        *options,
        docs,
        site,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """All pages but those made of docstrings, which take the most time: ``tox -e docs`` builds them all, strictly."""
    site = tmp_path_factory.mktemp("site") / "html"
    built = build(ROOT / "docs", site, "-D", "exclude_patterns=changelog,examples,reference/python")
    assert built.returncode == 0, built.stderr
    return site


def test_every_page_is_in_the_navigation(site):
    start = (site / "README.html").read_text(encoding="utf-8").partition('<div class="sidebar-tree">')[2]
    navigation = start.partition("</aside>")[0]
    pages = [page.relative_to(site) for page in site.glob("*/**/*.html") if page.parts[len(site.parts)][0] != "_"]
    assert len(pages) > 30
    assert [str(page) for page in pages if f'<a class="reference internal" href="{page}">' not in navigation] == []


def test_the_site_needs_nothing_from_elsewhere(site):
    files = [path for path in site.rglob("*") if path.suffix in {".html", ".css"}]
    assert [str(path) for path in files if _REMOTE.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    "resource",
    [
        '<script src="https://cdn.example.com/x.js">',
        '<link rel="stylesheet" href="//cdn.example.com/x.css">',
        "@import 'https://fonts.example.com/x.css'",
        "src: url(//fonts.example.com/x.woff2)",
    ],
)
def test_what_would_come_from_elsewhere_is_noticed(resource):
    assert _REMOTE.search(resource)


def test_what_is_wrong_in_a_page_fails_the_build(tmp_path):
    docs = tmp_path / "docs"
    (docs / "site").mkdir(parents=True)
    (docs / "README.md").write_text("# Start\n\n<!-- python: transship.nowhere -->\n[no module](README.md)\n")
    for name in ("conf.py", "how-to/push-and-pull.md", *WRONG):
        (docs / name).parent.mkdir(exist_ok=True)
        (docs / name).write_text(WRONG.get(name) or (ROOT / "docs" / name).read_text(encoding="utf-8"))
    built = build(docs, tmp_path / "html", "-W", "--keep-going")
    assert built.returncode != 0
    assert "transship.nowhere" in built.stderr
    assert [path for path in WRONG if f"{docs / path}:" not in built.stderr] == []
