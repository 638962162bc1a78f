"""Values to text, as Go's ``fmt`` package writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from transship.cli.gotemplate.errors import TEXT_LIMIT, Budget, CallError, refuse_long_text
from transship.cli.gotemplate.gotime import GoTime
from transship.cli.gotemplate.values import (
    GoInt,
    GoList,
    GoMap,
    GoPointer,
    GoStruct,
    GoTyped,
    NoValue,
    Value,
    type_name,
    unboxed,
)

WIDTH_LIMIT = 1_000_000

_DIRECTIVE = re.compile(
    r"%([-+# 0]*)(?:\[(\d*)\])?(\*|\d+)?(?:(\.)(?:\[(\d*)\])?(\*|\d+)?)?(?:\[(\d*)\])?(.)?", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Spec:
    """One directive of a format; ``precision`` and ``width`` are ``None`` if not given."""

    verb: str
    flags: str = ""
    width: int | None = None
    precision: int | None = None

    def has(self, flag: str) -> bool:
        return flag in self.flags


_PLAIN = Spec("v")


class Printer:
    """Prints values at the expense of ``budget``."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def print(self, values: list[Value]) -> str:
        """``fmt.Sprint``: spaces between operands when neither is a string."""
        parts: list[str] = []
        for index, value in enumerate(map(unboxed, values)):
            if index and not (isinstance(value, str) or isinstance(unboxed(values[index - 1]), str)):
                parts.append(" ")
            parts.append(self.value(value, _PLAIN))
        return self._joined(parts, "")

    def println(self, values: list[Value]) -> str:
        """``fmt.Sprintln``: spaces between all operands."""
        return self._joined([self.value(value, _PLAIN) for value in values], " ") + "\n"

    def printf(self, template: str, values: list[Value]) -> str:
        """``fmt.Sprintf``."""
        return _Format(self, template, values).run()

    def value(self, value: Value, spec: Spec, depth: int = 0) -> str:
        """``value`` as the directive ``spec`` wants it."""
        text = self._text(unboxed(value), spec, depth)
        self._budget.spend_text(len(text))
        return text

    def _joined(self, parts: list[str], separator: str) -> str:
        if sum(map(len, parts)) + len(parts) * len(separator) > TEXT_LIMIT:
            refuse_long_text()
        return separator.join(parts)

    def _text(self, value: Value, spec: Spec, depth: int) -> str:
        if spec.verb == "T":
            return padded(type_name(value), spec)
        if spec.verb == "v" and spec.has("#"):
            return self._go_syntax(value)
        match value:
            case None | NoValue():
                return padded("<nil>", spec) if spec.verb == "v" else f"%!{spec.verb}(<nil>)"
            case GoList() | GoMap() | GoStruct():
                return self._composite(value, spec, depth)
            case GoPointer():
                return self._pointer(value, spec, depth)
            case GoTime():
                return _string_text(value, str(value), spec, self)
            case GoInt() if value.text and spec.verb in "vsxXq":
                return _string_text(value, value.text, spec, self)
            case bool():
                return padded(str(value).lower(), spec) if spec.verb in "vt" else self.bad(value, spec)
            case int():
                return _integer_text(value, spec, self)
            case float():
                return _float_text(value, spec, self)
            case str():
                return _string_text(value, value, spec, self)
        return ""

    def bad(self, value: Value, spec: Spec) -> str:
        """What stands for a value that does not fit the verb."""
        return f"%!{spec.verb}({type_name(value)}={self._text(value, _PLAIN, 1)})"

    def _pointer(self, value: GoPointer, spec: Spec, depth: int) -> str:
        if value.target is None:
            return padded("<nil>", spec) if spec.verb in "vsq" else f"%!{spec.verb}({value.type_name}=<nil>)"
        if isinstance(value.target, GoStruct) and depth == 0:
            return "&" + self.value(value.target, spec, 1)
        return self.value(value.target, spec, depth)

    def _composite(self, value: GoList | GoMap | GoStruct, spec: Spec, depth: int) -> str:
        if isinstance(value, GoList):
            return f"[{self._joined([self.value(item, spec, depth + 1) for item in value.items or ()], ' ')}]"
        named = isinstance(value, GoMap) or spec.has("+")
        pairs = (value.entries or {}) if isinstance(value, GoMap) else value.fields
        key_spec = spec if isinstance(value, GoMap) else _PLAIN
        parts = [
            (self.value(key, key_spec, depth + 1) + ":" if named else "") + self.value(item, spec, depth + 1)
            for key, item in pairs.items()
        ]
        joined = self._joined(parts, " ")
        return f"map[{joined}]" if isinstance(value, GoMap) else f"{{{joined}}}"

    def _go_syntax(self, value: Value) -> str:
        value = unboxed(value)
        self._budget.spend()
        match value:
            case None | NoValue():
                return "<nil>"
            case GoTime():
                return value.go_syntax()
            case GoPointer():
                return f"({value.type_name})(nil)" if value.target is None else "&" + self._go_syntax(value.target)
            case GoList():
                return self._go_members(value.type_name, value.items)
            case GoMap():
                pairs = value.entries
                members: list[Value] | None = None if pairs is None else list(pairs.values())
                return self._go_members(value.type_name, members, [quoted(key) for key in pairs or ()])
            case GoStruct():
                return self._go_members(value.type_name, list(value.fields.values()), list(value.fields))
            case str():
                return quoted(value)
            case bool():
                return str(value).lower()
            case float():
                return shortest(value)
        return str(int(value)) if isinstance(value, int) else ""

    def _go_members(self, name: str, members: list[Value] | None, keys: list[str] | None = None) -> str:
        if members is None:
            return f"{name}(nil)"
        parts = [self._go_syntax(member) for member in members]
        if keys is not None:
            parts = [f"{key}:{part}" for key, part in zip(keys, parts, strict=True)]
        text = self._joined(parts, ", ")
        self._budget.spend_text(len(text))
        return f"{name}{{{text}}}"


class _Format:
    """One run of ``printf``."""

    def __init__(self, printer: Printer, template: str, values: list[Value]) -> None:
        self._printer = printer
        self._template = template
        self._values = values
        self._next = 0
        self._reordered = False

    def run(self) -> str:
        parts: list[str] = []
        size = position = 0
        for match in _DIRECTIVE.finditer(self._template):
            parts += (self._template[position : match.start()], self._directive(match))
            position = match.end()
            size += len(parts[-1])
            if size > TEXT_LIMIT:
                refuse_long_text()
        parts.append(self._template[position:])
        if not self._reordered and self._next < len(self._values):
            parts.append(self._extra())
        return "".join(parts)

    def _directive(self, match: re.Match[str]) -> str:
        flags, width_index, width, dot, precision_index, precision, index, verb = match.groups()
        if verb is None:
            return "%!(NOVERB)"
        if verb == "%":
            return "%"
        if width != "*" and index is None:
            index, width_index = width_index, None
        warning = ""
        columns, bad = self._count(width, width_index)
        if bad:
            warning += "%!(BADWIDTH)"
        if columns is not None and columns < 0:
            flags, columns = flags + "-", -columns
        digits, bad = self._count(precision, precision_index)
        if bad or (digits or 0) < 0:
            digits = None
            warning += "%!(BADPREC)"
        if dot and precision is None:
            digits = 0
        if not self._move_to(index):
            return f"{warning}%!{verb}(BADINDEX)"
        if self._next >= len(self._values):
            return f"{warning}%!{verb}(MISSING)"
        value = self._values[self._next]
        self._next += 1
        return warning + self._printer.value(value, Spec(verb, flags, columns, digits))

    def _count(self, written: str | None, index: str | None) -> tuple[int | None, bool]:
        """A width or precision, and whether it is unusable."""
        if written is None:
            return None, False
        if written != "*":
            count = int(written[:8])
        else:
            if not self._move_to(index) or self._next >= len(self._values):
                return None, True
            given = unboxed(self._values[self._next])
            self._next += 1
            if not isinstance(given, int) or isinstance(given, bool):
                return None, True
            count = int(given)
        if abs(count) > WIDTH_LIMIT:
            raise CallError(f"width or precision of more than {WIDTH_LIMIT}")
        return count, False

    def _move_to(self, index: str | None) -> bool:
        if index is None:
            return True
        self._reordered = True
        if not index or len(index) > 8 or not 1 <= int(index) <= len(self._values):
            return False
        self._next = int(index) - 1
        return True

    def _extra(self) -> str:
        shown = (
            "<nil>"
            if unboxed(value) is None
            else f"{type_name(unboxed(value))}={self._printer.value(value, _PLAIN)}"
            for value in self._values[self._next :]
        )
        return f"%!(EXTRA {', '.join(shown)})"


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


def _string_text(value: Value, text: str, spec: Spec, printer: Printer) -> str:
    if spec.verb not in "vsqxX":
        return printer.bad(value, spec)
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


def _integer_text(value: int, spec: Spec, printer: Printer) -> str:
    number = int(value)
    if spec.verb in "cqU":
        return _character_text(number, spec)
    if spec.verb not in _BASES:
        return printer.bad(value, spec)
    digits = format(abs(number), _BASES[spec.verb])
    sign = "-" if number < 0 else "+" if spec.has("+") else " " if spec.has(" ") else ""
    prefix = "0o" if spec.verb == "O" else _PREFIXES.get(spec.verb, "") if spec.has("#") else ""
    if spec.precision is not None:
        digits = digits.zfill(spec.precision)
    elif spec.has("0") and spec.width is not None and not spec.has("-"):
        digits = digits.zfill(spec.width - len(sign))
    return padded(sign + prefix + digits, replace(spec, flags=spec.flags.replace("0", "")))


def _character_text(number: int, spec: Spec) -> str:
    valid = 0 <= number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF
    if spec.verb == "U":
        return padded(f"U+{number:04X}", spec)
    char = chr(number) if valid else "\ufffd"
    if spec.verb == "c":
        return padded(char, spec)
    inner = {"'": "\\'", '"': '"'}.get(char) or quoted(char, ascii_only=spec.has("+"))[1:-1]
    return padded(f"'{inner}'", spec)


def _float_text(value: float, spec: Spec, printer: Printer) -> str:
    if spec.verb not in "vgGeEfF":
        return printer.bad(value, spec)
    verb = "g" if spec.verb == "v" else spec.verb
    if verb in "gG":
        text = shortest(abs(value)) if spec.precision is None else f"{abs(value):.{spec.precision or 1}g}"
        text = text.upper() if verb == "G" else text
    else:
        text = f"{abs(value):.{6 if spec.precision is None else min(spec.precision, 1000)}{verb}}"
    sign = "-" if value < 0 else "+" if spec.has("+") else " " if spec.has(" ") else ""
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
