"""Values to JSON, as Go's encoder writes them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from transship.cli.gotemplate.gotime import GoTime
from transship.cli.gotemplate.values import (
    GoList,
    GoMap,
    GoPointer,
    GoStruct,
    NoValue,
    Value,
    is_true,
    unboxed,
)

_HTML = {ord(char): f"\\u{ord(char):04x}" for char in "<>&"}
_LINE_SEPARATORS = {0x2028: "\\u2028", 0x2029: "\\u2029"}


def encode(value: Value, indent: int | None = None, *, escape_html: bool = True) -> str:
    """``value`` as JSON text without a newline at its end; compact unless ``indent`` is a number of spaces."""
    text = json.dumps(
        _plain(value),
        indent=indent,
        ensure_ascii=False,
        separators=(",", ":") if indent is None else (",", ": "),
    )
    return text.translate(_LINE_SEPARATORS | _HTML if escape_html else _LINE_SEPARATORS)


def _plain(value: Value) -> Any:
    value = unboxed(value)
    match value:
        case None | NoValue():
            return None
        case GoTime():
            return value.rfc3339()
        case GoPointer():
            return _plain(value.target)
        case GoList():
            return None if value.items is None else [_plain(item) for item in value.items]
        case GoMap():
            entries = value.entries
            return None if entries is None else {key: _plain(item) for key, item in entries.items()}
        case GoStruct():
            return dict(_members(value))
        case bool() | float():
            return value
        case int():
            return int(value)
    return str(value)


def _members(struct: GoStruct) -> Iterator[tuple[str, Any]]:
    for name, value in struct.fields.items():
        if name in struct.embedded and isinstance(value, GoStruct):
            yield from _members(value)
            continue
        key, _, option = struct.json.get(name, name).partition(",")
        if option != "omitempty" or is_true(value):
            yield key, _plain(value)
