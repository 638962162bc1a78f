"""A position among tokens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from transship.cli.gotemplate.errors import NESTING_LIMIT, TemplateError
from transship.cli.gotemplate.lexer import Token


class Cursor:
    """Reads the tokens of the template ``name`` one by one, and complains about them."""

    def __init__(self, name: str, found: list[Token]) -> None:
        self._name = name
        self._tokens = found
        self._depth = 0
        self.index = 0

    def peek(self) -> Token:
        return self._tokens[min(self.index, len(self._tokens) - 1)]

    def next(self) -> Token:
        token = self.peek()
        self.index += 1
        return token

    def skip_space(self) -> Token:
        while self.peek().kind == "space":
            self.index += 1
        return self.peek()

    def next_word(self) -> Token:
        self.skip_space()
        return self.next()

    def expect(self, context: str, *kinds: str) -> Token:
        token = self.next_word()
        if token.kind not in kinds:
            self.unexpected(token, context)
        return token

    def fail(self, message: str) -> NoReturn:
        line = self._tokens[min(max(self.index - 1, 0), len(self._tokens) - 1)].line
        raise TemplateError(f"template: {self._name}:{line}: {message}")

    def unexpected(self, token: Token, context: str) -> NoReturn:
        if token.kind == "error":
            self.fail(token.value)
        match token.kind:
            case "end":
                shown = "EOF"
            case "keyword":
                shown = f"<{token.value}>"
            case _:
                shown = f'"{token.value[:10]}"' + ("..." if len(token.value) > 10 else "")
        self.fail(f"unexpected {shown} in {context}")

    @contextmanager
    def nested(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > NESTING_LIMIT:
            self.fail(f"nested more than {NESTING_LIMIT} deep")
        yield
        self._depth -= 1
