"""Between schema 1 and schema 2: configs with their history made into entries, and back."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from transship.errors import InvalidManifestError, UnsupportedError
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
from transship.image.schema1 import EMPTY_LAYER_DIGEST, V1_ENTRY, Schema1Document, Schema1Entry, v1_entry
from transship.image.strict_json import (
    RawJson,
    dump_json,
    dump_raw_members,
    load_json_object,
    raw_json,
    raw_members,
)

_WHAT = "schema 1 manifest"
_HISTORY_LIMIT = 10_000
_ONLY_IN_SCHEMA1 = frozenset({"id", "parent", "parent_id", "layer_id", "throwaway", "Size"})

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


def schema2_config(document: Schema1Document, diff_ids: Sequence[str]) -> bytes:
    """The config of the same image in schema 2; ``diff_ids`` are of the layers that are no throwaway."""
    config = _current_config(document.embedded_config)
    members = {name: raw for name, raw in config.items() if name not in _ONLY_IN_SCHEMA1}
    rootfs = {"type": "layers"} | ({"diff_ids": list(diff_ids)} if diff_ids else {})
    history = [_schema2_history_entry(entry) for entry in document.entries]
    return dump_raw_members(members | {"rootfs": raw_json(rootfs), "history": raw_json(history)})


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
    entries[-1] = entries[-1]._replace(v1_compatibility=top, identifier=identifier)
    return Schema1Document(name, tag, summary["architecture"], tuple(entries))


def _blob_per_history_entry(layers: Sequence[Digest], empty: Sequence[bool]) -> list[Digest]:
    if len(empty) > _HISTORY_LIMIT:
        raise InvalidManifestError(f"Invalid image configuration, more than {_HISTORY_LIMIT} history entries")
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
    said = {
        "id": identifier,
        "parent": parent,
        "comment": entry.get("comment"),
        "created": entry["created"],
        "container_config": {"Cmd": [entry.get("created_by", "")]},
        "author": entry.get("author"),
        "throwaway": throwaway,
    }
    v1_compatibility = dump_json(V1_ENTRY(said, _WHAT)).decode()
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
    said = v1_entry(entry.v1_compatibility)
    return _SCHEMA2_HISTORY_ENTRY(
        {
            "created": said.get("created", ZERO_TIME),
            "author": said.get("author"),
            "created_by": " ".join(said["container_config"]["Cmd"] or ()),
            "comment": said.get("comment"),
            "empty_layer": entry.throwaway,
        },
        _WHAT,
    )
