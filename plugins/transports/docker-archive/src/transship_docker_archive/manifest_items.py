"""``manifest.json`` of a docker archive: the images in it, their names and files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from transship.errors import InvalidManifestError, InvalidReferenceError, TransportError
from transship.image.reference import DockerReference
from transship.image.strict_json import load_json
from transship.plugin.suggestion import did_you_mean

MANIFEST_FILE = "manifest.json"
MANIFEST_LIMIT = 1 << 20


class ManifestItem(NamedTuple):
    """One image: the names that it has, its config's file and its layers' files, base first."""

    config: str
    repo_tags: tuple[str, ...]
    layers: tuple[str, ...]


def parse_items(data: bytes, where: str) -> tuple[ManifestItem, ...]:
    """Read ``manifest.json``; raise ``InvalidManifestError``, naming ``where``, for anything else."""
    items = load_json(data, where)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InvalidManifestError(f"{where}: expected a list of JSON objects")
    return tuple(
        ManifestItem(
            _text(item.get("Config", ""), where),
            _texts(item.get("RepoTags"), where),
            _texts(item.get("Layers"), where),
        )
        for item in items
    )


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise InvalidManifestError(f"{where}: expected a string, found {type(value).__name__}")
    return value


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidManifestError(f"{where}: expected a list of strings, found {type(value).__name__}")
    return tuple(_text(entry, where) for entry in value)


def choose_item(items: Sequence[ManifestItem], named: DockerReference | None, index: int | None) -> ManifestItem:
    """The image with a name, or at a place, or, if neither is said, the only one; raise ``TransportError``."""
    if named is not None:
        return _item_with_name(items, str(named))
    if index is not None:
        if index >= len(items):
            raise TransportError(f"Invalid source index @{index}, only {len(items)} manifest items available")
        return items[index]
    if len(items) != 1:
        raise TransportError(f"Unexpected tar {MANIFEST_FILE}: expected 1 item, got {len(items)}")
    return items[0]


def _item_with_name(items: Sequence[ManifestItem], name: str) -> ManifestItem:
    for number, item in enumerate(items):
        for repo_tag in item.repo_tags:
            if normalized_name(repo_tag, number) == name:
                return item
    known = [repo_tag for item in items for repo_tag in item.repo_tags]
    raise TransportError(f'Tag "{name}" not found{did_you_mean(name, known)}')


def normalized_name(repo_tag: str, number: int) -> str:
    """The full form of a stored name; raise ``InvalidManifestError`` for what is none."""
    try:
        return str(DockerReference.parse(repo_tag))
    except InvalidReferenceError as error:
        raise InvalidManifestError(
            f"Invalid tag {repo_tag[:140]!a} in {MANIFEST_FILE} item @{number}: {error}"
        ) from None
