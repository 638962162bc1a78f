"""YAML from strangers, bounded: read into nodes that keep the text of scalars and know their lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from transship.errors import TransshipError, UnsupportedError

if TYPE_CHECKING:
    import yaml

DOCUMENT_LIMIT = 4 << 20
"""A document has at most this many bytes."""

_DEPTH_LIMIT = 64


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text; ``is_plain`` if it stands there without quotes and tag, so that it may mean something else."""

    line: int
    text: str
    is_plain: bool

    @property
    def is_null(self) -> bool:
        """Whether it says that there is nothing."""
        return self.is_plain and self.text in ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    line: int
    items: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Mapping:
    """A mapping; its keys are not checked."""

    line: int
    pairs: list[tuple[Node, Node]] = field(default_factory=list)


Node = Scalar | Sequence | Mapping


class YamlError(TransshipError):
    """A document is no YAML, or does not say what it should; begins with the line."""


@dataclass(slots=True)
class Document:
    """What was read: the first document, None if it is empty; ``has_more`` if others follow it."""

    root: Node | None = None
    has_more: bool = False


def read_yaml(data: bytes) -> Document:
    """Read YAML; raise ``YamlError`` for what is none, is too large or too deep, or has aliases that lead nowhere."""
    if len(data) > DOCUMENT_LIMIT:
        raise YamlError(f"exceeded maximum allowed size of {DOCUMENT_LIMIT} bytes")
    yaml = _yaml()
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _document(yaml.parse(data, loader), yaml)
    except yaml.YAMLError as error:
        raise YamlError(_one_line(error)) from None
    except ValueError as error:  # text that no character stands for
        raise YamlError(f"yaml: {error}") from None


def _yaml() -> Any:
    try:
        import yaml
    except ImportError:
        raise UnsupportedError("YAML needs PyYAML, which is not installed: pip install transship-core[sync]") from None
    return yaml


def _one_line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    reason = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error).splitlines()[0]
    return f"yaml: line {mark.line + 1}: {reason}" if mark else f"yaml: {reason}"


def _document(events: Iterator[yaml.Event], yaml: Any) -> Document:
    document = Document()
    builder = _Builder()
    for event in events:
        if isinstance(event, yaml.DocumentEndEvent):
            document.root = builder.root
            break
        builder.add(event, yaml)
    document.has_more = isinstance(next(events, None), yaml.DocumentStartEvent)
    return document


class _Builder:
    """Builds nodes from events without recursion; an anchor is known when what it names is complete."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self._open: list[tuple[Sequence | Mapping, str | None]] = []
        self._keys: list[Node | None] = []
        self._anchors: dict[str, Node] = {}

    def add(self, event: Any, yaml: Any) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.ScalarEvent):
            self._put(Scalar(line, event.value, event.implicit[0]), event.anchor)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise YamlError(f"yaml: line {line}: alias is not known here, or contains itself")
            self._put(self._anchors[event.anchor], None)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._enter(Sequence(line), event.anchor)
        elif isinstance(event, yaml.MappingStartEvent):
            self._enter(Mapping(line), event.anchor)
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            self._keys.pop()
            self._put(*self._open.pop())

    def _enter(self, node: Sequence | Mapping, anchor: str | None) -> None:
        if len(self._open) >= _DEPTH_LIMIT:
            raise YamlError(f"yaml: line {node.line}: nested too deeply")
        self._open.append((node, anchor))
        self._keys.append(None)

    def _put(self, node: Node, anchor: str | None) -> None:
        if anchor:
            self._anchors[anchor] = node
        if not self._open:
            self.root = node
            return
        parent = self._open[-1][0]
        if isinstance(parent, Sequence):
            parent.items.append(node)
        elif (key := self._keys[-1]) is None:
            self._keys[-1] = node
        else:
            parent.pairs.append((key, node))
            self._keys[-1] = None
