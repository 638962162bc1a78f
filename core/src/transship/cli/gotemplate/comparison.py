"""``eq``, ``lt`` and their relatives."""

from __future__ import annotations

from transship.cli.gotemplate.errors import CallError
from transship.cli.gotemplate.values import GoList, GoMap, GoPointer, NoValue, Value, type_name


def equal(first: Value, *others: Value) -> bool:
    """Whether ``first`` equals any of ``others``."""
    if not others:
        raise CallError("missing argument for comparison")
    return any([_same(first, other) for other in others])


def less(first: Value, second: Value) -> bool:
    """Whether ``first`` is before ``second``; both are numbers of one kind, or strings."""
    kinds = _kind(first), _kind(second)
    if "" in kinds:
        raise CallError("invalid type for comparison")
    if kinds[0] != kinds[1]:
        raise CallError("incompatible types for comparison")
    if isinstance(first, str) and isinstance(second, str):
        return str(first) < str(second)
    if kinds[0] == "bool" or not (isinstance(first, int | float) and isinstance(second, int | float)):
        raise CallError("invalid type for comparison")
    return first < second


def less_or_equal(first: Value, second: Value) -> bool:
    """Whether ``first`` is ``second`` or before it."""
    return less(first, second) or equal(first, second)


def _same(first: Value, other: Value) -> bool:
    kinds = _kind(first), _kind(other)
    if kinds[0] != kinds[1]:
        if _is_nil(first) or _is_nil(other):
            return False
        raise CallError("incompatible types for comparison")
    for value in (first, other):
        if isinstance(value, GoList | GoMap):
            raise CallError(f"non-comparable type {type_name(value)}")
    if kinds[0]:
        return first == other
    if _is_nil(first) or _is_nil(other):
        return _is_nil(first) and _is_nil(other)
    if isinstance(first, GoPointer) and isinstance(other, GoPointer):
        return first.target is other.target
    return type_name(first) == type_name(other) and first == other


def _is_nil(value: Value) -> bool:
    return value is None or isinstance(value, NoValue)


def _kind(value: Value) -> str:
    """The family of types within which a value compares; ``""`` for values without one."""
    match value:
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float"
        case str():
            return "string"
    return ""
