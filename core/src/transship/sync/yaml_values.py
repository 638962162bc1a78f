"""What nodes of YAML mean where a mapping, list, text, number or truth is expected, as Go's decoder has it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from transship.errors import TransshipError, UnsupportedError
from transship.image.quoting import quoted
from transship.sync.yaml_nodes import Mapping, Node, Scalar, Sequence, YamlError

_VALUE_LIMIT = 200_000
_MERGE_DEPTH_LIMIT = 64
_TRUE, _FALSE = ("true", "yes", "y", "on"), ("false", "no", "n", "off")
_SHOWN = {Scalar: "a scalar", Sequence: "a list", Mapping: "a mapping"}


class YamlValues:
    """Reads nodes. A node that is None, and a null, are the empty value of what is expected.

    Everything raises ``YamlError`` for another type, and for more than 200,000 values, aliases followed.
    """

    def __init__(self) -> None:
        self._left = _VALUE_LIMIT

    def text(self, node: Node | None) -> str:
        """The text of a scalar as it stands there, also if it could be a number."""
        self._left -= 1
        if self._left < 0:
            raise YamlError(f"more than {_VALUE_LIMIT} values, aliases followed")
        if node is None or is_null(node):
            return ""
        if not isinstance(node, Scalar):
            raise wrong_type(node, "a string")
        return node.text

    def texts(self, node: Node | None) -> list[str]:
        """The texts in a list."""
        if node is None or is_null(node):
            return []
        if not isinstance(node, Sequence):
            raise wrong_type(node, "a list")
        return [self.text(item) for item in node.items]

    def text_or_texts(self, node: Node) -> tuple[str, ...]:
        """One text, or those in a list."""
        return (self.text(node),) if isinstance(node, Scalar) and not node.is_null else tuple(self.texts(node))

    def members(self, node: Node | None, depth: int = 0) -> dict[str, Node]:
        """The values of a mapping by their keys; what ``<<`` brings in gives way. No key may come twice."""
        if node is None or is_null(node):
            return {}
        if not isinstance(node, Mapping):
            raise wrong_type(node, "a mapping")
        if depth > _MERGE_DEPTH_LIMIT:
            raise YamlError(f"line {node.line}: nested too deeply")
        members: dict[str, Node] = {}
        merged: list[Node] = []
        for key, value in node.pairs:
            name = self.text(key)
            if name == "<<" and isinstance(key, Scalar) and key.is_plain:
                merged += value.items if isinstance(value, Sequence) else [value]
            elif name in members:
                raise YamlError(f"line {key.line}: mapping key {quoted(name)} already defined")
            else:
                members[name] = value
        for other in merged:
            members = self.members(other, depth + 1) | members
        return members

    def truth(self, node: Node | None) -> bool | None:
        """True or False, in the words of YAML 1.1."""
        if node is None or is_null(node):
            return None
        word = node.text.lower() if isinstance(node, Scalar) and node.is_plain else ""
        if word not in _TRUE + _FALSE:
            raise wrong_type(node, "true or false")
        return word in _TRUE

    def number(self, node: Node | None) -> int | None:
        """A number of at most 18 digits."""
        if node is None or is_null(node):
            return None
        text = node.text if isinstance(node, Scalar) and node.is_plain else ""
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise wrong_type(node, "a number")
        return int(text)


def is_null(node: Node) -> bool:
    """Whether a node says that there is nothing."""
    return isinstance(node, Scalar) and node.is_null


def wrong_type(node: Node, expected: str) -> YamlError:
    """The error for a node that is not what is ``expected``; texts are not shown, one may be a password."""
    return YamlError(f"line {node.line}: cannot unmarshal {_SHOWN[type(node)]} into {expected}")


@contextlib.contextmanager
def on_line_of(node: Node) -> Iterator[None]:
    """Errors of the block say the line of ``node``."""
    try:
        yield
    except (YamlError, UnsupportedError):
        raise
    except TransshipError as error:
        raise YamlError(f"line {node.line}: {error}") from None
