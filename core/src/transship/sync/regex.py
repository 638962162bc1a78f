"""Regular expressions in RE2's syntax: the words that Go's have, and time linear in the length of the text."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Protocol

from transship.errors import TransshipError, UnsupportedError
from transship.image.quoting import quoted

_LENGTH_LIMIT = 16384
_GROUPS_LIMIT = 1000  # memory grows with the square of the depth


class Regex(Protocol):
    """A compiled expression."""

    def search(self, text: str, /) -> object | None:
        """Something where ``text`` contains a match, None else."""


@lru_cache(maxsize=256)
def compile_regex(pattern: str) -> Regex:
    """Compile ``pattern``; raise ``TransshipError`` if it is wrong, ``UnsupportedError`` if RE2 is not installed."""
    if len(pattern) > _LENGTH_LIMIT or pattern.count("(") > _GROUPS_LIMIT:
        raise TransshipError(f"error parsing regexp: expression is too large: {quoted(pattern)}")
    compile_with, options, wrong = _re2()
    try:
        compiled: Regex = compile_with(pattern, options)
    except wrong as error:
        raise TransshipError(f"error parsing regexp: {_reason(error)}: {quoted(pattern)}") from None
    except UnicodeEncodeError:
        raise TransshipError(f"error parsing regexp: invalid UTF-8: {quoted(pattern)}") from None
    return compiled


def _re2() -> tuple[Callable[[str, object], Regex], object, type[Exception]]:
    try:
        import re2

        options = re2.Options()  # other modules of this name have none
    except (ImportError, AttributeError):
        raise UnsupportedError(
            "regular expressions need RE2, which is not installed: pip install transship-core[sync]"
        ) from None
    options.log_errors = False
    return re2.compile, options, re2.error


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
