"""Strings and numbers to text, one directive at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Spec:
    """One directive of a format; ``precision`` and ``width`` are ``None`` if not given."""

    verb: str
    flags: str = ""
    width: int | None = None
    precision: int | None = None

    def has(self, flag: str) -> bool:
        return flag in self.flags


PLAIN = Spec("v")


def padded(text: str, spec: Spec) -> str:
    """``text`` brought to the width of ``spec``."""
    if spec.width is None:
        return text
    if spec.has("-"):
        return text.ljust(spec.width)
    return text.rjust(spec.width, "0" if spec.has("0") else " ")


def quoted(text: str, *, ascii_only: bool = False) -> str:
    """``text`` as a Go string literal."""
    escapes = {'"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r"}
    escapes |= {"\t": "\\t", "\v": "\\v"}
    return '"' + "".join(escapes.get(char) or _printable(char, ascii_only) for char in text) + '"'


def _printable(char: str, ascii_only: bool) -> str:
    code = ord(char)
    if char.isprintable() and (code < 128 or not ascii_only):
        return char
    if code < 128:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def string_text(text: str, spec: Spec) -> str | None:
    """A string as ``spec`` wants it; ``None`` if the verb is not for strings."""
    if spec.verb not in "vsqxX":
        return None
    if spec.verb in "xX":
        data = text.encode("utf-8", "replace")[: spec.precision]
        mark = f"0{spec.verb}" if spec.has("#") and data else ""
        digits = data.hex(" ").replace(" ", f" {mark}") if spec.has(" ") else data.hex()
        return padded(mark + (digits.upper() if spec.verb == "X" else digits), spec)
    if spec.precision is not None:
        text = text[: spec.precision]
    if spec.verb == "q":
        raw = spec.has("#") and "`" not in text and text.isprintable()
        text = f"`{text}`" if raw else quoted(text, ascii_only=spec.has("+"))
    return padded(text, spec)


_BASES = {"v": "d", "d": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}
_PREFIXES = {"b": "0b", "o": "0", "x": "0x", "X": "0X"}


def integer_text(value: int, spec: Spec) -> str | None:
    """An integer as ``spec`` wants it; ``None`` if the verb is not for integers."""
    number = int(value)
    if spec.verb in "cqU":
        return _character_text(number, spec)
    if spec.verb not in _BASES:
        return None
    digits = format(abs(number), _BASES[spec.verb])
    sign = "-" if number < 0 else _plus(spec)
    prefix = "0o" if spec.verb == "O" else _PREFIXES.get(spec.verb, "") if spec.has("#") else ""
    if spec.precision is not None:
        digits = digits.zfill(spec.precision)
    elif spec.has("0") and spec.width is not None and not spec.has("-"):
        digits = digits.zfill(spec.width - len(sign))
    return padded(sign + prefix + digits, replace(spec, flags=spec.flags.replace("0", "")))


def _plus(spec: Spec) -> str:
    """What stands before a number that is not negative; with ``%+v`` the flag is about names, not signs."""
    if spec.has("+") and spec.verb != "v":
        return "+"
    return " " if spec.has(" ") else ""


def _character_text(number: int, spec: Spec) -> str:
    valid = 0 <= number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF
    if spec.verb == "U":
        return padded(f"U+{number:04X}", spec)
    char = chr(number) if valid else "\ufffd"
    if spec.verb == "c":
        return padded(char, spec)
    inner = {"'": "\\'", '"': '"'}.get(char) or quoted(char, ascii_only=spec.has("+"))[1:-1]
    return padded(f"'{inner}'", spec)


def float_text(value: float, spec: Spec) -> str | None:
    """A number as ``spec`` wants it; ``None`` if the verb is not for such numbers."""
    if spec.verb not in "vgGeEfF":
        return None
    verb = "g" if spec.verb == "v" else spec.verb
    if verb in "gG":
        text = shortest(abs(value)) if spec.precision is None else f"{abs(value):.{spec.precision or 1}g}"
        text = text.upper() if verb == "G" else text
    else:
        text = f"{abs(value):.{6 if spec.precision is None else min(spec.precision, 1000)}{verb}}"
    sign = "-" if value < 0 else _plus(spec)
    if spec.has("0") and spec.width is not None and not spec.has("-"):
        text = text.zfill(spec.width - len(sign))
    return padded(sign + text, replace(spec, flags=spec.flags.replace("0", "")))


def shortest(value: float, *, smallest: int = -4, largest: int = 6) -> str:
    """The fewest digits that name ``value``; with an exponent below ``smallest`` and from ``largest`` on."""
    digits = repr(abs(value)).split("e", 1)[0].replace(".", "").strip("0") or "0"
    exponent = int(f"{abs(value):.16e}".partition("e")[2])
    sign = "-" if value < 0 else ""
    if exponent < smallest or exponent >= largest:
        return sign + f"{abs(value):.{len(digits) - 1}e}"
    return sign + f"{abs(value):.{max(len(digits) - 1 - exponent, 0)}f}"
