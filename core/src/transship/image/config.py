"""Image configs: reading what an image says about itself, and writing it as an OCI config."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from transship.errors import InvalidDigestError, InvalidManifestError
from transship.image.digest import Digest
from transship.image.records import (
    Member,
    boolean,
    empty_object,
    mapping,
    optional,
    record,
    sequence,
    text,
    text_or_texts,
    time,
)
from transship.image.strict_json import dump_json, load_json_object

_CONFIG = "image config"

_EXECUTION = record(
    Member("User", text),
    Member("ExposedPorts", mapping(empty_object)),
    Member("Env", sequence(text)),
    Member("Entrypoint", sequence(text)),
    Member("Cmd", sequence(text)),
    Member("Volumes", mapping(empty_object)),
    Member("WorkingDir", text),
    Member("Labels", mapping(text)),
    Member("StopSignal", text),
    Member("ArgsEscaped", boolean),
)

_HISTORY_ENTRY = record(
    Member("created", optional(time)),
    Member("created_by", text),
    Member("author", text),
    Member("comment", text),
    Member("empty_layer", boolean),
)

_ROOTFS = record(
    Member("type", text, keep_empty=True),
    Member("diff_ids", sequence(text), keep_empty=True),
)

_LAYERS = record(Member("rootfs", _ROOTFS))

_OCI_CONFIG = record(
    Member("created", optional(time)),
    Member("author", text),
    Member("architecture", text, keep_empty=True),
    Member("os", text, keep_empty=True),
    Member("os.version", text),
    Member("os.features", sequence(text)),
    Member("variant", text),
    Member("config", _EXECUTION, keep_empty=True),
    Member("rootfs", _ROOTFS, keep_empty=True),
    Member("history", sequence(_HISTORY_ENTRY)),
)

_SUMMARY = record(
    Member("created", optional(time)),
    Member("author", text),
    Member("architecture", text),
    Member("os", text),
    Member("os.version", text),
    Member("variant", text),
    Member("docker_version", text),
    Member("comment", text),
    Member(
        "config",
        record(
            Member("Env", sequence(text), keep_empty=True),
            Member("Labels", mapping(text), keep_empty=True),
            Member("Entrypoint", text_or_texts),
            Member("Cmd", text_or_texts),
            Member("User", text),
            Member("WorkingDir", text),
            Member("StopSignal", text),
            Member("ExposedPorts", mapping(empty_object)),
            Member("Volumes", mapping(empty_object)),
        ),
    ),
    Member("rootfs", _ROOTFS),
    Member("history", sequence(_HISTORY_ENTRY)),
)


class HistoryEntry(NamedTuple):
    """How one layer came about; ``empty_layer``: it changed no file. ``""`` and None: not said."""

    created: str | None = None
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class ImageConfig(NamedTuple):
    """What a config, Docker's or OCI's, says. ``""`` and None: not said.

    ``created`` is a time as in RFC 3339. ``config`` holds how to run the image: ``Env`` (list of strings or
    None), ``Labels`` (names to strings, or None), ``Entrypoint``, ``Cmd``, ``User`` and more where said.
    ``raw_diff_ids`` are not checked; ``diff_ids`` are.
    """

    created: str | None
    author: str
    architecture: str
    os: str
    os_version: str
    variant: str
    docker_version: str
    comment: str
    config: Mapping[str, Any]
    raw_diff_ids: tuple[str, ...]
    history: tuple[HistoryEntry, ...]

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        """The digests of the uncompressed layers, base first; raises ``InvalidManifestError``."""
        return _digests(self.raw_diff_ids)

    @property
    def env(self) -> tuple[str, ...] | None:
        """The environment variables, ``NAME=value``."""
        env = self.config.get("Env")
        return None if env is None else tuple(env)

    @property
    def labels(self) -> Mapping[str, str] | None:
        """The labels, sorted by name."""
        labels: Mapping[str, str] | None = self.config.get("Labels")
        return labels


def parse_config(data: bytes) -> ImageConfig:
    """Read an image config; raises ``InvalidManifestError`` for what is none."""
    summary = _SUMMARY(load_json_object(data, _CONFIG), _CONFIG)
    return ImageConfig(
        created=summary.get("created"),
        author=summary.get("author", ""),
        architecture=summary.get("architecture", ""),
        os=summary.get("os", ""),
        os_version=summary.get("os.version", ""),
        variant=summary.get("variant", ""),
        docker_version=summary.get("docker_version", ""),
        comment=summary.get("comment", ""),
        config=summary.get("config", {}),
        raw_diff_ids=tuple(summary["rootfs"]["diff_ids"] or ()),
        history=tuple(HistoryEntry(**entry) for entry in summary.get("history", ())),
    )


def config_diff_ids(config: bytes) -> tuple[Digest, ...]:
    """The digests of an image's uncompressed layers, base first, as its config promises them.

    What else the config says is not looked at.
    """
    layers = _LAYERS(load_json_object(config, _CONFIG), _CONFIG)
    return _digests(layers["rootfs"]["diff_ids"] or ())


def _digests(diff_ids: Iterable[str]) -> tuple[Digest, ...]:
    try:
        return tuple(map(Digest.parse, diff_ids))
    except InvalidDigestError as error:
        raise InvalidManifestError(f"{_CONFIG}.rootfs.diff_ids: {error}") from None


def reencode_config(data: bytes) -> bytes:
    """The config as an OCI config: known members only, in their order."""
    return dump_json(_OCI_CONFIG(load_json_object(data, _CONFIG), _CONFIG))
