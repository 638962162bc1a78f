"""The constants of the template language."""

from __future__ import annotations

import re

_ESCAPE = re.compile(
    rb"""\\(?:([abfnrtv\\'"])|([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))|(\\)"""
)
_NAMED = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_LONGEST_NUMBER = 100


def unquote(quoted: str) -> str:
    """The value of a string in double quotes or backquotes; raises ``ValueError``."""
    if quoted[0] == "`":
        return quoted[1:-1].replace("\r", "")
    return _unescape(quoted[1:-1], '"').decode("utf-8", "replace")


def character(quoted: str) -> int:
    """The number of a character in single quotes; raises ``ValueError``."""
    text = _unescape(quoted[1:-1], "'").decode("utf-8", "replace")
    if len(text) != 1:
        raise ValueError(f"malformed character constant: {quoted}")
    return ord(text)


def number(text: str) -> int | float:
    """The value of a number as Go reads it; raises ``ValueError``."""
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"bad number syntax: {text[:20]!r}…")
    try:
        return _integer(text)
    except ValueError:
        pass
    try:
        value = float.fromhex(text) if "x" in text.lower() else float(text)
    except (ValueError, OverflowError):
        raise ValueError(f'bad number syntax: "{text}"') from None
    if value in (float("inf"), float("-inf")) or not any(mark in text for mark in ".eEpP"):
        raise ValueError(f'bad number syntax: "{text}"')
    return value


def _integer(text: str) -> int:
    digits = text.lstrip("+-")
    legacy_octal = len(digits) > 1 and digits[0] == "0" and digits[1] in "01234567_"
    value = int(digits, 8 if legacy_octal else 0)
    return -value if text.startswith("-") else value


def _unescape(text: str, quote: str) -> bytes:
    def replace(match: re.Match[bytes]) -> bytes:
        named, octal, byte, short, long, stray = match.groups()
        if named is not None:
            if named in b"\"'" and named != quote.encode():
                raise ValueError("invalid syntax")
            return _NAMED.get(named, named)
        if stray is not None:
            raise ValueError("invalid syntax")
        if octal is not None or byte is not None:
            code = int(octal, 8) if octal is not None else int(byte, 16)
            if code > 255:
                raise ValueError("invalid syntax")
            return bytes([code])
        return _encoded(int(short or long, 16))

    return _ESCAPE.sub(replace, text.encode("utf-8", "replace"))


def _encoded(code: int) -> bytes:
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise ValueError("invalid syntax")
    return chr(code).encode()
