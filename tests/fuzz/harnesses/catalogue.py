"""Every target there is, but for families that import a plugin whose folder was deleted."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

from harnesses.target import Target

_NAMES = (
    "archives",
    "challenges",
    "configuration",
    "folders",
    "json_texts",
    "manifests",
    "pictures",
    "policies",
    "references",
    "signatures",
    "sync_documents",
    "templates",
)
_PLUGINS = Path(__file__).parents[3] / "plugins"


def _families() -> Iterator[ModuleType]:
    for name in _NAMES:
        try:
            yield import_module(f"harnesses.{name}")
        except ModuleNotFoundError as error:
            if not _was_deleted(error.name or ""):
                raise


def _was_deleted(package: str) -> bool:
    project, _, name = package.partition("_")
    return project == "transship" and not list(_PLUGINS.glob(f"*/{name.replace('_', '-')}"))


_FAMILIES = tuple(_families())
TARGETS: dict[str, Target] = {target.name: target for family in _FAMILIES for target in family.TARGETS}
assert len(TARGETS) == sum(len(family.TARGETS) for family in _FAMILIES)
