"""Pages for browsers: one file without scripts, which loads nothing.

What a page says comes from strangers: every text goes through ``element``, which escapes it, and the page's own policy
forbids all but its one style sheet.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence

from transship import __version__
from transship.cli.pictures.style import STYLE
from transship.cli.pictures.wording import SHOWN, counted, one_line
from transship.image.digest import digest_of

_COLUMN_KINDS = {"#": "number", "~": "name", "*": "long"}
_VOID = frozenset({"meta", "rect"})


class Markup(str):
    """HTML that ``element`` made; any other string is a text."""

    __slots__ = ()


def element(name: str, /, *inside: str | Markup, **attributes: str | int) -> Markup:
    """An element. ``class_`` stands for the attribute ``class``; hyphens are written as underscores."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_text(str(value))}"' for key, value in attributes.items()
    )
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    content = "".join(each if isinstance(each, Markup) else _text(each) for each in inside)
    return Markup(f"<{name}{written}>{content}</{name}>")


def _text(text: str) -> str:
    before, after = (" " if edge.isspace() else "" for edge in (text[:1], text[-1:]))
    return before + html.escape(one_line(text), quote=True) + after


def code(text: str) -> Markup:
    """A digest, name or command as it is written."""
    return element("code", text)


def document(title: str, *main: Markup, heading: Markup) -> str:
    """A whole page."""
    sha256 = bytes.fromhex(digest_of(STYLE.encode()).encoded)
    policy = (
        f"default-src 'none'; style-src 'sha256-{base64.b64encode(sha256).decode()}'; "
        "base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        Markup(f"<style>{STYLE}</style>"),
    )
    footer = element("footer", f"Made by transship {__version__}. No signature was verified.")
    body = element("body", element("header", heading), element("main", *main), footer)
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str | Markup]]) -> Markup:
    """A table that scrolls by itself where it is too wide.

    Columns whose name ends in ``#`` hold numbers, those with ``~`` names that may be long, and with ``*`` texts.
    """
    kinds = [_COLUMN_KINDS.get(column[-1], "text") for column in columns]
    names = [column.rstrip("#~*") for column in columns]
    head = element(
        "tr", *(element("th", name, scope="col", class_=kind) for name, kind in zip(names, kinds, strict=True))
    )
    body = [
        element(
            "tr",
            *(
                element("td", cell, class_=kind, data_column=name)
                for cell, kind, name in zip(row, kinds, names, strict=True)
            ),
        )
        for row in rows
    ]
    whole = element("table", element("caption", caption), element("thead", head), element("tbody", *body))
    return element("div", whole, class_="scroll")


def more(items: Sequence[object], noun: str) -> Markup:
    """How many items are not shown."""
    return (
        element("p", f"{counted(len(items) - SHOWN, f'more {noun}')}", class_="quiet")
        if len(items) > SHOWN
        else Markup()
    )


def details(summary: str, *inside: Markup) -> Markup:
    """Something to be opened."""
    return element("details", element("summary", summary), *inside)


def bar(label: str, pieces: Sequence[tuple[int, str, str]]) -> Markup:
    """Sizes side by side: each piece is a size, a class for its colour, and what it is."""
    whole = sum(max(size, 0) for size, _, _ in pieces)
    if not whole:
        return Markup()
    drawn, start = [], 0.0
    for size, kind, name in pieces:
        width = 100 * max(size, 0) / whole
        if width >= 0.05:  # else there is nothing to see
            title = element("title", name)
            drawn.append(
                Markup(f'<rect class="{kind}" x="{start:.2f}%" width="{width:.2f}%" height="100%">{title}</rect>')
            )
        start += width
    return element("svg", *drawn, class_="bar", role="img", aria_label=label)


def key(colour: str) -> Markup:
    """A square of a colour, a class, to go before what that colour stands for."""
    return Markup(f'<svg class="key" aria-hidden="true"><rect class="{colour}" width="100%" height="100%" /></svg>')
