"""Formats with directives."""

from __future__ import annotations

import re

from transship.cli.gotemplate.errors import TEXT_LIMIT, CallError, refuse_long_text
from transship.cli.gotemplate.printing import Printer
from transship.cli.gotemplate.scalars import PLAIN, Spec
from transship.cli.gotemplate.values import Value, type_name, unboxed

WIDTH_LIMIT = 1_000_000
"""The widest that one directive may be."""

_DIRECTIVE = re.compile(
    r"%([-+# 0]*)(?:\[(\d*)\])?(\*|\d+)?(?:(\.)(?:\[(\d*)\])?(\*|\d+)?)?(?:\[(\d*)\])?(.)?", re.DOTALL
)


def printf(printer: Printer, template: str, values: list[Value]) -> str:
    """``fmt.Sprintf``; raises ``CallError`` for widths that are absurd."""
    return _Format(printer, template, values).run()


class _Format:
    """One run of ``printf``."""

    def __init__(self, printer: Printer, template: str, values: list[Value]) -> None:
        self._printer = printer
        self._template = template
        self._values = values
        self._next = 0
        self._reordered = False

    def run(self) -> str:
        parts: list[str] = []
        size = position = 0
        for match in _DIRECTIVE.finditer(self._template):
            parts += (self._template[position : match.start()], self._directive(match))
            position = match.end()
            size += len(parts[-1])
            if size > TEXT_LIMIT:
                refuse_long_text()
        parts.append(self._template[position:])
        if not self._reordered and self._next < len(self._values):
            parts.append(self._extra())
        return "".join(parts)

    def _directive(self, match: re.Match[str]) -> str:
        flags, width_index, width, dot, precision_index, precision, index, verb = match.groups()
        if verb is None:
            return "%!(NOVERB)"
        if verb == "%":
            return "%"
        if width != "*" and index is None:
            index, width_index = width_index, None
        warning = ""
        columns, bad = self._count(width, width_index)
        if bad:
            warning += "%!(BADWIDTH)"
        if columns is not None and columns < 0:
            flags, columns = flags + "-", -columns
        digits, bad = self._count(precision, precision_index)
        if bad or (digits or 0) < 0:
            digits = None
            warning += "%!(BADPREC)"
        if dot and precision is None:
            digits = 0
        if not self._move_to(index):
            return f"{warning}%!{verb}(BADINDEX)"
        if self._next >= len(self._values):
            return f"{warning}%!{verb}(MISSING)"
        value = self._values[self._next]
        self._next += 1
        return warning + self._printer.value(value, Spec(verb, flags, columns, digits))

    def _count(self, written: str | None, index: str | None) -> tuple[int | None, bool]:
        """A width or precision, and whether it is unusable."""
        if written is None:
            return None, False
        if written != "*":
            count = int(written[:8])
        else:
            if not self._move_to(index) or self._next >= len(self._values):
                return None, True
            given = unboxed(self._values[self._next])
            self._next += 1
            if not isinstance(given, int) or isinstance(given, bool):
                return None, True
            count = int(given)
        if abs(count) > WIDTH_LIMIT:
            raise CallError(f"width or precision of more than {WIDTH_LIMIT}")
        return count, False

    def _move_to(self, index: str | None) -> bool:
        if index is None:
            return True
        self._reordered = True
        if not index or len(index) > 8 or not 1 <= int(index) <= len(self._values):
            return False
        self._next = int(index) - 1
        return True

    def _extra(self) -> str:
        shown = (
            "<nil>" if unboxed(value) is None else f"{type_name(unboxed(value))}={self._printer.value(value, PLAIN)}"
            for value in self._values[self._next :]
        )
        return f"%!(EXTRA {', '.join(shown)})"
