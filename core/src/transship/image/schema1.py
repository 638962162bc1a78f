"""Docker image manifests of schema 1: one document that is manifest, config and history at once.

Its entries are stored top first; here they are base first, as everywhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from transship.errors import InvalidDigestError, InvalidManifestError
from transship.image.descriptor import text_member
from transship.image.digest import Digest
from transship.image.quoting import quoted
from transship.image.records import Member, boolean, record, text, text_or_texts, time
from transship.image.schema1_signature import schema1_payload, signed
from transship.image.strict_json import dump_json, load_json_object

EMPTY_LAYER = bytes.fromhex("1f8b080000096e8800ff621805a360148c5800080000ffff2eafb5ef00040000")
"""The gzipped empty archive that schema 1 puts in the place of a layer that changes no file."""

EMPTY_LAYER_DIGEST = Digest("sha256", "a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4")

_WHAT = "schema 1 manifest"
_LAYER_LIMIT = 10_000
_IMAGE_ID = r"[a-f0-9]{64}"
_KNOWN = ("name", "tag", "architecture", "fsLayers", "history", "schemaVersion")

V1_ENTRY = record(
    Member("id", text, keep_empty=True),
    Member("parent", text),
    Member("comment", text),
    Member("created", time, keep_empty=True),
    Member("container_config", record(Member("Cmd", text_or_texts, keep_empty=True)), keep_empty=True),
    Member("author", text),
    Member("throwaway", boolean),
)
"""What every entry says about its layer."""


class Schema1Entry(NamedTuple):
    """One layer and what it says about itself.

    ``v1_compatibility`` is JSON; the rest is read from it. ``throwaway``: the layer changes no file.
    """

    blob: Digest
    v1_compatibility: str
    identifier: str
    parent: str = ""
    throwaway: bool = False


class Schema1Document(NamedTuple):
    """What a schema 1 manifest says. ``entries`` are base first; ``unknown`` are members nobody knows."""

    name: str
    tag: str
    architecture: str
    entries: tuple[Schema1Entry, ...]
    unknown: Mapping[str, Any] = {}

    @property
    def embedded_config(self) -> bytes:
        """The image's config as it stands in the top entry, with members that only schema 1 has."""
        return self.entries[-1].v1_compatibility.encode()

    def schema2_config(self, diff_ids: Sequence[str]) -> bytes:
        """The config of the same image in schema 2; ``diff_ids`` are of the layers that are no throwaway."""
        from transship.image.schema1_conversion import schema2_config

        return schema2_config(self, diff_ids)

    def with_blobs(self, blobs: Sequence[Digest]) -> Schema1Document:
        """The same with other layers, base first."""
        entries = (entry._replace(blob=blob) for entry, blob in zip(self.entries, blobs, strict=True))
        return self._replace(entries=tuple(entries))

    def signed(self) -> bytes:
        """The manifest, signed with a key that is thrown away."""
        return signed(self.payload())

    def payload(self) -> bytes:
        """The manifest without signature: what its digest is made of."""
        top_first = self.entries[::-1]
        return dump_json(
            {
                "name": self.name,
                "tag": self.tag,
                "architecture": self.architecture,
                "fsLayers": [{"blobSum": str(entry.blob)} for entry in top_first],
                "history": [{"v1Compatibility": entry.v1_compatibility} for entry in top_first],
                "schemaVersion": 1,
                **self.unknown,
            }
        )


def parse_schema1(data: bytes) -> Schema1Document:
    """Read a schema 1 manifest, signed or not; signatures are not verified.

    Of repeated entries only the lowest is kept. Raises ``InvalidManifestError``.
    """
    document = load_json_object(data, _WHAT)
    if document.get("signatures") is not None:
        document = load_json_object(schema1_payload(data), _WHAT)
    version = document.get("schemaVersion")
    if version != 1 or isinstance(version, bool | float):
        shown = str(version)[:40] if isinstance(version, int) else "that is no integer"
        raise InvalidManifestError(f"unsupported schema version {shown}")
    entries = _entries(document)
    _validate_ancestry(entries)
    return Schema1Document(
        name=text_member(document.get("name"), f"{_WHAT}.name"),
        tag=text_member(document.get("tag"), f"{_WHAT}.tag"),
        architecture=text_member(document.get("architecture"), f"{_WHAT}.architecture"),
        entries=_without_repetitions(entries),
        unknown={name: value for name, value in document.items() if name not in (*_KNOWN, "signatures")},
    )


def v1_entry(v1_compatibility: str) -> dict[str, Any]:
    """What an entry says about its layer; raises ``InvalidManifestError``."""
    where = f"{_WHAT} history entry"
    entry: dict[str, Any] = V1_ENTRY(load_json_object(v1_compatibility.encode(), where), where)
    return entry


def _entries(document: Mapping[str, Any]) -> tuple[Schema1Entry, ...]:
    layers = _objects(document.get("fsLayers"), "fsLayers")
    history = _objects(document.get("history"), "history")
    if len(layers) != len(history):
        raise InvalidManifestError("length of history not equal to number of layers")
    if not layers:
        raise InvalidManifestError("no FSLayers in manifest")
    return tuple(map(_entry, reversed(layers), reversed(history)))


def _objects(value: Any, name: str) -> list[dict[str, Any]]:
    items = [] if value is None else value
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InvalidManifestError(f"{_WHAT}.{name}: expected an array of objects")
    if len(items) > _LAYER_LIMIT:
        raise InvalidManifestError(f"{_WHAT}.{name}: more than {_LAYER_LIMIT} entries")
    return items


def _entry(layer: Mapping[str, Any], history: Mapping[str, Any]) -> Schema1Entry:
    v1_compatibility = text_member(history.get("v1Compatibility"), f"{_WHAT}.history.v1Compatibility")
    said = v1_entry(v1_compatibility)
    try:
        blob = Digest.parse(text_member(layer.get("blobSum"), f"{_WHAT}.fsLayers.blobSum"))
    except InvalidDigestError as error:
        raise InvalidManifestError(f"{_WHAT}.fsLayers.blobSum: {error}") from None
    return Schema1Entry(
        blob,
        v1_compatibility,
        identifier=said["id"],
        parent=said.get("parent", ""),
        throwaway=said.get("throwaway", False),
    )


def _validate_ancestry(entries: Sequence[Schema1Entry]) -> None:
    for entry in entries:
        if not re.fullmatch(_IMAGE_ID, entry.identifier):
            raise InvalidManifestError(f"image ID {quoted(entry.identifier)} is invalid")
    if entries[0].parent:
        raise InvalidManifestError("Invalid parent ID in the base layer of the image")
    seen = {entries[0].identifier}
    for lower, upper in pairwise(entries):
        if upper.identifier == lower.identifier:
            continue
        if upper.identifier in seen:
            raise InvalidManifestError(f"ID {upper.identifier} appears multiple times in manifest")
        if upper.parent != lower.identifier:
            raise InvalidManifestError(f"Invalid parent ID. Expected {lower.identifier}, got {quoted(upper.parent)}")
        seen.add(upper.identifier)


def _without_repetitions(entries: Sequence[Schema1Entry]) -> tuple[Schema1Entry, ...]:
    uppers = (upper for lower, upper in pairwise(entries) if upper.identifier != lower.identifier)
    return (entries[0], *uppers)
