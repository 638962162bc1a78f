"""What is said of the images of a source, on the command line or in a file."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as ReadOnly
from dataclasses import dataclass, fields, replace
from typing import Any, cast

from transship.image.platform import Platform
from transship.image.quoting import quoted
from transship.sync.naming import NameTemplate
from transship.sync.selection import NewestBy, TagSelection
from transship.sync.yaml_nodes import Node, YamlError
from transship.sync.yaml_values import YamlValues, on_line_of


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Settings of a source; None where nothing is said.

    The first five are those of ``TagSelection``; ``dest_name`` is the text of a ``NameTemplate``.
    """

    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None
    semver: str | None = None
    newest: int | None = None
    newest_by: NewestBy | None = None
    platforms: tuple[Platform, ...] | None = None
    referrers: bool | None = None
    dest_name: str | None = None
    append_suffix: str | None = None
    scoped: bool | None = None

    def over(self, wider: SourceSettings) -> SourceSettings:
        """These, and what they do not say as ``wider`` says it."""
        said = {one.name: value for one in fields(self) if (value := getattr(self, one.name)) is not None}
        return replace(wider, **said)

    @property
    def selection(self) -> TagSelection:
        """Which tags are wanted; raises ``TransshipError`` if that makes no sense."""
        return TagSelection(
            self.include or (), self.exclude or (), self.semver or "", self.newest, self.newest_by or "version"
        )


@dataclass(frozen=True, slots=True)
class OwnSettings:
    """What a file says of a registry, and of some of its repositories by their names."""

    registry: SourceSettings
    repositories: ReadOnly[str, SourceSettings]

    def of(self, repository: str) -> SourceSettings:
        """The settings of a repository over those of the registry."""
        return self.repositories.get(repository, SourceSettings()).over(self.registry)


def read_own_settings(node: Node | None, values: YamlValues) -> OwnSettings:
    """Read what stands below our own key; raise ``YamlError`` for anything that is not known."""
    members = values.members(node)
    repositories = values.members(members.pop("repositories", None))
    return OwnSettings(
        _settings(members, values),
        {name: _settings(values.members(settings), values) for name, settings in repositories.items()},
    )


def _settings(members: ReadOnly[str, Node], values: YamlValues) -> SourceSettings:
    said: dict[str, Any] = {}
    for key, node in members.items():
        if key not in _READERS:
            raise YamlError(f"line {node.line}: {quoted(key)} is not one of {', '.join(_READERS)}")
        name, read = _READERS[key]
        with on_line_of(node):
            said[name] = read(values, node)
            SourceSettings(**{name: said[name]}).selection  # noqa: B018 - raises for what makes no sense
    return SourceSettings(**said)


def _platforms(values: YamlValues, node: Node) -> tuple[Platform, ...]:
    return tuple(map(Platform.parse, values.text_or_texts(node)))


def _newest_by(values: YamlValues, node: Node) -> NewestBy | None:
    return cast("NewestBy | None", values.text(node) or None)


def _dest_name(values: YamlValues, node: Node) -> str:
    return NameTemplate(values.text(node)).text


_READERS: ReadOnly[str, tuple[str, Callable[[YamlValues, Node], Any]]] = {
    "include-tag": ("include", YamlValues.text_or_texts),
    "exclude-tag": ("exclude", YamlValues.text_or_texts),
    "semver": ("semver", YamlValues.text),
    "newest": ("newest", YamlValues.number),
    "newest-by": ("newest_by", _newest_by),
    "platform": ("platforms", _platforms),
    "referrers": ("referrers", YamlValues.truth),
    "dest-name": ("dest_name", _dest_name),
    "append-suffix": ("append_suffix", YamlValues.text),
    "scoped": ("scoped", YamlValues.truth),
}

SETTINGS = tuple(_READERS)
"""The keys of settings in a file."""
