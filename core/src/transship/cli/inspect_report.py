"""What ``inspect`` prints: its values, their JSON, and templates with Skopeo's rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from transship.cli.gotemplate.encoding import encode
from transship.cli.gotemplate.errors import Budget, TemplateError
from transship.cli.gotemplate.gotime import GoTime
from transship.cli.gotemplate.values import Boxed, GoInt, GoList, GoMap, GoPointer, GoStruct, GoTyped, Value, clean_text
from transship.errors import InvalidManifestError

if TYPE_CHECKING:
    from transship.cli.gotemplate.parser import ParsedTemplate


_INDENT = 4
_JSON = re.compile(r"\s*(?:json|\{\{\s*json\.?\s*\}\})\s*")
_RANGE = re.compile(r"\{\{\s*range\s*\.\s*\}\}")
_END = re.compile(r"\{\{\s*end(?:\s*-)?\s*\}\}")
_ESCAPES = {"\\t": "\t", "\\n": "\n"}
_TABLE = "table "
_TABLE_ESCAPES = {**_ESCAPES, _TABLE: "", " ": "\t"}
_T = TypeVar("_T")


def summary_value(summary: Mapping[str, Any]) -> GoStruct:
    """The summary as a value; ``summary`` has the keys of its JSON form, ``Created`` as RFC 3339 text or ``None``.

    Missing keys count as empty. Raises ``InvalidManifestError`` for values of other types than those.
    """
    read = _Reader(summary, "image summary")
    return GoStruct(
        "inspect.Output",
        {
            "Name": read.text("Name"),
            "Tag": read.text("Tag"),
            "Digest": read.digest("Digest"),
            "RepoTags": read.texts("RepoTags"),
            "Created": read.time("Created"),
            "DockerVersion": read.text("DockerVersion"),
            "Labels": read.labels("Labels"),
            "Architecture": read.text("Architecture"),
            "Os": read.text("Os"),
            "Layers": read.texts("Layers"),
            "LayersData": read.records("LayersData", "types.ImageInspectLayer", _layer),
            "Env": read.texts("Env"),
        },
        json={"Name": "Name,omitempty", "Tag": "Tag,omitempty"},
    )


def config_value(config_json: Mapping[str, Any]) -> GoStruct:
    """An OCI image config as a value; members that OCI does not define are dropped.

    Raises ``InvalidManifestError`` for members of wrong types.
    """
    read = _Reader(config_json, "image config")
    return GoStruct(
        "v1.Image",
        {
            "Created": read.time("created"),
            "Author": read.text("author"),
            "Platform": _platform(read),
            "Config": _container(read.inner("config")),
            "RootFS": _rootfs(read.inner("rootfs")),
            "History": read.records("history", "v1.History", _history),
        },
        json={
            "Created": "created,omitempty",
            "Author": "author,omitempty",
            "Config": "config",
            "RootFS": "rootfs",
            "History": "history,omitempty",
        },
        embedded=frozenset({"Platform"}),
    )


def to_json(value: Value, indent: int | None = None) -> str:
    """``value`` as JSON, as Go's encoder writes it, without a newline at the end."""
    return encode(value, indent)


def render(template: str, value: GoStruct, program: str = "transship") -> str:
    """What ``--format TEMPLATE`` prints, newline included; ``program`` is whom errors name.

    Raises ``TemplateError`` for a template that does not parse, does not fit ``value`` or asks for too much.
    """
    template = clean_text(template)
    if not template or _JSON.fullmatch(template):
        return to_json(value, _INDENT) + "\n"
    from transship.cli.gotemplate.columns import align
    from transship.cli.gotemplate.evaluator import execute

    data = GoList("interface {}", [Boxed(_as_skopeo_passes(value))])
    budget = Budget()
    output = execute(_parse(template, f"{program} inspect"), data, budget)
    return align(output, budget) if template.startswith(_TABLE) else output


def _as_skopeo_passes(value: GoStruct) -> Value:
    return GoPointer(value.type_name, value) if value.type_name == "v1.Image" else value


def _parse(template: str, program: str) -> ParsedTemplate:
    from transship.cli.gotemplate.engine import parse

    is_table = template.startswith(_TABLE)
    written = _replaced(template, _TABLE_ESCAPES if is_table else _ESCAPES)
    wrapped = _wrapped(written if written.endswith("\n") else written + "\n", always=is_table)
    try:
        return parse(program, wrapped)
    except TemplateError:
        if written == template:
            raise
        # A literal such as "\n" breaks when its escape is replaced, and is right as it stands.
        return parse(program, _wrapped(template.removeprefix(_TABLE), always=is_table))


def _replaced(text: str, replacements: Mapping[str, str]) -> str:
    return re.sub("|".join(map(re.escape, replacements)), lambda match: replacements[match[0]], text)


def _wrapped(text: str, *, always: bool) -> str:
    begin = None if always else _RANGE.search(text)
    if begin and _END.search(text, begin.end()):
        return text
    return f"{{{{range .}}}}{text}{{{{end -}}}}"


class _Reader:
    """Reads members of parsed JSON; absent and null members are empty."""

    def __init__(self, members: Mapping[str, Any], what: str) -> None:
        self._members = members
        self._what = what

    def _member(self, name: str, kind: type[_T] | tuple[type[_T], ...], expected: str) -> _T | None:
        value = self._members.get(name)
        if value is None:
            return None
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            found = type(value).__name__
            raise InvalidManifestError(f"{self._what}: {name}: expected {expected}, found {found}")
        return value

    def text(self, name: str) -> str:
        return clean_text(self._member(name, str, "a string") or "")

    def digest(self, name: str) -> GoTyped:
        return GoTyped("digest.Digest", self.text(name))

    def flag(self, name: str) -> bool:
        return self._member(name, bool, "true or false") or False

    def number(self, name: str) -> GoInt:
        number = self._member(name, int, "an integer") or 0
        if not -(1 << 63) <= number < 1 << 63:
            raise InvalidManifestError(f"{self._what}: {name}: number out of range")
        return GoInt("int64", number)

    def time(self, name: str) -> GoPointer:
        text = self._member(name, str, "a string")
        try:
            return GoPointer("time.Time", None if text is None else GoTime.parse(text))
        except ValueError as error:
            raise InvalidManifestError(f"{self._what}: {name}: {error}") from None

    def texts(self, name: str, element: str = "string") -> GoList:
        items = self._member(name, (list, tuple), "an array")
        if items is None:
            return GoList(element, None)
        texts = [_Reader({name: item}, self._what).text(name) for item in items]
        typed = texts if element == "string" else [GoTyped(element, text) for text in texts]
        return GoList(element, list(typed))

    def labels(self, name: str) -> GoMap:
        entries = self._member(name, Mapping, "an object")
        if entries is None:
            return GoMap("string", None)
        inner = _Reader(entries, f"{self._what}: {name}")
        return GoMap("string", {clean_text(key): inner.text(key) for key in entries})

    def names(self, name: str) -> GoMap:
        """A set, written as an object of empty objects."""
        nothing = GoStruct("struct {}", {})
        entries = self._member(name, Mapping, "an object")
        if entries is None:
            return GoMap("struct {}", None, nothing)
        return GoMap("struct {}", dict.fromkeys(map(clean_text, entries), nothing), nothing)

    def inner(self, name: str) -> _Reader:
        members = self._member(name, Mapping, "an object")
        return _Reader(members or {}, f"{self._what}: {name}")

    def records(self, name: str, element: str, read: Callable[[_Reader], GoStruct]) -> GoList:
        items = self._member(name, (list, tuple), "an array")
        if items is None:
            return GoList(element, None)
        return GoList(element, [read(_Reader({name: item}, self._what).inner(name)) for item in items])


def _layer(read: _Reader) -> GoStruct:
    return GoStruct(
        "types.ImageInspectLayer",
        {
            "MIMEType": read.text("MIMEType"),
            "Digest": read.digest("Digest"),
            "Size": read.number("Size"),
            "Annotations": read.labels("Annotations"),
        },
    )


def _platform(read: _Reader) -> GoStruct:
    return GoStruct(
        "v1.Platform",
        {
            "Architecture": read.text("architecture"),
            "OS": read.text("os"),
            "OSVersion": read.text("os.version"),
            "OSFeatures": read.texts("os.features"),
            "Variant": read.text("variant"),
        },
        json={
            "Architecture": "architecture",
            "OS": "os",
            "OSVersion": "os.version,omitempty",
            "OSFeatures": "os.features,omitempty",
            "Variant": "variant,omitempty",
        },
    )


def _container(read: _Reader) -> GoStruct:
    fields: dict[str, Value] = {
        "User": read.text("User"),
        "ExposedPorts": read.names("ExposedPorts"),
        "Env": read.texts("Env"),
        "Entrypoint": read.texts("Entrypoint"),
        "Cmd": read.texts("Cmd"),
        "Volumes": read.names("Volumes"),
        "WorkingDir": read.text("WorkingDir"),
        "Labels": read.labels("Labels"),
        "StopSignal": read.text("StopSignal"),
        "ArgsEscaped": read.flag("ArgsEscaped"),
    }
    return GoStruct("v1.ImageConfig", fields, json={name: f"{name},omitempty" for name in fields})


def _rootfs(read: _Reader) -> GoStruct:
    return GoStruct(
        "v1.RootFS",
        {"Type": read.text("type"), "DiffIDs": read.texts("diff_ids", "digest.Digest")},
        json={"Type": "type", "DiffIDs": "diff_ids"},
    )


def _history(read: _Reader) -> GoStruct:
    return GoStruct(
        "v1.History",
        {
            "Created": read.time("created"),
            "CreatedBy": read.text("created_by"),
            "Author": read.text("author"),
            "Comment": read.text("comment"),
            "EmptyLayer": read.flag("empty_layer"),
        },
        json={
            "Created": "created,omitempty",
            "CreatedBy": "created_by,omitempty",
            "Author": "author,omitempty",
            "Comment": "comment,omitempty",
            "EmptyLayer": "empty_layer,omitempty",
        },
    )
