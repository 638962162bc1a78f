"""The functions that a template may call by name."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

from transship.cli.gotemplate import comparison, escaping
from transship.cli.gotemplate.encoding import encode
from transship.cli.gotemplate.errors import TEXT_LIMIT, Budget, CallError, refuse_long_text
from transship.cli.gotemplate.printf import WIDTH_LIMIT, printf
from transship.cli.gotemplate.printing import Printer
from transship.cli.gotemplate.values import (
    GoInt,
    GoList,
    GoMap,
    GoPointer,
    GoTyped,
    NoValue,
    Value,
    indirect,
    is_true,
    type_name,
)


class Function(NamedTuple):
    """``parameters`` are ``any``, ``string``, ``int`` or ``[]string``; with ``variadic`` the last one repeats.

    ``call`` receives the ``Budget`` and then the arguments, unboxed and of these types. It raises ``CallError``.
    """

    call: Callable[..., Value]
    parameters: tuple[str, ...] = ("any",)
    variadic: bool = False
    results: int = 1


def _length(_: Budget, value: Value) -> Value:
    value = indirect(value)
    match value:
        case None | NoValue() | GoPointer():
            raise CallError("len of nil pointer")
        case GoList() | GoMap():
            return len(value)
        case str():
            return len(value.encode("utf-8", "replace"))
    raise CallError(f"len of type {type_name(value)}")


def _index(_: Budget, value: Value, *indexes: Value) -> Value:
    if value is None:
        raise CallError("index of untyped nil")
    for index in indexes:
        value = _item(indirect(value), index)
    return value


def _item(value: Value, index: Value) -> Value:
    match value:
        case None | NoValue():
            raise CallError("index of untyped nil")
        case GoPointer():
            raise CallError("index of nil pointer")
        case GoMap():
            if type(index) is not str:
                given = "value is nil" if index is None else f"value has type {type_name(index)}"
                raise CallError(f"{given}; should be string")
            return (value.entries or {}).get(index, value.zero)
        case GoList():
            return (value.items or [])[_inner_position(index, len(value), "slice")]
        case str():
            data = value.encode("utf-8", "replace")
            return GoInt("uint8", data[_inner_position(index, len(data), "string")])
    raise CallError(f"can't index item of type {type_name(value)}")


def _inner_position(index: Value, length: int, what: str) -> int:
    position = _position(index, length)
    if position == length:
        raise CallError(f"reflect: {what} index out of range")
    return position


def _position(index: Value, last: int) -> int:
    if index is None or isinstance(index, NoValue):
        raise CallError("cannot index slice/array with nil")
    if not isinstance(index, int) or isinstance(index, bool):
        raise CallError(f"cannot index slice/array with type {type_name(index)}")
    if not 0 <= index <= last:
        raise CallError(f"index out of range: {int(index)}")
    return int(index)


def _slice(_: Budget, value: Value, *indexes: Value) -> Value:
    if value is None or isinstance(value, NoValue):
        raise CallError("slice of untyped nil")
    if len(indexes) > 3:
        raise CallError(f"too many slice indexes: {len(indexes)}")
    match value:
        case str():
            if len(indexes) == 3:
                raise CallError("cannot 3-index slice a string")
            data = value.encode("utf-8", "replace")
            start, stop = _bounds(indexes, len(data))
            text = data[start:stop].decode("utf-8", "replace")
            return GoTyped(value.type_name, text) if isinstance(value, GoTyped) else text
        case GoList():
            start, stop = _bounds(indexes, len(value))
            return GoList(value.element, (value.items or [])[start:stop])
    raise CallError(f"can't slice item of type {type_name(value)}")


def _bounds(indexes: tuple[Value, ...], length: int) -> tuple[int, int]:
    positions = [_position(index, length) for index in indexes]
    for earlier, later in pairwise(positions):
        if earlier > later:
            raise CallError(f"invalid slice index: {earlier} > {later}")
    start, stop = ([*positions, length] if len(positions) == 1 else [*positions, 0, length])[:2]
    return (start, stop) if positions else (0, length)


def _call(_: Budget, function: Value, *__: Value) -> Value:
    if function is None or isinstance(function, NoValue):
        raise CallError("call of nil")
    raise CallError(f"non-function of type {type_name(function)}")


def _first(wanted: bool) -> Callable[..., Value]:
    """``and`` or ``or`` for arguments that were all evaluated."""

    def choose(_: Budget, *values: Value) -> Value:
        return next((value for value in values if is_true(value) is wanted), values[-1])

    return choose


def _printf(budget: Budget, template: str, *values: Value) -> Value:
    return printf(Printer(budget), template, list(values))


def _join(_: Budget, texts: GoList, separator: str) -> Value:
    parts = [str(text) for text in texts.items or ()]
    if sum(map(len, parts)) + len(parts) * len(separator) > TEXT_LIMIT:
        refuse_long_text()
    return separator.join(parts)


def _split(budget: Budget, text: str, separator: str) -> Value:
    budget.spend(text.count(separator))
    return GoList("string", list(text.split(separator) if separator else text))


def _pad(_: Budget, text: str, before: int, after: int) -> Value:
    if not text:
        return text
    if min(before, after) < 0:
        raise CallError("strings: negative Repeat count")
    if max(before, after) > WIDTH_LIMIT:
        raise CallError(f"more than {WIDTH_LIMIT} spaces")
    return " " * before + text + " " * after


def _truncate(_: Budget, text: str, length: int) -> Value:
    data = text.encode("utf-8", "replace")
    if length < 0:
        raise CallError(f"slice bounds out of range [:{length}]")
    return text if len(data) < length else data[:length].decode("utf-8", "replace")


def _each(change: Callable[[str], str]) -> Function:
    """A function that maps single characters, leaving alone what would become several."""

    def changed(char: str) -> str:
        other = change(char)
        return other if len(other) == 1 else char

    return Function(lambda _, text: "".join(map(changed, text)), ("string",))


def _title(_: Budget, text: str) -> Value:
    previous = " "
    parts = []
    for char in text:
        upper = char.upper()
        starts = not (previous.isalnum() or previous == "_") and (previous.isascii() or previous.isspace())
        parts.append(upper if starts and len(upper) == 1 else char)
        previous = char
    return "".join(parts)


def _escaper(escape: Callable[[str], str]) -> Function:
    def escaped(budget: Budget, *values: Value) -> Value:
        shown: list[Value] = ["<no value>" if value is None else indirect(value) for value in values]
        text = str(shown[0]) if len(shown) == 1 and isinstance(shown[0], str) else Printer(budget).print(shown)
        return escape(text)

    return Function(escaped, variadic=True)


def _comparer(compare: Callable[..., bool]) -> Callable[..., Value]:
    return lambda _, *values: compare(*values)


_PAIR = ("any", "any")

FUNCTIONS: dict[str, Function] = {
    "and": Function(_first(wanted=False), _PAIR, variadic=True),
    "or": Function(_first(wanted=True), _PAIR, variadic=True),
    "not": Function(lambda _, value: not is_true(value)),
    "len": Function(_length),
    "index": Function(_index, _PAIR, variadic=True),
    "slice": Function(_slice, _PAIR, variadic=True),
    "print": Function(lambda budget, *values: Printer(budget).print(list(values)), variadic=True),
    "printf": Function(_printf, ("string", "any"), variadic=True),
    "println": Function(lambda budget, *values: Printer(budget).println(list(values)), variadic=True),
    "html": _escaper(escaping.html),
    "js": _escaper(escaping.javascript),
    "urlquery": _escaper(escaping.url_query),
    "call": Function(_call, _PAIR, variadic=True),
    "eq": Function(_comparer(comparison.equal), _PAIR, variadic=True),
    "ne": Function(_comparer(lambda one, two: not comparison.equal(one, two)), _PAIR),
    "lt": Function(_comparer(comparison.less), _PAIR),
    "le": Function(_comparer(comparison.less_or_equal), _PAIR),
    "gt": Function(_comparer(lambda one, two: not comparison.less_or_equal(one, two)), _PAIR),
    "ge": Function(_comparer(lambda one, two: not comparison.less(one, two)), _PAIR),
    "json": Function(lambda _, value: encode(value, escape_html=False)),
    "join": Function(_join, ("[]string", "string")),
    "split": Function(_split, ("string", "string")),
    "lower": _each(str.lower),
    "upper": _each(str.upper),
    "title": Function(_title, ("string",)),
    "pad": Function(_pad, ("string", "int", "int")),
    "truncate": Function(_truncate, ("string", "int")),
}
