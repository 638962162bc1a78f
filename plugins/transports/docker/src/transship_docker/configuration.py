"""Where configuration of registries lies on this machine, and how it is read."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

from transship.errors import TransportError
from transship.plugin.files import home_folder, read_settings

LIMIT = 1 << 20
"""No configuration file has more bytes."""

_DEEPEST = 50
_MOST_NODES = 50_000
_ODD_VALUES = (ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RecursionError)


def per_user(name: str) -> str:
    """The path of ``name`` among the user's own configuration."""
    return os.path.join(home_folder(), ".config", "containers", name)


def system_wide(name: str) -> str:
    """The path of ``name`` among the machine's configuration."""
    return os.path.join(system_folder(), "containers", name)


def system_folder() -> str:
    """``/etc``, or what stands for it."""
    return "/usr/local/etc" if sys.platform.startswith("freebsd") else "/etc"


def user_id() -> int:
    """The effective user; inside a user namespace of container tools, the one who entered it."""
    outside = os.environ.get("_CONTAINERS_ROOTLESS_UID", "")
    return int(outside) if outside.isascii() and outside.isdigit() and len(outside) < 12 else os.geteuid()


def read_file(path: str, *, is_named: bool = False) -> bytes:
    """The bytes of a file, which may be a pipe if the user named it.

    Raises ``OSError``, and ``TransportError`` for one that is too long, or no file.
    """
    return read_settings(path, LIMIT, is_named=is_named)


def is_gone(error: Exception, path: str) -> bool:
    """Whether ``error`` says that nothing has the name ``path``. A link to nowhere has: what it meant is not known."""
    return isinstance(error, FileNotFoundError) and not os.path.lexists(path)


def reason(error: OSError) -> str:
    """What went wrong, with the path that it went wrong with."""
    text = (error.strerror or str(error)).lower()
    return f"open {error.filename}: {text}" if error.filename else text


def parse_yaml(data: bytes, path: str) -> Any:
    """One YAML document of plain values. Raises ``TransportError`` for anything odd, however it is meant."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Bounds the depth and, aliases followed, the number of values; refuses duplicate keys."""

        depth = 0
        nodes = 0

        def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
            is_alias: bool = self.check_event(yaml.AliasEvent)
            self.depth += 1
            before = self.nodes
            node: yaml.Node | None = super().compose_node(parent, index)
            self.depth -= 1
            if is_alias and id(node) not in weights:
                refuse("an alias refers to what it is part of")
            self.nodes += weights[id(node)] if is_alias else 1
            weights.setdefault(id(node), self.nodes - before)
            if self.nodes > _MOST_NODES:
                refuse(f"more than {_MOST_NODES} values")
            return node

        def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
            self._require_shallow()
            return super().compose_mapping_node(anchor)

        def compose_sequence_node(self, anchor: Any) -> yaml.SequenceNode:
            self._require_shallow()
            return super().compose_sequence_node(anchor)

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
            if len(set(keys)) != len(keys):
                refuse(f"duplicate key at line {node.start_mark.line + 1}")
            return super().construct_mapping(node, deep)

        def _require_shallow(self) -> None:
            if self.depth > _DEEPEST:
                refuse(f"nested more than {_DEEPEST} deep")

    weights: dict[int, int] = {}

    def refuse(what: str) -> NoReturn:
        raise TransportError(f"parsing {path}: {what}")

    try:
        return yaml.load(data, Loader)  # noqa: S506 - a SafeLoader with bounds
    except (
        yaml.YAMLError,
        ValueError,
        ArithmeticError,
        LookupError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        refuse(" ".join(str(error).split())[:300])
