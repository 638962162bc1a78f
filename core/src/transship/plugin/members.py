"""Reading the members of a JSON object that decides about trust: every one known, and of the right type."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, TypeVar

from transship.errors import PolicyError

_T = TypeVar("_T")


class Members:
    """The members of one object. Each is taken once; ``finish`` raises for what was not taken.

    All methods raise ``PolicyError``.
    """

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._left = dict(members)

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def required_text(self, name: str) -> str:
        """A string that must be there and not be empty."""
        text = self.text(name)
        if not text:
            raise PolicyError(f"{json.dumps(name)} is missing or empty")
        return text

    def text(self, name: str) -> str | None:
        """A string, None if it is not there."""
        return self._take(name, str, "a string")

    def texts(self, name: str) -> list[str] | None:
        """A list of strings, not empty; None if it is not there."""
        values: list[Any] | None = self._take(name, list, "a list")
        if values is None:
            return None
        if not values or not all(isinstance(value, str) and value for value in values):
            raise PolicyError(f"{json.dumps(name)} must be a list of at least one text")
        return values

    def data(self, name: str) -> bytes | None:
        """Bytes in base64, None if they are not there."""
        text = self.text(name)
        return None if text is None else _decoded(name, text)

    def datas(self, name: str) -> list[bytes] | None:
        """A list of bytes in base64, not empty; None if it is not there."""
        texts = self.texts(name)
        return None if texts is None else [_decoded(name, text) for text in texts]

    def object(self, name: str) -> Members | None:
        """An object, None if it is not there."""
        value = self._take(name, dict, "an object")
        return None if value is None else Members(value)

    def finish(self) -> None:
        """Raise if anything is left."""
        for name in self._left:
            raise PolicyError(f"Unknown key {json.dumps(name)}")

    def _take(self, name: str, kind: type[_T], words: str) -> _T | None:
        if name not in self._left:
            return None
        value = self._left.pop(name)
        if not isinstance(value, kind):
            raise PolicyError(f"{json.dumps(name)} must be {words}")
        return value


def _decoded(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)  # as base64(1) wraps it
    except (binascii.Error, ValueError):
        raise PolicyError(f"{json.dumps(name)} is not base64") from None
