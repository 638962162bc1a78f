"""Docker image manifests of schema 1: one document that is manifest, config and history at once.

Its entries are stored top first; here they are base first, as everywhere else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from transship.errors import InvalidDigestError, InvalidManifestError, UnsupportedError
from transship.image.descriptor import text_member
from transship.image.digest import Digest
from transship.image.media_types import DOCKER_SCHEMA1_SIGNED
from transship.image.records import (
    ZERO_TIME,
    Member,
    boolean,
    empty_object,
    integer,
    mapping,
    optional,
    record,
    sequence,
    text,
    text_or_texts,
    time,
)
from transship.image.strict_json import (
    RawJson,
    dump_json,
    dump_raw_members,
    load_json_object,
    raw_json,
    raw_members,
)

EMPTY_LAYER = base64.b64decode("H4sIAAAJbogA/2IYBaNgFIxYAAgAAAD//y6vte8ABAAA")
"""The gzipped empty archive that schema 1 puts in the place of a layer that changes no file."""

EMPTY_LAYER_DIGEST = Digest("sha256", "a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4")

_WHAT = "schema 1 manifest"
_LAYER_LIMIT = 10_000
_SIGNATURE_LIMIT = 1_000
_SIGNING_TIME = "1970-01-01T00:00:00Z"  # one moment for all, so that the same image gives the same bytes
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*+={0,2}")
_IMAGE_ID = re.compile(r"[a-f0-9]{64}")
_KNOWN = ("name", "tag", "architecture", "fsLayers", "history", "schemaVersion")
_ONLY_IN_SCHEMA1 = frozenset({"id", "parent", "parent_id", "layer_id", "throwaway", "Size"})

_V1_ENTRY = record(
    Member("id", text, keep_empty=True),
    Member("parent", text),
    Member("comment", text),
    Member("created", time, keep_empty=True),
    Member("container_config", record(Member("Cmd", text_or_texts, keep_empty=True)), keep_empty=True),
    Member("author", text),
    Member("throwaway", boolean),
)

_SCHEMA2_HISTORY_ENTRY = record(
    Member("created", time, keep_empty=True),
    Member("author", text),
    Member("created_by", text),
    Member("comment", text),
    Member("empty_layer", boolean),
)

_SCHEMA2_SUMMARY = record(
    Member("architecture", text, keep_empty=True),
    Member("history", sequence(_SCHEMA2_HISTORY_ENTRY), keep_empty=True),
)

_HEALTH_CHECK = record(
    Member("Test", sequence(text)),
    Member("StartPeriod", integer),
    Member("Interval", integer),
    Member("Timeout", integer),
    Member("Retries", integer),
)

_CONTAINER_CONFIG = record(
    Member("Hostname", text, keep_empty=True),
    Member("Domainname", text, keep_empty=True),
    Member("User", text, keep_empty=True),
    Member("AttachStdin", boolean, keep_empty=True),
    Member("AttachStdout", boolean, keep_empty=True),
    Member("AttachStderr", boolean, keep_empty=True),
    Member("ExposedPorts", mapping(empty_object)),
    Member("Tty", boolean, keep_empty=True),
    Member("OpenStdin", boolean, keep_empty=True),
    Member("StdinOnce", boolean, keep_empty=True),
    Member("Env", sequence(text), keep_empty=True),
    Member("Cmd", text_or_texts, keep_empty=True),
    Member("Healthcheck", optional(_HEALTH_CHECK)),
    Member("ArgsEscaped", boolean),
    Member("Image", text, keep_empty=True),
    Member("Volumes", mapping(empty_object), keep_empty=True),
    Member("WorkingDir", text, keep_empty=True),
    Member("Entrypoint", text_or_texts, keep_empty=True),
    Member("NetworkDisabled", boolean),
    Member("MacAddress", text),
    Member("OnBuild", sequence(text), keep_empty=True),
    Member("Labels", mapping(text), keep_empty=True),
    Member("StopSignal", text),
    Member("StopTimeout", optional(integer)),
    Member("Shell", text_or_texts),
)

_V1_IMAGE = record(
    Member("comment", text),
    Member("created", time, keep_empty=True),
    Member("container", text),
    Member("container_config", _CONTAINER_CONFIG, keep_empty=True),
    Member("docker_version", text),
    Member("author", text),
    Member("config", optional(_CONTAINER_CONFIG)),
    Member("architecture", text),
    Member("variant", text),
    Member("os", text),
)


@dataclass(frozen=True, slots=True)
class Schema1Entry:
    """One layer and what it says about itself.

    ``v1_compatibility`` is JSON; the rest is read from it. ``throwaway``: the layer changes no file.
    """

    blob: Digest
    v1_compatibility: str
    identifier: str
    parent: str = ""
    throwaway: bool = False


@dataclass(frozen=True, slots=True)
class Schema1Document:
    """What a schema 1 manifest says. ``entries`` are base first; ``unknown`` are members nobody knows."""

    name: str
    tag: str
    architecture: str
    entries: tuple[Schema1Entry, ...]
    unknown: Mapping[str, Any] = field(default_factory=dict)

    @property
    def embedded_config(self) -> bytes:
        """The image's config as it stands in the top entry, with members that only schema 1 has."""
        return self.entries[-1].v1_compatibility.encode()

    def with_blobs(self, blobs: Sequence[Digest]) -> Schema1Document:
        """The same with other layers, base first."""
        entries = (replace(entry, blob=blob) for entry, blob in zip(self.entries, blobs, strict=True))
        return replace(self, entries=tuple(entries))

    def signed(self) -> bytes:
        """The manifest, signed with a key that is thrown away."""
        return _signed(self.payload())

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

    def schema2_config(self, diff_ids: Sequence[str]) -> bytes:
        """The config of the same image in schema 2; ``diff_ids`` are of the layers that are no throwaway."""
        config = _current_config(self.embedded_config)
        members = {name: raw for name, raw in config.items() if name not in _ONLY_IN_SCHEMA1}
        rootfs = {"type": "layers"} | ({"diff_ids": list(diff_ids)} if diff_ids else {})
        history = [_schema2_history_entry(entry) for entry in self.entries]
        return dump_raw_members(members | {"rootfs": raw_json(rootfs), "history": raw_json(history)})


def parse_schema1(data: bytes) -> Schema1Document:
    """Read a schema 1 manifest, signed or not; signatures are not verified.

    Of repeated entries only the lowest is kept. Raises ``InvalidManifestError``.
    """
    document = load_json_object(data, _WHAT)
    if document.get("signatures") is not None:
        document = load_json_object(schema1_payload(data), _WHAT)
    version = document.get("schemaVersion")
    if version != 1 or isinstance(version, bool | float):
        raise InvalidManifestError(f"unsupported schema version {str(version)[:40]}")
    entries = _entries(document)
    _validate_ancestry(entries)
    return Schema1Document(
        name=text_member(document.get("name"), f"{_WHAT}.name"),
        tag=text_member(document.get("tag"), f"{_WHAT}.tag"),
        architecture=text_member(document.get("architecture"), f"{_WHAT}.architecture"),
        entries=_without_repetitions(entries),
        unknown={name: value for name, value in document.items() if name not in (*_KNOWN, "signatures")},
    )


def schema1_payload(data: bytes) -> bytes:
    """What a signed schema 1 manifest's digest is made of: the document without its signatures.

    Raises ``InvalidManifestError`` if the signatures contradict each other or the document.
    """
    document = load_json_object(data, _WHAT)
    payload = _payload(data, document.pop("signatures", None))
    try:
        is_same = load_json_object(payload, f"{_WHAT} payload") == document
    except RecursionError:
        is_same = False
    if not is_same:
        raise InvalidManifestError(f"{_WHAT}: what is signed is not what it says")
    return payload


def schema1_from_schema2(layers: Sequence[Digest], config: bytes, *, name: str, tag: str) -> Schema1Document:
    """A schema 1 document of an image of schema 2, given its layers, base first, and its config."""
    summary = _SCHEMA2_SUMMARY(load_json_object(config, "image config"), "image config")
    history: list[dict[str, Any]] = summary["history"] or []
    if not history:
        raise UnsupportedError(f"Cannot convert an image with 0 history entries to {DOCKER_SCHEMA1_SIGNED}")
    blobs = _blob_per_history_entry(layers, [entry.get("empty_layer", False) for entry in history])
    entries: list[Schema1Entry] = []
    identifier = parent = ""
    for blob, entry in zip(blobs, history, strict=True):
        parent, identifier = identifier, _image_id(blob, identifier.encode())
        entries.append(_entry_from_history(blob, entry, identifier, parent))
    identifier = _image_id(blobs[-1], parent.encode(), config)
    top = _top_v1_compatibility(config, identifier, parent, throwaway=entries[-1].throwaway)
    entries[-1] = replace(entries[-1], v1_compatibility=top, identifier=identifier)
    return Schema1Document(name, tag, summary["architecture"], tuple(entries))


def _blob_per_history_entry(layers: Sequence[Digest], empty: Sequence[bool]) -> list[Digest]:
    if empty.count(False) > len(layers):
        raise InvalidManifestError(f"Invalid image configuration, needs more than the {len(layers)} distributed layers")
    if empty.count(False) < len(layers):
        raise InvalidManifestError(
            f"Invalid image configuration, its history explains only {empty.count(False)} of {len(layers)} layers"
        )
    remaining = iter(layers)
    return [EMPTY_LAYER_DIGEST if is_empty else next(remaining) for is_empty in empty]


def _image_id(blob: Digest, *others: bytes) -> str:
    return hashlib.sha256(b" ".join((blob.encoded.encode(), *others))).hexdigest()


def _entry_from_history(blob: Digest, entry: Mapping[str, Any], identifier: str, parent: str) -> Schema1Entry:
    throwaway = entry.get("empty_layer", False)
    v1_entry = {
        "id": identifier,
        "parent": parent,
        "comment": entry.get("comment"),
        "created": entry["created"],
        "container_config": {"Cmd": [entry.get("created_by", "")]},
        "author": entry.get("author"),
        "throwaway": throwaway,
    }
    v1_compatibility = dump_json(_V1_ENTRY(v1_entry, _WHAT)).decode()
    return Schema1Entry(blob, v1_compatibility, identifier, parent, throwaway)


def _top_v1_compatibility(config: bytes, identifier: str, parent: str, *, throwaway: bool) -> str:
    members = raw_members(config, "image config")
    members.pop("rootfs", None)
    members.pop("history", None)
    members["id"] = raw_json(identifier)
    if parent:
        members["parent"] = raw_json(parent)
    if throwaway:
        members["throwaway"] = raw_json(True)
    return dump_raw_members(members).decode()


def _current_config(config: bytes) -> dict[str, RawJson]:
    image = _V1_IMAGE(load_json_object(config, _WHAT), _WHAT)
    if _is_before_docker_1_8_3(image.get("docker_version", "")):
        # Those versions left out members that are always there in later ones.
        return {name: raw_json(value) for name, value in image.items()}
    return raw_members(config, _WHAT)


def _is_before_docker_1_8_3(version: str) -> bool:
    if not version:
        return False
    numbers = [int(part) if re.fullmatch(r"[0-9]{1,18}", part) else 0 for part in version.split(".")[:3]]
    return tuple(numbers) < (1, 8, 3)


def _schema2_history_entry(entry: Schema1Entry) -> Any:
    v1_entry = _v1_entry(entry.v1_compatibility)
    return _SCHEMA2_HISTORY_ENTRY(
        {
            "created": v1_entry.get("created", ZERO_TIME),
            "author": v1_entry.get("author"),
            "created_by": " ".join(v1_entry["container_config"]["Cmd"] or ()),
            "comment": v1_entry.get("comment"),
            "empty_layer": entry.throwaway,
        },
        _WHAT,
    )


def _v1_entry(v1_compatibility: str) -> dict[str, Any]:
    where = f"{_WHAT} history entry"
    entry: dict[str, Any] = _V1_ENTRY(load_json_object(v1_compatibility.encode(), where), where)
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
    v1_entry = _v1_entry(v1_compatibility)
    try:
        blob = Digest.parse(text_member(layer.get("blobSum"), f"{_WHAT}.fsLayers.blobSum"))
    except InvalidDigestError as error:
        raise InvalidManifestError(f"{_WHAT}.fsLayers.blobSum: {error}") from None
    return Schema1Entry(
        blob,
        v1_compatibility,
        identifier=v1_entry["id"],
        parent=v1_entry.get("parent", ""),
        throwaway=v1_entry.get("throwaway", False),
    )


def _validate_ancestry(entries: Sequence[Schema1Entry]) -> None:
    for entry in entries:
        if not _IMAGE_ID.fullmatch(entry.identifier):
            raise InvalidManifestError(f"image ID {entry.identifier[:80]!r} is invalid")
    if entries[0].parent:
        raise InvalidManifestError("Invalid parent ID in the base layer of the image")
    seen = {entries[0].identifier}
    for lower, upper in pairwise(entries):
        if upper.identifier == lower.identifier:
            continue
        if upper.identifier in seen:
            raise InvalidManifestError(f"ID {upper.identifier} appears multiple times in manifest")
        if upper.parent != lower.identifier:
            raise InvalidManifestError(f"Invalid parent ID. Expected {lower.identifier}, got {upper.parent[:80]!r}")
        seen.add(upper.identifier)


def _without_repetitions(entries: Sequence[Schema1Entry]) -> tuple[Schema1Entry, ...]:
    uppers = (upper for lower, upper in pairwise(entries) if upper.identifier != lower.identifier)
    return (entries[0], *uppers)


def _payload(data: bytes, signatures: Any) -> bytes:
    if not isinstance(signatures, list) or not signatures:
        raise InvalidManifestError(f"{_WHAT}: expected signatures")
    formats = {_signed_format(signature, len(data)) for signature in signatures[:_SIGNATURE_LIMIT]}
    if len(formats) != 1:
        raise InvalidManifestError(f"{_WHAT}: its signatures disagree about what they sign")
    length, tail = formats.pop()
    return data[:length] + tail


def _signed_format(signature: Any, size: int) -> tuple[int, bytes]:
    encoded = signature.get("protected") if isinstance(signature, dict) else None
    protected = load_json_object(_base64url_decoded(encoded), f"{_WHAT} signature")
    length = protected.get("formatLength")
    if not isinstance(length, int) or isinstance(length, bool) or not 0 < length <= size:
        raise InvalidManifestError(f"{_WHAT} signature: invalid format length")
    return length, _base64url_decoded(protected.get("formatTail"))


def _base64url_decoded(value: Any) -> bytes:
    if not isinstance(value, str) or not _BASE64URL.fullmatch(value):
        raise InvalidManifestError(f"{_WHAT} signature: expected base64url text")
    try:
        return base64.urlsafe_b64decode(value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4))
    except binascii.Error:
        raise InvalidManifestError(f"{_WHAT} signature: expected base64url text") from None


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _signed(payload: bytes) -> bytes:
    from transship.image.es256 import sign

    head, tail = payload[:-1], payload[-1:]
    protected = _base64url(
        dump_json({"formatLength": len(head), "formatTail": _base64url(tail), "time": _SIGNING_TIME})
    )
    made = sign(f"{protected}.{_base64url(payload)}".encode())
    key = {
        "crv": "P-256",
        "kid": made.key_id,
        "kty": "EC",
        "x": _base64url(made.x),
        "y": _base64url(made.y),
    }
    signature = {
        "header": {"jwk": key, "alg": "ES256"},
        "signature": _base64url(made.signature),
        "protected": protected,
    }
    return head + b',"signatures":' + dump_json([signature]) + tail
