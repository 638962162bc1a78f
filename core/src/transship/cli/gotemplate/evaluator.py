"""Runs parsed templates."""

from __future__ import annotations

from collections.abc import Collection

from transship.cli.gotemplate.errors import NESTING_LIMIT, Budget, TemplateError
from transship.cli.gotemplate.expressions import Expressions
from transship.cli.gotemplate.nodes import Action, Branch, Invocation, Jump, Statement, Text
from transship.cli.gotemplate.output import Output
from transship.cli.gotemplate.parser import ParsedTemplate
from transship.cli.gotemplate.values import NO_VALUE, GoList, GoMap, NoValue, Value, indirect, is_true


class _JumpError(Exception):
    def __init__(self, keyword: str) -> None:
        super().__init__(keyword)
        self.keyword = keyword


def execute(template: ParsedTemplate, data: Value, budget: Budget) -> str:
    """The output of ``template`` for ``data``; raises ``TemplateError``, with position, if they do not fit."""
    output = Output(budget)
    run = _Run(template, template.name, data, output, depth=0)
    try:
        run.statements(template.bodies[template.name], data)
    except RecursionError:
        raise TemplateError(f"template: {template.name}: nested too deeply") from None
    return "".join(output.parts)


class _Run(Expressions):
    """One invocation of a template at work; ``depth`` is in how many others it is."""

    def __init__(self, template: ParsedTemplate, name: str, data: Value, output: Output, depth: int) -> None:
        super().__init__(template, name, data, output)
        self._depth = depth

    def statements(self, body: list[Statement], dot: Value) -> None:
        """Run ``body``."""
        for statement in body:
            self.budget.spend()
            self._statement(statement, dot)

    def _statement(self, statement: Statement, dot: Value) -> None:
        match statement:
            case Text():
                self.output.write(statement.text)
            case Action():
                value = self.pipe(statement.pipe, dot)
                if not statement.pipe.variables:
                    self.output.write(self.output.shown(value))
            case Branch():
                known = len(self.variables)
                self._branch(statement, dot)
                del self.variables[known:]
            case Invocation():
                self._invoke(statement, dot)
            case Jump():
                raise _JumpError(statement.keyword)

    def _branch(self, branch: Branch, dot: Value) -> None:
        value = self.pipe(branch.pipe, dot)
        if branch.keyword == "range":
            self._range(branch, dot, value)
        elif is_true(value):
            self.statements(branch.body, value if branch.keyword == "with" else dot)
        else:
            self.statements(branch.otherwise, dot)

    def _range(self, branch: Branch, dot: Value, value: Value) -> None:
        pairs = self._pairs(indirect(value))
        if not pairs:
            self.statements(branch.otherwise, dot)
            return
        known = len(self.variables)
        names = branch.pipe.variables
        for key, item in pairs:
            self.budget.spend()
            for name, current in zip(reversed(names), (item, key), strict=False):
                self.bind(name, current)
            try:
                self.statements(branch.body, item)
            except _JumpError as jump:
                if jump.keyword == "break":
                    return
            finally:
                del self.variables[known:]

    def _pairs(self, value: Value) -> Collection[tuple[Value, Value]]:
        match value:
            case None | NoValue():
                return ()
            case GoList():
                return list(enumerate(value.items or ()))
            case GoMap():
                return (value.entries or {}).items()
        self.fail(self.node, f"range can't iterate over {self.output.printer.print([value])}")

    def _invoke(self, invocation: Invocation, dot: Value) -> None:
        body = self.template.bodies.get(invocation.name)
        if body is None:
            self.fail(invocation, f'template "{invocation.name}" not defined')
        if self._depth >= NESTING_LIMIT:
            self.fail(invocation, f"exceeded maximum template depth ({NESTING_LIMIT})")
        data = self.pipe(invocation.pipe, dot) if invocation.pipe else NO_VALUE
        _Run(self.template, invocation.name, data, self.output, self._depth + 1).statements(body, data)
