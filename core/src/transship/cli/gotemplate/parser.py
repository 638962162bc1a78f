"""Tokens to the parts of templates."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from transship.cli.gotemplate import literals
from transship.cli.gotemplate.errors import TEMPLATE_LIMIT, TemplateError
from transship.cli.gotemplate.lexer import Token, tokens
from transship.cli.gotemplate.nodes import Action, Branch, Invocation, Jump, Statement, Text
from transship.cli.gotemplate.pipelines import PipelineParser


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


class _Parser(PipelineParser):
    def __init__(
        self, name: str, found: list[Token], functions: Collection[str], bodies: dict[str, list[Statement]]
    ) -> None:
        super().__init__(name, found, functions)
        self._bodies = bodies
        self._ranges = 0

    def main(self) -> list[Statement]:
        body: list[Statement] = []
        while self.peek().kind != "end":
            if self._at_definition():
                self._definition()
                continue
            statement = self._statement()
            if isinstance(statement, Token):
                self.fail(f"unexpected {{{{{statement.value}}}}}")
            body.append(statement)
        return body

    def add(self, name: str, body: list[Statement]) -> None:
        if _is_blank(self._bodies.get(name, [])):
            self._bodies[name] = body
        elif not _is_blank(body):
            self.fail(f'template: multiple definition of template "{name}"')

    def _at_definition(self) -> bool:
        start = self.index
        if self.next().kind == "{{" and self.next_word()[:2] == ("keyword", "define"):
            return True
        self.index = start
        return False

    def _definition(self) -> None:
        context = "define clause"
        name, _ = self._template_name(context)
        self.expect(context, "}}")
        self.add(name, self._separate_body(context))

    def _separate_body(self, context: str) -> list[Statement]:
        outside = self.variables, self._ranges
        self.variables, self._ranges = ["$"], 0
        body, end = self._body()
        if end.value != "end":
            self.fail(f"unexpected {{{{{end.value}}}}} in {context}")
        self.variables, self._ranges = outside
        return body

    def _template_name(self, context: str) -> tuple[str, Token]:
        token = self.expect(context, "string", "raw")
        return self._unquoted(token), token

    def _unquoted(self, token: Token) -> str:
        try:
            return literals.unquote(token.value)
        except ValueError as error:
            self.fail(str(error))

    def _body(self) -> tuple[list[Statement], Token]:
        """Statements up to ``end`` or ``else``; the latter is returned, with what follows it still to be read."""
        body: list[Statement] = []
        with self.nested():
            while self.skip_space().kind != "end":
                statement = self._statement()
                if isinstance(statement, Token):
                    return body, statement
                body.append(statement)
        self.fail("unexpected EOF")

    def _statement(self) -> Statement | Token:
        token = self.next_word()
        if token.kind == "text":
            return Text(token.pos, token.value)
        if token.kind != "{{":
            self.unexpected(token, "input")
        word = self.skip_space()
        if word.kind == "keyword" and word.value != "define":
            self.next()
            return self._keyword(word)
        return Action(word.pos, self.pipeline("command", "}}"))

    def _keyword(self, word: Token) -> Statement | Token:
        match word.value:
            case "if" | "with" | "range":
                return self._branch(word)
            case "end":
                self.expect("end", "}}")
                return word
            case "else":
                if self.skip_space()[:2] not in (("keyword", "if"), ("keyword", "with")):
                    self.expect("else", "}}")
                return word
            case "break" | "continue":
                return self._jump(word)
            case "block":
                return self._block()
        return self._invocation()

    def _jump(self, word: Token) -> Statement:
        token = self.next_word()
        if token.kind != "}}":
            self.unexpected(token, f"{{{{{word.value}}}}}")
        if not self._ranges:
            self.fail(f"{{{{{word.value}}}}} outside {{{{range}}}}")
        return Jump(word.pos, word.value)

    def _block(self) -> Statement:
        context = "block clause"
        name, token = self._template_name(context)
        pipe = self.pipeline(context, "}}")
        self.add(name, self._separate_body(context))
        return Invocation(token.pos, name, token.value, pipe)

    def _invocation(self) -> Statement:
        context = "template clause"
        name, token = self._template_name(context)
        if self.skip_space().kind == "}}":
            self.next()
            return Invocation(token.pos, name, token.value, None)
        return Invocation(token.pos, name, token.value, self.pipeline(context, "}}"))

    def _branch(self, word: Token) -> Branch:
        known = len(self.variables)
        pipe = self.pipeline(word.value, "}}")
        self._ranges += word.value == "range"
        body, end = self._body()
        self._ranges -= word.value == "range"
        otherwise: list[Statement] = []
        if end.value == "else":
            following = self.peek()
            if following.kind == "keyword":
                otherwise = [self._else_branch(word, following)]
            else:
                otherwise, end = self._body()
                if end.value != "end":
                    self.fail(f"expected end; found {{{{{end.value}}}}}")
        del self.variables[known:]
        return Branch(pipe.pos, word.value, pipe, body, otherwise)

    def _else_branch(self, word: Token, following: Token) -> Branch:
        self.next()
        if following.value != word.value:
            self.unexpected(following, "else")
        with self.nested():
            return self._branch(following)


def _is_blank(body: list[Statement]) -> bool:
    return all(isinstance(statement, Text) and not statement.text.strip() for statement in body)
