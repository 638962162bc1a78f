"""Text made safe to stand in other languages."""

from __future__ import annotations

_HTML = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;", "\0": "\N{REPLACEMENT CHARACTER}"}
)
_JAVASCRIPT = {"\\": "\\\\", "'": "\\'", '"': '\\"'} | {char: f"\\u{ord(char):04X}" for char in "<>&="}


def html(text: str) -> str:
    """``text`` for an HTML document or attribute."""
    return text.translate(_HTML)


def javascript(text: str) -> str:
    """``text`` for the inside of a JavaScript string."""
    return "".join(_JAVASCRIPT.get(char) or _printable(char) for char in text)


def url_query(text: str) -> str:
    """``text`` for the query of a URL."""
    from urllib.parse import quote_plus

    return quote_plus(text, errors="replace")


def _printable(char: str) -> str:
    return char if char.isprintable() else f"\\u{ord(char):04X}"
