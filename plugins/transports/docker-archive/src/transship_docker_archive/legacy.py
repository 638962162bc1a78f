"""What readers of docker archives from before ``manifest.json`` look for: a folder per layer, and ``repositories``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from transship.image.digest import Digest, digest_of
from transship.image.reference import DockerReference
from transship.image.strict_json import RawJson, dump_json, dump_raw_members, raw_json, raw_members

REPOSITORIES_FILE = "repositories"

_COPIED_FROM_CONFIG = (
    "architecture",
    "config",
    "container",
    "container_config",
    "created",
    "docker_version",
    "os",
)


class LegacyLayer(NamedTuple):
    """The folder of a layer: its name, which content it stands for, and the text of its file ``json``."""

    id: str
    diff_id: Digest
    json: bytes


def legacy_layers(diff_ids: Sequence[Digest], config: bytes) -> list[LegacyLayer]:
    """The folders of all layers, base first; the last one describes the image.

    An ID is the digest of the layer's ``json`` with the chain ID in place of the ID itself.
    """
    layers: list[LegacyLayer] = []
    chain_id = ""
    for diff_id in diff_ids:
        members: dict[str, RawJson] = {}
        if layers:
            members["parent"] = raw_json(layers[-1].id)
        if len(layers) == len(diff_ids) - 1:
            described = raw_members(config, "image config")
            members |= {name: described.get(name, raw_json(None)) for name in _COPIED_FROM_CONFIG}
        chain_id = str(digest_of(f"{chain_id} {diff_id}".encode()) if chain_id else diff_id)
        identifier = digest_of(dump_raw_members({**members, "layer_id": raw_json(chain_id)})).encoded
        layers.append(LegacyLayer(identifier, diff_id, dump_raw_members({**members, "id": raw_json(identifier)})))
    return layers


def repositories(
    names: Iterable[DockerReference], top_layer: str, earlier: Mapping[str, Mapping[str, Any]] | None = None
) -> bytes:
    """The file ``repositories``: which layer is on top of the image that a name stands for.

    ``top_layer`` is ``""`` for an image without layers. ``earlier`` is what the file said before.
    """
    tags: dict[str, dict[str, Any]] = {name: dict(entry) for name, entry in (earlier or {}).items()}
    for named in names:
        if top_layer:
            tags.setdefault(named.name, {})[named.tag] = top_layer
        else:
            tags.get(named.name, {}).pop(named.tag, None)
    return dump_json({name: dict(sorted(tags[name].items())) for name in sorted(tags) if tags[name]})
