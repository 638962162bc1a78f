"""Which plugins are declared: the entry points of transship's groups that installed distributions have.

``importlib_metadata`` knows, but importing it takes an eighth of the time of a short command. So the files that it
would find in plain folders are read here, under its rules; where anything else is on ``sys.path``, it is asked.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import importlib_metadata

_GROUPS = "transship."
_METADATA_FOLDERS = (".dist-info", ".egg-info")
_METADATA_FILES = ("METADATA", "PKG-INFO")
_KNOWN_FINDERS = ("_frozen_importlib", "_frozen_importlib_external", "importlib_metadata")


class Declaration(NamedTuple):
    """One plugin as its distribution declares it. ``value`` is ``module`` or ``module:attribute``."""

    kind: str
    name: str
    value: str
    origin: str | importlib_metadata.IDistribution
    """The folder of its distribution's metadata, or what knows them."""

    @property
    def distribution(self) -> str:
        """The name of the distribution. Reading metadata is costly."""
        return self._metadata("name") or self.value

    @property
    def version(self) -> str:
        """The version of the distribution, ``""`` if it cannot be had. Reading metadata is costly."""
        return self._metadata("version")

    def load(self) -> Any:
        """Import what the value names; whatever the module raises passes through."""
        module, _, attributes = "".join(self.value.partition("[")[0].split()).partition(":")
        return reduce(getattr, filter(None, attributes.split(".")), importlib.import_module(module))

    def _metadata(self, field: str) -> str:
        import importlib_metadata

        at = importlib_metadata.Distribution.at
        return _metadata(at(self.origin) if isinstance(self.origin, str) else self.origin, field)


def declarations() -> Iterator[Declaration]:
    """Every plugin that is declared. One that is found twice on the path with the same module counts once."""
    seen = set()
    for origin, text in _in_folders() if _has_only_folders() else _anywhere():
        for declared in _entry_points(text):
            if declared not in seen:
                seen.add(declared)
                yield Declaration(*declared, origin)


def _has_only_folders() -> bool:
    """Whether distributions can only be in folders on the path: no archives, no eggs, no finders of other kinds."""
    return all(
        not hasattr(finder, "find_distributions") or getattr(finder, "__module__", "") in _KNOWN_FINDERS
        for finder in sys.meta_path
    ) and not any(entry.lower().endswith(".egg") or os.path.isfile(entry) for entry in _path())


def _path() -> list[str]:
    """Where distributions may be. Some programs put there what is no text."""
    return list(dict.fromkeys(os.fsdecode(entry) for entry in sys.path if isinstance(entry, (str, os.PathLike))))


def _in_folders() -> Iterator[tuple[str, str]]:
    """The metadata folder of each distribution, and the text that declares its entry points."""
    for folder in _metadata_folders():
        yield folder, _text(os.path.join(folder, "entry_points.txt"))


def _metadata_folders() -> Iterator[str]:
    """The one of each distribution: what is imported is the first on the path, and says so, not a remnant."""
    found: dict[str, list[str]] = {}
    for path in _path():
        try:
            names = os.listdir(path or ".")
        except OSError:
            continue
        for name in names:
            if name.lower().endswith(_METADATA_FOLDERS):
                folder = os.path.join(path, name)
                found.setdefault(_named_by(folder), []).append(folder)
    for folders in found.values():
        yield folders[0] if len(folders) == 1 else next(filter(_is_whole, folders), folders[0])


def _normalized(name: str) -> str:
    """A distribution's name in its one spelling (packaging.python.org, names and normalization)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _named_by(folder: str) -> str:
    """The name of the distribution whose metadata are in ``folder``."""
    return _normalized(os.path.basename(folder).rpartition(".")[0].partition("-")[0])


def _is_whole(folder: str) -> bool:
    return any(os.path.exists(os.path.join(folder, name)) for name in _METADATA_FILES) or os.path.isfile(folder)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:  # most distributions have none, and an egg-info may be a file
        return ""


def _entry_points(text: str) -> Iterator[tuple[str, str, str]]:
    """The kind, name and value of each entry point of ours (packaging.python.org, entry points, file format)."""
    if f"[{_GROUPS}" not in text:
        return
    group = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line.strip("[]")
        elif group.startswith(_GROUPS) and line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield group.removeprefix(_GROUPS), name.strip(), value.strip()


def _anywhere() -> Iterator[tuple[importlib_metadata.IDistribution, str]]:
    """The same, wherever distributions may be."""
    import importlib_metadata

    named, remnants = [], []
    for distribution in importlib_metadata.distributions():
        if name := _metadata(distribution, "name"):
            named.append((_normalized(name), distribution))
        else:
            folder = str(getattr(distribution, "_path", "")).rstrip("/")
            remnants.append((_named_by(folder), distribution))
    seen = set()
    for name, distribution in named + remnants:
        if name in seen:
            continue
        if name:
            seen.add(name)
        yield distribution, distribution.read_text("entry_points.txt") or ""


def _metadata(distribution: importlib_metadata.IDistribution, field: str) -> str:
    try:
        return str(getattr(distribution, field) or "")
    except (OSError, KeyError):  # there are none, or they do not say: half of a distribution is left
        return ""
