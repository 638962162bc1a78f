"""JSON from strangers: what is ambiguous or absurd is an error of one line, never a surprise."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from transship.errors import InvalidManifestError

METADATA_LIMIT = 4 << 20
"""Manifests, configs, indexes and signatures are at most this many bytes."""


def load_json(data: bytes, what: str) -> Any:
    """Parse ``data`` as exactly one JSON text.

    Raises ``InvalidManifestError``, naming ``what``, for more than 4 MiB, invalid UTF-8, duplicate keys, trailing
    data, excess depth, NaN and integers of thousands of digits.
    """
    if len(data) > METADATA_LIMIT:
        raise InvalidManifestError(f"{what}: exceeded maximum allowed size of {METADATA_LIMIT} bytes")
    try:
        return json.loads(
            data.decode("utf-8"), object_pairs_hook=_unique_members, parse_constant=_refuse_constant
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
        raise ValueError(f"duplicate key {duplicate!r}")
    return members


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


_GO_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def dump_json(value: Any) -> bytes:
    """Compact JSON with ``<``, ``>``, ``&``, U+2028 and U+2029 escaped, as Go's encoder writes it.

    Members keep their order; a caller that holds a map sorts it by key.
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.translate(_GO_ESCAPES).encode("utf-8", errors="replace")
