"""Tokens to pipelines: what stands between braces or parentheses."""

from __future__ import annotations

from collections.abc import Collection

from transship.cli.gotemplate import literals
from transship.cli.gotemplate.cursor import Cursor
from transship.cli.gotemplate.lexer import Token
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

_CONSTANTS: dict[str, bool] = {"true": True, "false": False}
_OPERAND_KINDS = frozenset({"word", "number", "character", "string", "raw", "dot", "field", "variable", "("})


class PipelineParser(Cursor):
    """Parses pipelines. ``variables`` are the names declared so far; ``functions`` are those that exist."""

    def __init__(self, name: str, found: list[Token], functions: Collection[str]) -> None:
        super().__init__(name, found)
        self._functions = functions
        self.variables = ["$"]

    def pipeline(self, context: str, end: str) -> Pipe:
        pos = self.skip_space().pos
        variables, assigns = self._declarations(context)
        commands: list[Command] = []
        while True:
            token = self.skip_space()
            if token.kind == end:
                self.next()
                self._check_stages(commands, context)
                return Pipe(pos, variables, assigns, commands)
            if token.kind not in _OPERAND_KINDS:
                self.next()
                self.unexpected(token, context)
            commands.append(self._command())

    def _declarations(self, context: str) -> tuple[list[str], bool]:
        variables: list[str] = []
        while self.skip_space().kind == "variable":
            start = self.index
            variable = self.next()
            token = self.skip_space()
            if token.kind in (":=", "="):
                self.next()
                return self._declared(variables, variable), token.kind == "="
            if token[:2] != ("other", ","):
                self.index = start
                break
            self.next()
            self._declared(variables, variable)
            if context != "range" or len(variables) > 1:
                self.fail(f"too many declarations in {context}")
            if self.skip_space().kind not in ("variable", "}}", ")"):
                self.fail("range can only initialize variables")
        return variables, False

    def _declared(self, variables: list[str], variable: Token) -> list[str]:
        variables.append(variable.value)
        self.variables.append(variable.value)
        return variables

    def _check_stages(self, commands: list[Command], context: str) -> None:
        if not commands:
            self.fail(f"missing value for {context}")
        for stage, command in enumerate(commands[1:], 2):
            if isinstance(command.words[0], Dot | Nil | Literal):
                self.fail(f"non executable command in pipeline stage {stage}")

    def _command(self) -> Command:
        pos = self.skip_space().pos
        words: list[Operand] = []
        while True:
            self.skip_space()
            operand = self._operand()
            if operand is not None:
                words.append(operand)
            token = self.peek()
            if token.kind == "space":
                continue
            if token.kind == "|":
                self.next()
            elif token.kind not in ("}}", ")"):
                self.next()
                self.unexpected(token, "operand")
            if not words:
                self.fail("empty command")
            return Command(pos, words)

    def _operand(self) -> Operand | None:
        if self.peek().kind not in _OPERAND_KINDS:
            return None
        term = self._term(self.next())
        first = self.peek()
        names = []
        while self.peek().kind == "field":
            names.append(self.next().value[1:])
        if not names:
            return term
        match term:
            case Field():
                return Field(first.pos, (*term.names, *names))
            case Variable():
                return Variable(first.pos, (*term.names, *names))
            case Dot() | Nil() | Literal():
                self.fail(f'unexpected . after term "{term}"')
        return Chain(first.pos, term, tuple(names))

    def _term(self, token: Token) -> Operand:
        match token.kind:
            case "dot":
                return Dot(token.pos)
            case "field":
                return Field(token.pos, (token.value[1:],))
            case "variable":
                if token.value not in self.variables:
                    self.fail(f'undefined variable "{token.value}"')
                return Variable(token.pos, (token.value,))
            case "word":
                return self._word(token)
            case "(":
                with self.nested():
                    return self.pipeline("parenthesized pipeline", ")")
        return self._literal(token)

    def _word(self, token: Token) -> Operand:
        if token.value in _CONSTANTS:
            return Literal(token.pos, token.value, _CONSTANTS[token.value])
        if token.value == "nil":
            return Nil(token.pos)
        if token.value not in self._functions:
            self.fail(f'function "{token.value}" not defined')
        return Identifier(token.pos, token.value)

    def _literal(self, token: Token) -> Literal:
        try:
            if token.kind == "number":
                return Literal(token.pos, token.value, literals.number(token.value))
            if token.kind == "character":
                return Literal(token.pos, token.value, literals.character(token.value))
            return Literal(token.pos, token.value, literals.unquote(token.value))
        except ValueError as error:
            self.fail(str(error))
