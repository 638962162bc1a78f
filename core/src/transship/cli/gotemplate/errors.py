"""What goes wrong with a template, and how much work one template may ask for."""

from __future__ import annotations

from typing import NoReturn

from transship.errors import TransshipError

TEMPLATE_LIMIT = 64 << 10
"""A template has at most this many characters."""

NESTING_LIMIT = 64
"""Blocks and parentheses of a template nest at most this deep; templates invoke each other at most this deep."""

STEP_LIMIT = 500_000
"""One execution takes at most this many steps; long texts cost a step for every 64 characters."""

TEXT_LIMIT = 16 << 20
"""No text, be it a value or the output, gets longer than this many characters."""

_MESSAGE_LIMIT = 2000


class TemplateError(TransshipError):
    """A template does not parse, does not fit the data, or asks for too much."""

    def __init__(self, message: str) -> None:
        line = message.replace("\r", "\\r").replace("\n", "\\n")
        super().__init__(line if len(line) <= _MESSAGE_LIMIT else line[:_MESSAGE_LIMIT] + "…")


class CallError(Exception):
    """A function of the template language refuses its arguments; becomes a ``TemplateError`` with a position."""


class Budget:
    """The work that one execution has left."""

    __slots__ = ("_steps",)

    def __init__(self, steps: int = STEP_LIMIT) -> None:
        self._steps = steps

    def spend(self, steps: int = 1) -> None:
        """Take ``steps`` off; raise ``TemplateError`` when none are left."""
        self._steps -= steps
        if self._steps < 0:
            raise TemplateError("template: the template asks for too much work")

    def spend_text(self, length: int) -> None:
        """Pay for a text of ``length`` characters."""
        if length > TEXT_LIMIT:
            refuse_long_text()
        self.spend(1 + length // 64)


def refuse_long_text() -> NoReturn:
    """Raise the ``TemplateError`` for a text beyond ``TEXT_LIMIT``."""
    raise TemplateError(f"template: the template makes a text of more than {TEXT_LIMIT} characters")
