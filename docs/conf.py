"""How Sphinx makes the site of the pages in this folder: ``tox -e docs``.

The pages are plain Markdown, with links that work wherever the repository is shown. What only the site has, such as its
navigation, is added here while a page is read, so that a page is written without a thought of Sphinx.
"""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).parent

project = "transship"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
root_doc = "README"
exclude_patterns = ["changelog", "examples"]
nitpicky = True
# Of the names in signatures those of other projects are described elsewhere, private ones and the parts that a contract
# is put together from nowhere.
nitpick_ignore_regex = [
    ("py:.*", r"(?!transship\.)(\w+\.|_Hash$|Path$).*"),
    ("py:.*", r"transship\..*\._\w+"),
    ("py:class", r"transship\.testing\.contracts\.\w+\.\w+Tests"),
]

autodoc_default_options = {"show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
maximum_signature_line_length = 100

myst_heading_anchors = 4

html_theme = "furo"
html_title = "transship"
html_extra_path = ["site"]
html_copy_source = False
html_show_copyright = False

# In each of these folders every page is part of the site. A page elsewhere is one that nobody finds, and an error.
SECTIONS = {
    "tutorial": "To learn",
    "how-to": "To do something",
    "reference": "To look something up",
    "reference/commands": "Commands",
    "reference/python": "Python",
    "explanation": "To understand",
}
_MODULE = re.compile(r"^<!-- python: (?P<name>[\w.]+)(?:: (?P<members>[\w, ]+))? -->\n.*$", re.MULTILINE)
_LINK = re.compile(r"\]\((?P<path>[^)#:\s]+)(?:#[^)\s]*)?\)")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", complete)
    app.connect("autodoc-process-docstring", mark_code)
    app.connect("autodoc-process-signature", shorten)


def complete(app: Sphinx, name: str, source: list[str]) -> None:
    """Add to the text of the page ``name`` what only the site has."""
    text = _with_downloads((DOCS / name).parent, _MODULE.sub(_described, source[0]))
    source[0] = text + "".join(map(_section, SECTIONS)) if name == root_doc else text


def shorten(
    app: Sphinx, what: str, name: str, described: object, options: object, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Write the default of a field that is made anew each time as ``...``, which is Python and can be read."""
    return signature and signature.replace("<factory>", "..."), returned


def mark_code(app: Sphinx, what: str, name: str, described: object, options: object, lines: list[str]) -> None:
    """Say of the indented paragraphs of a docstring that they are code; elsewhere they speak for themselves."""
    for number in reversed(range(1, len(lines))):
        before = next((line for line in reversed(lines[:number]) if line.strip()), "")
        if lines[number].startswith("    ") and not lines[number - 1].strip() and not before.startswith(" "):
            lines[number:number] = ["::", ""]


def _described(module: re.Match[str]) -> str:
    """What a module says about itself, or of it the members that are named."""
    members = f"   :members: {module['members']}\n" if module["members"] else "   :members:\n   :ignore-module-all:\n"
    return f"```{{eval-rst}}\n.. automodule:: {module['name']}\n{members}```"


def _section(folder: str) -> str:
    return f"\n```{{toctree}}\n:caption: {SECTIONS[folder]}\n:hidden:\n:glob:\n\n{folder}/*\n```\n"


def _with_downloads(folder: Path, text: str) -> str:
    """Make files of the repository that are no pages of the site part of it, where a page in ``folder`` links there."""

    def changed(link: re.Match[str]) -> str:
        target = (folder / link["path"]).resolve()
        if target.is_dir():
            return f"](path:{link['path'].rstrip('/')}/README.md)"
        return link[0] if _is_page(target) else f"](path:{link['path']})"

    return _LINK.sub(changed, text)


def _is_page(path: Path) -> bool:
    return (
        path.suffix == ".md" and path.is_relative_to(DOCS) and path.relative_to(DOCS).parts[0] not in exclude_patterns
    )
