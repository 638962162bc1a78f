"""Pipelines to values."""

from __future__ import annotations

from typing import NoReturn

from transship.cli.gotemplate.errors import CallError, TemplateError
from transship.cli.gotemplate.functions import FUNCTIONS, Function
from transship.cli.gotemplate.methods import find_method
from transship.cli.gotemplate.nodes import (
    Chain,
    Command,
    Dot,
    Field,
    Identifier,
    Literal,
    Nil,
    Operand,
    Pipe,
    Variable,
)
from transship.cli.gotemplate.output import Output
from transship.cli.gotemplate.parser import ParsedTemplate
from transship.cli.gotemplate.values import (
    NO_VALUE,
    GoList,
    GoMap,
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


class Expressions:
    """Evaluates the pipelines of one invocation of a template.

    ``name`` is the invoked template. ``variables`` is a stack; who declares some takes them off again. ``node`` is
    what was looked at last, which is what Go's messages about a pipeline as a whole quote.
    """

    def __init__(self, template: ParsedTemplate, name: str, data: Value, output: Output) -> None:
        self.template = template
        self.output = output
        self.budget = output.budget
        self.variables: list[tuple[str, Value]] = [("$", data)]
        self.node: object = None
        self._name = name

    def pipe(self, pipe: Pipe, dot: Value) -> Value:
        value: Value | _Missing = _MISSING
        self.node = pipe
        for command in pipe.commands:
            value = unboxed(self._command(command, dot, value))
        assert not isinstance(value, _Missing)  # noqa: S101 - the parser refuses empty pipelines
        for name in pipe.variables:
            if pipe.assigns:
                self.bind(name, value)
            else:
                self.variables.append((name, value))
        return value

    def bind(self, name: str, value: Value) -> None:
        self.variables[self._position(name)] = (name, value)

    def _position(self, name: str) -> int:
        for index in range(len(self.variables) - 1, -1, -1):
            if self.variables[index][0] == name:
                return index
        self.fail(self.node, f"undefined variable: {name}")

    # Commands

    def _command(self, command: Command, dot: Value, final: Value | _Missing) -> Value:
        self.budget.spend()
        first, arguments = command.words[0], command.words[1:]
        match first:
            case Identifier():
                return self._function(first, command, arguments, dot, final)
            case Field() | Variable() | Chain():
                return self._fields(first, arguments, dot, final)
        if arguments or final is not _MISSING:
            shown = f"({first})" if isinstance(first, Pipe) else first
            self.fail(first, f"can't give argument to non-function {shown}")
        if isinstance(first, Nil):
            self.fail(first, "nil is not a command")
        return self._operand(first, dot)

    def _operand(self, operand: Operand, dot: Value) -> Value:
        """The value of an operand that stands alone."""
        self.node = operand
        match operand:
            case Dot():
                return dot
            case Nil():
                return None
            case Literal():
                return self._constant(operand)
            case Pipe():
                return self.pipe(operand, dot)
            case Identifier():
                return self._function(operand, operand, [], dot, _MISSING)
        return self._fields(operand, [], dot, _MISSING)

    def _constant(self, literal: Literal) -> Value:
        if isinstance(literal.value, int) and not -(1 << 63) <= literal.value < 1 << 63:
            self.fail(literal, f"{literal.text} overflows int")
        return literal.value

    def _fields(
        self, node: Field | Variable | Chain, arguments: list[Operand], dot: Value, final: Value | _Missing
    ) -> Value:
        self.node = node
        names: tuple[str, ...] = node.names
        match node:
            case Field():
                receiver = dot
            case Variable():
                receiver = self.variables[self._position(names[0])][1]
                names = names[1:]
            case Chain():
                receiver = self._operand(node.operand, dot)
        if not names:
            if arguments or final is not _MISSING:
                self.fail(node, f"can't give argument to non-function {node}")
            return receiver
        for name in names[:-1]:
            receiver = self._field(node, receiver, name, [], dot, _MISSING)
        return self._field(node, receiver, names[-1], arguments, dot, final)

    def _field(
        self,
        node: Operand,
        receiver: Value,
        name: str,
        arguments: list[Operand],
        dot: Value,
        final: Value | _Missing,
    ) -> Value:
        self.budget.spend()
        if unboxed(receiver) is None or isinstance(receiver, NoValue):
            return NO_VALUE
        given = type_name(receiver)
        receiver = unboxed(receiver)
        method = find_method(receiver, name)
        if method is not None:
            return self._call(node, node, name, method, arguments, dot, final)
        target = indirect(receiver)
        has_arguments = bool(arguments) or final is not _MISSING
        match target:
            case GoStruct():
                found, value = target.find(name)
                if found and has_arguments:
                    self.fail(node, f"{name} has arguments but cannot be invoked as function")
                if found:
                    return value
            case GoMap():
                if has_arguments:
                    self.fail(node, f"{name} is not a method but has arguments")
                return (target.entries or {}).get(name, NO_VALUE)
        self.fail(node, f"can't evaluate field {name} in type {given}")

    # Calls

    def _function(
        self, node: Identifier, context: object, arguments: list[Operand], dot: Value, final: Value | _Missing
    ) -> Value:
        self.node = node
        return self._call(node, context, node.name, FUNCTIONS[node.name], arguments, dot, final)

    def _call(
        self,
        node: object,
        context: object,
        name: str,
        function: Function,
        arguments: list[Operand],
        dot: Value,
        final: Value | _Missing,
    ) -> Value:
        """Call ``function``; ``context`` is what a message about its failure quotes."""
        self._check_count(node, name, function, len(arguments) + (final is not _MISSING))
        if function.results != 1:
            self.fail(node, f'can\'t call method/function "{name}" with {function.results} results')
        if name in ("and", "or"):
            return self._first(arguments, dot, final, wanted=name == "or")
        types = function.parameters
        values = [self._argument(word, types[min(index, len(types) - 1)], dot) for index, word in enumerate(arguments)]
        if not isinstance(final, _Missing):
            values.append(self._checked(final, types[min(len(values), len(types) - 1)], node))
        for value in values:
            self.budget.spend(1 + (len(value) // 64 if isinstance(value, str | GoList) else 0))
        try:
            result = function.call(self.budget, *values)
        except CallError as error:
            self.fail(context, f"error calling {name}: {error}")
        self.budget.spend_text(len(result) if isinstance(result, str | GoList) else 0)
        return result

    def _check_count(self, node: object, name: str, function: Function, given: int) -> None:
        wanted = len(function.parameters) - function.variadic
        if function.variadic and given < wanted:
            self.fail(node, f"wrong number of args for {name}: want at least {wanted} got {given}")
        if not function.variadic and given != wanted:
            self.fail(node, f"wrong number of args for {name}: want {wanted} got {given}")

    def _first(self, arguments: list[Operand], dot: Value, final: Value | _Missing, *, wanted: bool) -> Value:
        """The first argument that is true or false as ``wanted``, else the last; later ones are not evaluated."""
        value: Value = None
        for word in arguments:
            value = self._argument(word, "any", dot)
            if is_true(value) is wanted:
                return value
        return value if isinstance(final, _Missing) else final

    def _argument(self, word: Operand, wanted: str, dot: Value) -> Value:
        self.budget.spend()
        self.node = word
        match word:
            case Nil():
                if wanted in ("any", "[]string"):
                    return None if wanted == "any" else GoList("string", None)
                self.fail(word, f"cannot assign nil to {wanted}")
            case Literal() if wanted != "any":
                return self._literal_argument(word, wanted)
            case Literal():
                return self._constant(word)
        return self._checked(self._operand(word, dot), wanted, word)

    def _literal_argument(self, word: Literal, wanted: str) -> Value:
        value = word.value
        if wanted == "[]string":
            self.fail(word, f"can't handle {word} for arg of type {wanted}")
        if wanted == "string" and isinstance(value, str):
            return value
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if wanted == "int" and is_number and value == int(value):
            return int(value)
        self.fail(word, f"expected {'integer' if wanted == 'int' else wanted}; found {word}")

    def _checked(self, value: Value, wanted: str, node: object) -> Value:
        value = unboxed(value)
        if isinstance(value, NoValue):
            value = None
        if wanted == "any":
            return value
        if value is None and wanted != "[]string":
            self.fail(node, f"invalid value; expected {wanted}")
        if value is not None and type_name(value) != wanted:
            self.fail(node, f"wrong type for value; expected {wanted}; got {type_name(value)}")
        return GoList("string", None) if value is None else value

    def fail(self, node: object, message: str) -> NoReturn:
        pos: int = getattr(node, "pos", 0)
        before = self.template.text[:pos]
        column = len(before[before.rfind("\n") + 1 :].encode("utf-8", "replace"))
        place = f"{self.template.name}:{before.count(chr(10)) + 1}:{column}"
        raise TemplateError(f'template: {place}: executing "{self._name}" at <{node}>: {message}')
