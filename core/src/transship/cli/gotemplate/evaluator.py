"""Runs parsed templates."""

from __future__ import annotations

from typing import NoReturn

from transship.cli.gotemplate.errors import NESTING_LIMIT, Budget, CallError, TemplateError
from transship.cli.gotemplate.functions import FUNCTIONS, Function
from transship.cli.gotemplate.methods import find_method
from transship.cli.gotemplate.nodes import (
    Action,
    Branch,
    Chain,
    Command,
    Dot,
    Field,
    Identifier,
    Invocation,
    Jump,
    Literal,
    Nil,
    Operand,
    Pipe,
    Statement,
    Text,
    Variable,
)
from transship.cli.gotemplate.parser import ParsedTemplate
from transship.cli.gotemplate.printing import Printer
from transship.cli.gotemplate.values import (
    NO_VALUE,
    Boxed,
    GoList,
    GoMap,
    GoPointer,
    GoStruct,
    NoValue,
    Value,
    indirect,
    is_true,
    type_name,
    unboxed,
)


class _Missing:
    """The type of ``_MISSING``: the pipeline hands no value to this command."""


_MISSING = _Missing()


class _Jumped(Exception):
    def __init__(self, keyword: str) -> None:
        super().__init__(keyword)
        self.keyword = keyword


def execute(template: ParsedTemplate, data: Value, budget: Budget) -> str:
    """The output of ``template`` for ``data``; raises ``TemplateError``, with position, if they do not fit."""
    output = _Output(budget)
    run = _Run(template, template.name, data, output, depth=0)
    try:
        run.statements(template.bodies[template.name], data)
    except RecursionError:
        raise TemplateError(f"template: {template.name}: nested too deeply") from None
    return "".join(output.parts)


class _Output:
    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.printer = Printer(budget)
        self.parts: list[str] = []
        self._size = 0

    def write(self, text: str) -> None:
        self._size += len(text)
        self.budget.spend_text(self._size if self._size > len(text) + (16 << 20) else len(text))
        self.parts.append(text)


class _Run:
    """One template at work: its variables, and how deep it is in others."""

    def __init__(self, template: ParsedTemplate, name: str, data: Value, output: _Output, depth: int) -> None:
        self._template = template
        self._name = name
        self._output = output
        self._budget = output.budget
        self._depth = depth
        self._variables: list[tuple[str, Value]] = [("$", data)]

    def _fail(self, node: object, message: str) -> NoReturn:
        pos: int = getattr(node, "pos", 0)
        before = self._template.text[:pos]
        column = len(before[before.rfind("\n") + 1 :].encode("utf-8", "replace"))
        place = f"{self._template.name}:{before.count(chr(10)) + 1}:{column}"
        raise TemplateError(f'template: {place}: executing "{self._name}" at <{node}>: {message}')
