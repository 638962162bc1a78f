"""Template text to tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

KEYWORDS = frozenset({"block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"})

_SPACES = " \t\r\n"
_LEFT_TRIM = re.compile(r"-[ \t\r\n]")
_COMMENT = re.compile(r"(?:-[ \t\r\n]+)?/\*")
_RIGHT_TRIM = re.compile(r"[ \t\r\n]-\}\}")
_SPACE_RUN = re.compile(r"(?:[ \t\r\n](?!-\}\}))+")
_WORD = re.compile(r"[^\W]+")
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?|0[oO][0-7_]*|0[bB][01_]*"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)"
)
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\[^\n])*"')
_CHARACTER = re.compile(r"'(?:[^'\\\n]|\\[^\n])*'")
_SINGLE = {"(": "(", ")": ")", "|": "|", "=": "="}


class Token(NamedTuple):
    """``kind`` is ``text``, ``{{``, ``}}``, ``space``, ``field``, ``variable``, ``word``, ``keyword``, ``number``,
    ``character``, ``string``, ``raw``, ``dot``, ``:=``, ``=``, ``|``, ``(``, ``)``, ``other``, ``error`` or ``end``.
    """

    kind: str
    value: str
    pos: int
    line: int


class _LexError(Exception):
    def __init__(self, message: str, pos: int) -> None:
        super().__init__(message)
        self.pos = pos


def tokens(text: str) -> list[Token]:
    """All tokens of ``text``; the last one is ``end``, or ``error`` with the message as its value."""
    found: list[Token] = []
    line = 1
    counted = 0
    try:
        for kind, value, pos in _Lexer(text).run():
            line += text.count("\n", counted, pos)
            counted = pos
            found.append(Token(kind, value, pos, line))
    except _LexError as error:
        line += text.count("\n", counted, error.pos)
        found.append(Token("error", str(error), error.pos, line))
    return found


class _Lexer:
    def __init__(self, text: str) -> None:
        self._text = text
        self._pos = 0
        self._trim_next = False

    def run(self) -> Iterator[tuple[str, str, int]]:
        while True:
            start = self._skip_trimmed()
            brace = self._text.find("{{", start)
            inside = brace + 2
            text = self._text[start:] if brace < 0 else self._text[start:brace]
            if brace >= 0 and _LEFT_TRIM.match(self._text, inside):
                text = text.rstrip(_SPACES)
            if text:
                yield "text", text, start
            if brace < 0:
                yield "end", "", len(self._text)
                return
            if comment := _COMMENT.match(self._text, inside):
                self._skip_comment(brace, comment.end())
            else:
                yield from self._action(brace)

    def _skip_trimmed(self) -> int:
        start = self._pos
        while self._trim_next and start < len(self._text) and self._text[start] in _SPACES:
            start += 1
        self._trim_next = False
        return start

    def _skip_comment(self, brace: int, inside: int) -> None:
        close = self._text.find("*/", inside)
        if close < 0:
            raise _LexError("unclosed comment", brace)
        self._pos = close + 2
        if not self._close():
            raise _LexError("comment ends before closing delimiter", brace)

    def _close(self) -> bool:
        """Step over a right delimiter, if there is one here."""
        if _RIGHT_TRIM.match(self._text, self._pos):
            self._trim_next = True
            self._pos += 4
        elif self._text.startswith("}}", self._pos):
            self._pos += 2
        else:
            return False
        return True

    def _action(self, brace: int) -> Iterator[tuple[str, str, int]]:
        yield "{{", "{{", brace
        self._pos = brace + (3 if _LEFT_TRIM.match(self._text, brace + 2) else 2)
        depth = 0
        while True:
            start = self._pos
            if self._close():
                if depth:
                    raise _LexError("unclosed left paren", start)
                yield "}}", "}}", start
                return
            kind = self._next_kind()
            depth += {"(": 1, ")": -1}.get(kind, 0)
            yield kind, self._text[start : self._pos], start
            if depth < 0:
                raise _LexError("unexpected right paren", start)

    def _next_kind(self) -> str:
        start, text = self._pos, self._text
        if start >= len(text):
            raise _LexError("unclosed action", start)
        char = text[start]
        if space := _SPACE_RUN.match(text, start):
            self._pos = space.end()
            return "space"
        if char in _SINGLE:
            self._pos += 1
            return char
        if char == ":":
            if not text.startswith(":=", start):
                raise _LexError("expected :=", start)
            self._pos += 2
            return ":="
        if char in "\"'`":
            return self._quoted(char)
        if char == "$" or (char == "." and not ("0" <= text[start + 1 : start + 2] <= "9")):
            return self._name(char)
        if char in "+-." or "0" <= char <= "9":
            return self._number()
        if char == "_" or char.isalnum():
            return self._word()
        if char.isascii() and char.isprintable():
            self._pos += 1
            return "other"
        raise _LexError(f"unrecognized character in action: U+{ord(char):04X}", start)

    def _quoted(self, quote: str) -> str:
        start = self._pos
        if quote == "`":
            close = self._text.find("`", start + 1)
            if close < 0:
                raise _LexError("unterminated raw quoted string", start)
            self._pos = close + 1
            return "raw"
        match = (_QUOTED if quote == '"' else _CHARACTER).match(self._text, start)
        if match is None:
            what = "quoted string" if quote == '"' else "character constant"
            raise _LexError(f"unterminated {what}", start)
        self._pos = match.end()
        return "string" if quote == '"' else "character"

    def _name(self, char: str) -> str:
        self._pos += 1
        if word := _WORD.match(self._text, self._pos):
            self._pos = word.end()
        elif char == ".":
            return self._terminated("dot")
        return self._terminated("variable" if char == "$" else "field")

    def _word(self) -> str:
        match = _WORD.match(self._text, self._pos)
        end = match.end() if match else self._pos + 1
        word = self._text[self._pos : end]
        self._pos = end
        return self._terminated("keyword" if word in KEYWORDS else "word")

    def _number(self) -> str:
        start = self._pos
        match = _NUMBER.match(self._text, start)
        end = match.end() if match else start
        if end == start or _WORD.match(self._text, end):
            raise _LexError(f'bad number syntax: "{self._text[start : end + 1]}"', start)
        self._pos = end
        return "number"

    def _terminated(self, kind: str) -> str:
        following = self._text[self._pos : self._pos + 1]
        closes = self._text.startswith("}}", self._pos)
        if following and following not in _SPACES and following not in ".,|:)(" and not closes:
            raise _LexError(f"bad character U+{ord(following):04X} '{following}'", self._pos)
        return kind
