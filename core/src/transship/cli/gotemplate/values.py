"""The values that a template sees. Each knows its Go type; nothing of Python shows through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, Union

from transship.cli.gotemplate.gotime import GoTime


class GoTyped(str):
    """A string of a named type, such as ``digest.Digest``."""

    type_name: str

    def __new__(cls, type_name: str, text: str) -> GoTyped:
        value = super().__new__(cls, text)
        value.type_name = type_name
        return value


class GoInt(int):
    """An integer of another type than ``int``. ``text`` is how it prints, if it is a named constant."""

    type_name: str
    text: str

    def __new__(cls, type_name: str, number: int, text: str = "") -> GoInt:
        value = super().__new__(cls, number)
        value.type_name = type_name
        value.text = text
        return value


@dataclass(frozen=True, slots=True, eq=False)
class GoList:
    """A slice; ``items`` is ``None`` for the nil slice. ``element`` is the name of its element type."""

    element: str
    items: list[Value] | None

    @property
    def type_name(self) -> str:
        return f"[]{self.element}"

    def __len__(self) -> int:
        return len(self.items or ())


@dataclass(frozen=True, slots=True, eq=False)
class GoMap:
    """A ``map[string]…``, kept sorted by key; ``entries`` is ``None`` for the nil map. ``zero`` is what a missing
    key yields."""

    element: str
    entries: dict[str, Value] | None
    zero: Value = ""

    def __post_init__(self) -> None:
        if self.entries is not None:
            object.__setattr__(self, "entries", dict(sorted(self.entries.items())))

    @property
    def type_name(self) -> str:
        return f"map[string]{self.element}"

    def __len__(self) -> int:
        return len(self.entries or ())


@dataclass(frozen=True, slots=True, eq=False)
class GoStruct:
    """A struct. ``json`` holds Go's field tags (``name,omitempty``) where they differ from the field's name.

    ``embedded`` names the fields whose own fields are also reached directly.
    """

    type_name: str
    fields: Mapping[str, Value]
    json: Mapping[str, str] = field(default_factory=dict)
    embedded: frozenset[str] = frozenset()

    def find(self, name: str) -> tuple[bool, Value]:
        """Whether there is a field ``name``, also in an embedded struct, and its value."""
        if name in self.fields:
            return True, self.fields[name]
        for inner in self.embedded:
            struct = self.fields[inner]
            if isinstance(struct, GoStruct) and name in struct.fields:
                return True, struct.fields[name]
        return False, None


@dataclass(frozen=True, slots=True, eq=False)
class GoPointer:
    """A pointer to a struct or time; ``target`` is ``None`` for the nil pointer."""

    target_type: str
    target: GoStruct | GoTime | None

    @property
    def type_name(self) -> str:
        return f"*{self.target_type}"


@dataclass(frozen=True, slots=True, eq=False)
class Boxed:
    """A value that the template meets through an ``interface {}``."""

    value: Value


class NoValue:
    """The type of ``NO_VALUE``, the result of looking up a field name that a map lacks."""

    __slots__ = ()


NO_VALUE = NoValue()

Value: TypeAlias = Union[  # noqa: UP007 - a forward reference below may be read at run time
    bool, int, float, str, GoList, GoMap, GoStruct, GoPointer, GoTime, Boxed, NoValue, None
]


def type_name(value: Value) -> str:
    """The name of the value's Go type as error messages spell it; ``<nil>`` for nil."""
    match value:
        case None | NoValue():
            return "<nil>"
        case bool():
            return "bool"
        case GoTyped() | GoInt() | GoList() | GoMap() | GoStruct() | GoPointer():
            return value.type_name
        case int():
            return "int"
        case float():
            return "float64"
        case str():
            return "string"
        case GoTime():
            return "time.Time"
        case Boxed():
            return "interface {}"


def unboxed(value: Value) -> Value:
    """The value inside an interface."""
    while isinstance(value, Boxed):
        value = value.value
    return value


def indirect(value: Value) -> Value:
    """The value behind interfaces and pointers; a nil pointer stays one."""
    value = unboxed(value)
    if isinstance(value, GoPointer) and value.target is not None:
        return value.target
    return value


def is_true(value: Value) -> bool:
    """Go's truth: neither nil nor zero nor empty; structs are always true."""
    value = unboxed(value)
    match value:
        case None | NoValue():
            return False
        case GoPointer():
            return value.target is not None
        case GoStruct() | GoTime():
            return True
        case GoList() | GoMap():
            return len(value) > 0
    return bool(value)


def clean_text(text: str) -> str:
    """``text`` with lone surrogates replaced, as Go's decoder does."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
