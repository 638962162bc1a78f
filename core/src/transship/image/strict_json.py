"""JSON from strangers: what is ambiguous or absurd is an error of one line, never a surprise."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from transship.errors import InvalidManifestError

METADATA_LIMIT = 4 << 20
"""Manifests, configs, indexes and signatures are at most this many bytes."""

_DIGITS_LIMIT = 1000


def load_json(data: bytes, what: str) -> Any:
    """Parse ``data`` as exactly one JSON text.

    Raises ``InvalidManifestError``, naming ``what``, for more than 4 MiB, invalid UTF-8, duplicate keys,
    trailing data, excess depth, NaN, infinite numbers and integers of thousands of digits. Half a surrogate
    pair becomes U+FFFD.
    """
    if len(data) > METADATA_LIMIT:
        raise InvalidManifestError(f"{what}: exceeded maximum allowed size of {METADATA_LIMIT} bytes")
    try:
        return json.loads(
            _with_whole_characters(data.decode("utf-8")),
            object_pairs_hook=_unique_members,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_bounded,
        )
    except UnicodeDecodeError as error:
        raise InvalidManifestError(f"{what}: not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise InvalidManifestError(f"{what}: JSON is nested too deeply") from None
    except ValueError as error:
        raise InvalidManifestError(f"{what}: invalid JSON: {error}") from None


def load_json_object(data: bytes, what: str) -> dict[str, Any]:
    """As ``load_json``, and the text must be an object."""
    value = load_json(data, what)
    if not isinstance(value, dict):
        raise InvalidManifestError(f"{what}: expected a JSON object, found {type(value).__name__}")
    return value


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        duplicate = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"duplicate key {duplicate[:100]!r}")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"number {text[:40]} is too large")
    return number


def _bounded(text: str) -> int:
    if len(text) > _DIGITS_LIMIT:
        raise ValueError(f"number {text[:40]}… is too large")
    return int(text)


_SURROGATE_ESCAPE = r"\\u[dD][89a-fA-F]"
_ESCAPE = (
    r"(?s:\\(?:"
    r"(?P<pair>u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})"
    r"|.))"
)


def _with_whole_characters(text: str) -> str:
    if not re.search(_SURROGATE_ESCAPE, text):
        return text
    return re.sub(_ESCAPE, lambda match: r"\ufffd" if match["half"] else match[0], text)


_GO_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}
_SURROGATE = "[\ud800-\udfff]"


def dump_json(value: Any, indent: int | None = None) -> bytes:
    """JSON as Go's encoder writes it: ``<``, ``>``, ``&``, U+2028 and U+2029 are escaped.

    Compact, or with lines indented by ``indent`` blanks. Members keep their order; a caller that holds a map sorts it
    by key. Half a surrogate pair becomes U+FFFD.
    """
    try:
        separators = (",", ":") if indent is None else (",", ": ")
        text = json.dumps(value, indent=indent, separators=separators, ensure_ascii=False, allow_nan=False)
    except RecursionError:
        raise InvalidManifestError("writing JSON: it is nested too deeply") from None
    return _encoded(text)


def _encoded(text: str) -> bytes:
    text = text.translate(_GO_ESCAPES)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return re.sub(_SURROGATE, "\ufffd", text).encode("utf-8")


class RawJson(str):
    """The text of one JSON value, compact, with numbers and escapes as they were written."""

    __slots__ = ()


_WHITESPACE = r"[ \t\r\n]*+"
_STRING_OR_SPACE = r'(?s:"(?:[^"\\]++|\\.)*+"|[ \t\r\n]++)'


def raw_members(data: bytes, what: str) -> dict[str, RawJson]:
    """The members of a JSON object with the text of their values; raises as ``load_json_object`` does."""
    load_json_object(data, what)
    text = data.decode("utf-8")
    decoder = json.JSONDecoder()
    members: dict[str, RawJson] = {}
    position = _after_space(text, text.index("{") + 1)
    while text[position] != "}":
        name, position = decoder.raw_decode(text, position)
        start = _after_space(text, _after_space(text, position) + 1)
        _, position = decoder.raw_decode(text, start)
        members[name] = _compact(text[start:position])
        position = _after_space(text, position)
        if text[position] == ",":
            position = _after_space(text, position + 1)
    return members


def dump_raw_members(members: Mapping[str, RawJson]) -> bytes:
    """An object of such members, sorted by name, as Go's encoder writes a map."""
    pairs = (f"{dump_json(name).decode()}:{members[name]}" for name in sorted(members))
    return _encoded("{" + ",".join(pairs) + "}")


def raw_json(value: Any) -> RawJson:
    """The text that ``dump_json`` gives ``value``."""
    return RawJson(dump_json(value).decode())


def _after_space(text: str, position: int) -> int:
    match = re.compile(_WHITESPACE).match(text, position)
    return match.end() if match else position


def _compact(text: str) -> RawJson:
    return RawJson(re.sub(_STRING_OR_SPACE, lambda match: match[0] if match[0][0] == '"' else "", text))
