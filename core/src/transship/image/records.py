"""Records of JSON with fixed members, read and written as Go's ``encoding/json`` does with a struct.

Images are identified by the digest of such records, so their bytes must come out the same: members in the
order of the struct, absent ones as zero values, maps sorted. A *shape* turns a parsed JSON value into the
value that Go would write again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from transship.errors import InvalidManifestError

Shape = Callable[[Any, str], Any]
"""Called with a parsed value, None where it is absent, and where it stands, for errors."""

ZERO_TIME = "0001-01-01T00:00:00Z"
"""A moment that was never set."""


class Member(NamedTuple):
    """One member of a record; ``keep_empty`` writes it even if it is empty."""

    name: str
    shape: Shape
    keep_empty: bool = False


def text(value: Any, where: str) -> str:
    """A string."""
    return str(_checked(value, str, where, ""))


def boolean(value: Any, where: str) -> bool:
    """A boolean."""
    return bool(_checked(value, bool, where, False))


def integer(value: Any, where: str) -> int:
    """An integer of at most 64 bits."""
    if isinstance(value, bool) or not -(1 << 63) <= _checked(value, int, where, 0) < 1 << 63:
        raise _wrong(where, "an integer of 64 bits")
    return int(value or 0)


def empty_object(value: Any, where: str) -> dict[str, Any]:
    """An object whose members do not matter."""
    _checked(value, dict, where, {})
    return {}


def text_or_texts(value: Any, where: str) -> list[str] | None:
    """A list of strings, for which one string may stand."""
    return [value] if isinstance(value, str) else sequence(text)(value, where)


def optional(shape: Shape) -> Shape:
    """A shape whose absence shows."""
    return lambda value, where: None if value is None else shape(value, where)


def sequence(shape: Shape) -> Shape:
    """A list of one shape."""

    def read(value: Any, where: str) -> list[Any] | None:
        items = _checked(value, list, where, None)
        return None if items is None else [shape(item, where) for item in items]

    return read


def mapping(shape: Shape) -> Shape:
    """An object with any names and members of one shape."""

    def read(value: Any, where: str) -> dict[str, Any] | None:
        members = _checked(value, dict, where, None)
        return None if members is None else {name: shape(members[name], where) for name in sorted(members)}

    return read


def record(*members: Member) -> Shape:
    """An object with these members, in this order; others are dropped. Names match whatever their case."""
    names = {member.name.lower(): member.name for member in members}

    def read(value: Any, where: str) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for name, item in _checked(value, dict, where, {}).items():
            given[names.get(name.lower(), name)] = item
        written = ((member, member.shape(given.get(member.name), f"{where}.{member.name}")) for member in members)
        return {member.name: item for member, item in written if item or member.keep_empty}

    return read


_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:\.([0-9]+))?(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)
_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def time(value: Any, where: str) -> str:
    """A moment (RFC 3339): fractions of a second without trailing zeros, the zone kept, UTC as ``Z``."""
    if value is None:
        return ZERO_TIME
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if not match:
        raise _wrong(where, "a time as in RFC 3339")
    year, month, day, hour, minute, second = (int(match[group]) for group in range(1, 7))
    zone_hours, zone_minutes = int(match[9] or 0), int(match[10] or 0)
    in_range = hour < 24 and minute < 60 and second < 60 and zone_hours < 24 and zone_minutes < 60
    if not (in_range and 1 <= month <= 12 and 1 <= day <= _days(year, month)):
        raise _wrong(where, "a time as in RFC 3339")
    fraction = (match[7] or "")[:9].rstrip("0")
    is_utc = zone_hours == zone_minutes == 0
    zone = "Z" if is_utc else f"{match[8]}{match[9]}:{match[10]}"
    return f"{value[:19]}{'.' if fraction else ''}{fraction}{zone}"


def _days(year: int, month: int) -> int:
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return _DAYS[month - 1] - (1 if month == 2 and not is_leap else 0)


def _checked(value: Any, kind: type, where: str, default: Any) -> Any:
    if value is None:
        return default
    if not isinstance(value, kind):
        raise _wrong(where, _KINDS[kind])
    return value


_KINDS: dict[type, str] = {
    str: "a string",
    bool: "true or false",
    int: "an integer of 64 bits",
    list: "an array",
    dict: "an object",
}


def _wrong(where: str, expected: str) -> InvalidManifestError:
    return InvalidManifestError(f"{where}: expected {expected}")
