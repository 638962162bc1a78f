"""What an execution has written."""

from __future__ import annotations

from transship.cli.gotemplate.errors import TEXT_LIMIT, Budget, refuse_long_text
from transship.cli.gotemplate.printing import Printer
from transship.cli.gotemplate.values import NoValue, Value, indirect


class Output:
    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.printer = Printer(budget)
        self.parts: list[str] = []
        self._size = 0

    def shown(self, value: Value) -> str:
        """``value`` as an action prints it."""
        value = indirect(value)
        return "<no value>" if value is None or isinstance(value, NoValue) else self.printer.print([value])

    def write(self, text: str) -> None:
        """Append ``text``."""
        self._size += len(text)
        if self._size > TEXT_LIMIT:
            refuse_long_text()
        self.budget.spend_text(len(text))
        self.parts.append(text)
