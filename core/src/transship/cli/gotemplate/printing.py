"""Values to text, as Go's ``fmt`` package writes them."""

from __future__ import annotations

from transship.cli.gotemplate.errors import TEXT_LIMIT, Budget, refuse_long_text
from transship.cli.gotemplate.gotime import GoTime
from transship.cli.gotemplate.scalars import (
    PLAIN,
    Spec,
    float_text,
    integer_text,
    padded,
    quoted,
    shortest,
    string_text,
)
from transship.cli.gotemplate.values import (
    GoInt,
    GoList,
    GoMap,
    GoPointer,
    GoStruct,
    NoValue,
    Value,
    type_name,
    unboxed,
)


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
            parts.append(self.value(value, PLAIN))
        return self._joined(parts, "")

    def println(self, values: list[Value]) -> str:
        """``fmt.Sprintln``: spaces between all operands."""
        return self._joined([self.value(value, PLAIN) for value in values], " ") + "\n"

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
        text = _scalar(value, spec)
        return f"%!{spec.verb}({type_name(value)}={_scalar(value, PLAIN)})" if text is None else text

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
        key_spec = spec if isinstance(value, GoMap) else PLAIN
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


def _scalar(value: Value, spec: Spec) -> str | None:
    """A value without parts; ``None`` if the verb is not for it."""
    match value:
        case GoTime():
            return string_text(str(value), spec)
        case GoInt() if value.text and spec.verb in "vsxXq":
            return string_text(value.text, spec)
        case bool():
            return padded(str(value).lower(), spec) if spec.verb in "vt" else None
        case int():
            return integer_text(value, spec)
        case float():
            return float_text(value, spec)
        case str():
            return string_text(value, spec)
    return None
