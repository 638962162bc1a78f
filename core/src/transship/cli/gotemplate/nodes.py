"""The parts of a parsed template. ``str(node)`` is what an error message quotes; ``pos`` is an index in the text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Dot:
    pos: int

    def __str__(self) -> str:
        return "."


@dataclass(frozen=True, slots=True)
class Nil:
    pos: int

    def __str__(self) -> str:
        return "nil"


@dataclass(frozen=True, slots=True)
class Literal:
    """A boolean, number or string; ``text`` is its spelling."""

    pos: int
    text: str
    value: bool | int | float | str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Field:
    """``.A.B``"""

    pos: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


@dataclass(frozen=True, slots=True)
class Variable:
    """``$x.A.B``; the first name includes the dollar sign."""

    pos: int
    names: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(self.names)


@dataclass(frozen=True, slots=True)
class Identifier:
    """The name of a function."""

    pos: int
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Chain:
    """``(pipeline).A.B``"""

    pos: int
    operand: Operand
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"{_in_parentheses(self.operand)}{''.join(f'.{name}' for name in self.names)}"


@dataclass(frozen=True, slots=True)
class Command:
    pos: int
    words: list[Operand]

    def __str__(self) -> str:
        return " ".join(map(_in_parentheses, self.words))


@dataclass(frozen=True, slots=True)
class Pipe:
    pos: int
    variables: list[str]
    assigns: bool
    commands: list[Command]

    def __str__(self) -> str:
        target = f"{', '.join(self.variables)} {'=' if self.assigns else ':='} " if self.variables else ""
        return target + " | ".join(map(str, self.commands))


Operand: TypeAlias = Dot | Nil | Literal | Field | Variable | Identifier | Chain | Pipe


def _in_parentheses(operand: Operand) -> str:
    return f"({operand})" if isinstance(operand, Pipe) else str(operand)


@dataclass(frozen=True, slots=True)
class Text:
    pos: int
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Action:
    pos: int
    pipe: Pipe

    def __str__(self) -> str:
        return f"{{{{{self.pipe}}}}}"


@dataclass(frozen=True, slots=True)
class Branch:
    """An ``if``, ``with`` or ``range`` block, as ``keyword`` says."""

    pos: int
    keyword: str
    pipe: Pipe
    body: list[Statement]
    otherwise: list[Statement] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{{{{{self.keyword} {self.pipe}}}}}"


@dataclass(frozen=True, slots=True)
class Invocation:
    """``{{template "name" pipeline}}``; ``name`` is unquoted, ``quoted`` is its spelling in messages."""

    pos: int
    name: str
    quoted: str
    pipe: Pipe | None

    def __str__(self) -> str:
        return f"{{{{template {self.quoted}{f' {self.pipe}' if self.pipe else ''}}}}}"


@dataclass(frozen=True, slots=True)
class Jump:
    """``{{break}}`` or ``{{continue}}``"""

    pos: int
    keyword: str

    def __str__(self) -> str:
        return f"{{{{{self.keyword}}}}}"


Statement: TypeAlias = Text | Action | Branch | Invocation | Jump
