"""Tokens to the parts of templates."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import NamedTuple, NoReturn

from transship.cli.gotemplate import literals
from transship.cli.gotemplate.errors import NESTING_LIMIT, TEMPLATE_LIMIT, TemplateError
from transship.cli.gotemplate.lexer import Token, tokens
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

_CONSTANTS: dict[str, bool] = {"true": True, "false": False}
_OPERAND_KINDS = frozenset(
    {"word", "number", "character", "string", "raw", "dot", "field", "variable", "("}
)


class ParsedTemplate(NamedTuple):
    """``bodies`` are the statements of each template by name; the main one has the name ``name``."""

    name: str
    text: str
    bodies: dict[str, list[Statement]]


def parse(name: str, text: str, functions: Collection[str]) -> ParsedTemplate:
    """Parse ``text`` as the template ``name``; raise ``TemplateError``, with the line, if it is not one."""
    if len(text) > TEMPLATE_LIMIT:
        raise TemplateError(f"template: {name}: the template has more than {TEMPLATE_LIMIT} characters")
    bodies: dict[str, list[Statement]] = {}
    parser = _Parser(name, tokens(text), functions, bodies)
    parser.add(name, parser.main())
    return ParsedTemplate(name, text, bodies)


class _Parser:
    def __init__(
        self, name: str, found: list[Token], functions: Collection[str], bodies: dict[str, list[Statement]]
    ) -> None:
        self._name = name
        self._tokens = found
        self._index = 0
        self._functions = functions
        self._bodies = bodies
        self._variables = ["$"]
        self._ranges = 0
        self._depth = 0

    # Tokens

    def _peek(self) -> Token:
        return self._tokens[min(self._index, len(self._tokens) - 1)]

    def _next(self) -> Token:
        token = self._peek()
        self._index += 1
        return token

    def _skip_space(self) -> Token:
        while self._peek().kind == "space":
            self._index += 1
        return self._peek()

    def _next_word(self) -> Token:
        self._skip_space()
        return self._next()

    def _expect(self, context: str, *kinds: str) -> Token:
        token = self._next_word()
        if token.kind not in kinds:
            self._unexpected(token, context)
        return token

    def _fail(self, message: str) -> NoReturn:
        line = self._tokens[min(max(self._index - 1, 0), len(self._tokens) - 1)].line
        raise TemplateError(f"template: {self._name}:{line}: {message}")

    def _unexpected(self, token: Token, context: str) -> NoReturn:
        if token.kind == "error":
            self._fail(token.value)
        match token.kind:
            case "end":
                shown = "EOF"
            case "keyword":
                shown = f"<{token.value}>"
            case _:
                shown = f'"{token.value[:10]}"' + ("..." if len(token.value) > 10 else "")
        self._fail(f"unexpected {shown} in {context}")

    @contextmanager
    def _nested(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > NESTING_LIMIT:
            self._fail(f"nested more than {NESTING_LIMIT} deep")
        yield
        self._depth -= 1

    # Statements

    def main(self) -> list[Statement]:
        body: list[Statement] = []
        while self._peek().kind != "end":
            if self._at_definition():
                self._definition()
                continue
            statement = self._statement()
            if isinstance(statement, Token):
                self._fail(f"unexpected {{{{{statement.value}}}}}")
            body.append(statement)
        return body

    def add(self, name: str, body: list[Statement]) -> None:
        if _is_blank(self._bodies.get(name, [])):
            self._bodies[name] = body
        elif not _is_blank(body):
            self._fail(f'template: multiple definition of template "{name}"')

    def _at_definition(self) -> bool:
        start = self._index
        if self._next().kind == "{{" and self._next_word()[:2] == ("keyword", "define"):
            return True
        self._index = start
        return False

    def _definition(self) -> None:
        context = "define clause"
        name, _ = self._template_name(context)
        self._expect(context, "}}")
        self.add(name, self._separate_body(context))

    def _separate_body(self, context: str) -> list[Statement]:
        outside = self._variables, self._ranges
        self._variables, self._ranges = ["$"], 0
        body, end = self._body()
        if end.value != "end":
            self._fail(f"unexpected {{{{{end.value}}}}} in {context}")
        self._variables, self._ranges = outside
        return body

    def _template_name(self, context: str) -> tuple[str, Token]:
        token = self._expect(context, "string", "raw")
        return self._unquoted(token), token

    def _unquoted(self, token: Token) -> str:
        try:
            return literals.unquote(token.value)
        except ValueError as error:
            self._fail(str(error))

    def _body(self) -> tuple[list[Statement], Token]:
        """Statements up to ``end`` or ``else``; the latter is returned, with what follows it still to be read."""
        body: list[Statement] = []
        with self._nested():
            while self._skip_space().kind != "end":
                statement = self._statement()
                if isinstance(statement, Token):
                    return body, statement
                body.append(statement)
        self._fail("unexpected EOF")

    def _statement(self) -> Statement | Token:
        token = self._next_word()
        if token.kind == "text":
            return Text(token.pos, token.value)
        if token.kind != "{{":
            self._unexpected(token, "input")
        word = self._skip_space()
        if word.kind == "keyword" and word.value != "define":
            self._next()
            return self._keyword(word)
        return Action(word.pos, self._pipeline("command", "}}"))

    def _keyword(self, word: Token) -> Statement | Token:
        match word.value:
            case "if" | "with" | "range":
                return self._branch(word)
            case "end":
                self._expect("end", "}}")
                return word
            case "else":
                if self._skip_space()[:2] not in (("keyword", "if"), ("keyword", "with")):
                    self._expect("else", "}}")
                return word
            case "break" | "continue":
                return self._jump(word)
            case "block":
                return self._block()
        return self._invocation()

    def _jump(self, word: Token) -> Statement:
        token = self._next_word()
        if token.kind != "}}":
            self._unexpected(token, f"{{{{{word.value}}}}}")
        if not self._ranges:
            self._fail(f"{{{{{word.value}}}}} outside {{{{range}}}}")
        return Jump(word.pos, word.value)

    def _block(self) -> Statement:
        context = "block clause"
        name, token = self._template_name(context)
        pipe = self._pipeline(context, "}}")
        self.add(name, self._separate_body(context))
        return Invocation(token.pos, name, token.value, pipe)

    def _invocation(self) -> Statement:
        context = "template clause"
        name, token = self._template_name(context)
        if self._skip_space().kind == "}}":
            self._next()
            return Invocation(token.pos, name, token.value, None)
        return Invocation(token.pos, name, token.value, self._pipeline(context, "}}"))

    def _branch(self, word: Token) -> Branch:
        known = len(self._variables)
        pipe = self._pipeline(word.value, "}}")
        self._ranges += word.value == "range"
        body, end = self._body()
        self._ranges -= word.value == "range"
        otherwise: list[Statement] = []
        if end.value == "else":
            following = self._peek()
            if following.kind == "keyword":
                otherwise = [self._else_branch(word, following)]
            else:
                otherwise, end = self._body()
                if end.value != "end":
                    self._fail(f"expected end; found {{{{{end.value}}}}}")
        del self._variables[known:]
        return Branch(pipe.pos, word.value, pipe, body, otherwise)

    def _else_branch(self, word: Token, following: Token) -> Branch:
        self._next()
        if following.value != word.value:
            self._unexpected(following, "else")
        with self._nested():
            return self._branch(following)

    # Pipelines

    def _pipeline(self, context: str, end: str) -> Pipe:
        pos = self._skip_space().pos
        variables, assigns = self._declarations(context)
        commands: list[Command] = []
        while True:
            token = self._skip_space()
            if token.kind == end:
                self._next()
                self._check_stages(commands, context)
                return Pipe(pos, variables, assigns, commands)
            if token.kind not in _OPERAND_KINDS:
                self._next()
                self._unexpected(token, context)
            commands.append(self._command())

    def _declarations(self, context: str) -> tuple[list[str], bool]:
        variables: list[str] = []
        while self._skip_space().kind == "variable":
            start = self._index
            variable = self._next()
            token = self._skip_space()
            if token.kind in (":=", "="):
                self._next()
                return self._declared(variables, variable), token.kind == "="
            if token[:2] != ("other", ","):
                self._index = start
                break
            self._next()
            self._declared(variables, variable)
            if context != "range" or len(variables) > 1:
                self._fail(f"too many declarations in {context}")
            if self._skip_space().kind not in ("variable", "}}", ")"):
                self._fail("range can only initialize variables")
        return variables, False

    def _declared(self, variables: list[str], variable: Token) -> list[str]:
        variables.append(variable.value)
        self._variables.append(variable.value)
        return variables

    def _check_stages(self, commands: list[Command], context: str) -> None:
        if not commands:
            self._fail(f"missing value for {context}")
        for stage, command in enumerate(commands[1:], 2):
            if isinstance(command.words[0], Dot | Nil | Literal):
                self._fail(f"non executable command in pipeline stage {stage}")

    def _command(self) -> Command:
        pos = self._skip_space().pos
        words: list[Operand] = []
        while True:
            self._skip_space()
            operand = self._operand()
            if operand is not None:
                words.append(operand)
            token = self._peek()
            if token.kind == "space":
                continue
            if token.kind == "|":
                self._next()
            elif token.kind not in ("}}", ")"):
                self._next()
                self._unexpected(token, "operand")
            if not words:
                self._fail("empty command")
            return Command(pos, words)

    def _operand(self) -> Operand | None:
        if self._peek().kind not in _OPERAND_KINDS:
            return None
        term = self._term(self._next())
        first = self._peek()
        names = []
        while self._peek().kind == "field":
            names.append(self._next().value[1:])
        if not names:
            return term
        match term:
            case Field():
                return Field(first.pos, (*term.names, *names))
            case Variable():
                return Variable(first.pos, (*term.names, *names))
            case Dot() | Nil() | Literal():
                self._fail(f'unexpected . after term "{term}"')
        return Chain(first.pos, term, tuple(names))

    def _term(self, token: Token) -> Operand:
        match token.kind:
            case "dot":
                return Dot(token.pos)
            case "field":
                return Field(token.pos, (token.value[1:],))
            case "variable":
                if token.value not in self._variables:
                    self._fail(f'undefined variable "{token.value}"')
                return Variable(token.pos, (token.value,))
            case "word":
                return self._word(token)
            case "(":
                with self._nested():
                    return self._pipeline("parenthesized pipeline", ")")
        return self._literal(token)

    def _word(self, token: Token) -> Operand:
        if token.value in _CONSTANTS:
            return Literal(token.pos, token.value, _CONSTANTS[token.value])
        if token.value == "nil":
            return Nil(token.pos)
        if token.value not in self._functions:
            self._fail(f'function "{token.value}" not defined')
        return Identifier(token.pos, token.value)

    def _literal(self, token: Token) -> Literal:
        try:
            if token.kind == "number":
                return Literal(token.pos, token.value, literals.number(token.value))
            if token.kind == "character":
                return Literal(token.pos, token.value, literals.character(token.value))
            return Literal(token.pos, token.value, literals.unquote(token.value))
        except ValueError as error:
            self._fail(str(error))


def _is_blank(body: list[Statement]) -> bool:
    return all(isinstance(statement, Text) and not statement.text.strip() for statement in body)
