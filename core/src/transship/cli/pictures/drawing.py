"""Trees of lines on a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

_WIDE = ("F", "W")
_STYLES = {"": "", "strong": "1", "quiet": "2", "bad": "31", "good": "32"}


class Glyphs(NamedTuple):
    """What branches are drawn with, and what stands for the rest of a line that is cut."""

    branch: str
    last: str
    beside: str
    below: str
    cut: str


UNICODE = Glyphs("├── ", "└── ", "│   ", "    ", "…")
ASCII = Glyphs("|-- ", "`-- ", "|   ", "    ", "...")


@dataclass(slots=True)
class Twig:
    """A line, further lines about the same, and what hangs on it. ``style`` is for the first line.

    Lines must be printable. ``style``: ``""``, ``"strong"``, ``"quiet"``, ``"bad"`` or ``"good"``.
    """

    line: str
    notes: list[str] = field(default_factory=list)
    twigs: list[Twig] = field(default_factory=list)
    style: str = ""

    def add(self, line: str, style: str = "") -> None:
        """Hang a line on it."""
        self.twigs.append(Twig(line, style=style))


class Drawing(NamedTuple):
    """How to draw. ``width`` is where lines are cut, 0: nowhere."""

    glyphs: Glyphs = UNICODE
    width: int = 0
    is_coloured: bool = False

    def lines(self, twig: Twig) -> Iterator[str]:
        """The tree of ``twig``, line by line."""
        yield from self._lines(twig, "", "")

    def _lines(self, twig: Twig, first: str, others: str) -> Iterator[str]:
        yield first + self._styled(self._cut(twig.line, first), twig.style)
        beside = others + (self.glyphs.beside if twig.twigs else self.glyphs.below) if others or twig.twigs else ""
        for note in twig.notes:
            yield beside + self._styled(self._cut(note, beside), "quiet")
        yield from self._branches(twig.twigs, others)

    def _branches(self, twigs: Sequence[Twig], prefix: str) -> Iterator[str]:
        glyphs = self.glyphs
        for twig in twigs[:-1]:
            yield from self._lines(twig, prefix + glyphs.branch, prefix + glyphs.beside)
        for twig in twigs[-1:]:
            yield from self._lines(twig, prefix + glyphs.last, prefix + glyphs.below)

    def _cut(self, line: str, prefix: str) -> str:
        return fitted(line, self.width - len(prefix), self.glyphs.cut) if self.width else line

    def _styled(self, text: str, style: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.is_coloured and style else text


def fitted(text: str, width: int, cut: str) -> str:
    """``text``, if need be cut so that it takes no more than ``width`` columns."""
    if sum(map(_columns, text)) <= width:
        return text
    left = max(width - len(cut), 0)
    taken = []
    for char in text:
        left -= _columns(char)
        if left < 0:
            break
        taken.append(char)
    return ("".join(taken) + cut)[: max(width, 1)] if width < len(cut) else "".join(taken) + cut


def _columns(char: str) -> int:
    if char.isascii():
        return 1
    if unicodedata.combining(char) or unicodedata.category(char) == "Me":
        return 0
    return 2 if unicodedata.east_asian_width(char) in _WIDE else 1
