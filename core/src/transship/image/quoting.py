"""Text from strangers inside error messages."""

from __future__ import annotations

_LIMIT = 140


def quoted(text: str) -> str:
    """``text`` in double quotes on one line: shortened if it is long, what does not print as an escape."""
    shown = text if len(text) <= _LIMIT else text[:_LIMIT] + "…"
    return '"' + "".join(map(_escaped, shown)) + '"'


def _escaped(char: str) -> str:
    if char == '"':
        return '\\"'
    return char if char.isprintable() and char != "\\" else char.encode("unicode_escape").decode()
