"""Manifests of single images: telling their types apart, reading them and writing them with other layers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from transship.errors import InvalidManifestError, UnsupportedError
from transship.image.descriptor import (
    Descriptor,
    docker_members,
    oci_members,
    parse_descriptor,
    text_map,
    text_member,
)
from transship.image.identification import guess_media_type, normalized_media_type
from transship.image.layer_types import DOCKER_LAYER_TYPES, can_change_layer_compression
from transship.image.media_types import (
    DOCKER_CONFIG,
    DOCKER_MANIFEST,
    INDEX_TYPES,
    OCI_CONFIG,
    OCI_MANIFEST,
    SCHEMA1_TYPES,
)
from transship.image.quoting import quoted
from transship.image.strict_json import dump_json, load_json_object

if TYPE_CHECKING:
    from transship.image.schema1 import Schema1Document

_LAYER_LIMIT = 10_000
_TYPE_MEMBERS = ("mediaType", "schemaVersion")
_DISTINCTIVE = {name.lower(): name for name in (*_TYPE_MEMBERS, "config", "fsLayers", "history", "layers", "manifests")}
"""Members by which readers tell types apart; some readers take them in any case."""


class Layer(NamedTuple):
    """One layer of an image; ``is_empty``: it changes no file, which only schema 1 says."""

    descriptor: Descriptor
    is_empty: bool = False


@dataclass(frozen=True, slots=True)
class ImageManifest:
    """The manifest of one image or artifact.

    ``data`` are the bytes it was read from, ``members`` is the whole document as parsed. ``config`` is None in
    schema 1, which has no config blob. ``layers`` are base first; in schema 1 their sizes (-1) and media types
    (``""``) are not known.
    """

    data: bytes
    media_type: str
    config: Descriptor | None
    layers: tuple[Layer, ...]
    members: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_image(self) -> bool:
        """Whether it is an image, not something else that is stored like one."""
        return True

    def require_image(self) -> None:
        """Raise ``UnsupportedError`` for what is no image."""

    def can_change_compression(self, media_type: str) -> bool:
        """Whether layers of ``media_type`` may be compressed, decompressed or compressed otherwise."""
        return can_change_layer_compression(media_type, self.media_type)


class Schema1Manifest(ImageManifest):
    """A docker manifest of schema 1."""

    __slots__ = ()

    @property
    def document(self) -> Schema1Document:
        """What it says; read anew each time."""
        from transship.image.schema1 import parse_schema1

        return parse_schema1(self.data)

    def can_change_compression(self, media_type: str) -> bool:
        """Always: the manifest does not say how layers are compressed."""
        return True


class DockerManifest(ImageManifest):
    """A docker manifest of schema 2."""

    __slots__ = ()

    config: Descriptor

    def with_layers(self, layers: Sequence[Descriptor]) -> bytes:
        """The manifest with other layers."""
        return docker_manifest(self.config, layers, self.members)


class OciManifest(ImageManifest):
    """An OCI image manifest."""

    __slots__ = ()

    config: Descriptor

    @property
    def artifact_type(self) -> str:
        """What kind of thing it is: its ``artifactType``, else its config's media type."""
        return self.members.get("artifactType") or self.config.media_type

    @property
    def is_image(self) -> bool:
        """Whether its config is an image's."""
        return self.config.media_type == OCI_CONFIG

    def require_image(self) -> None:
        """Raise ``UnsupportedError`` for an artifact."""
        if self.is_image:
            return
        if self.artifact_type == DOCKER_CONFIG:
            raise UnsupportedError(f'invalid mixed OCI image with Docker v2s2 config ("{DOCKER_CONFIG}")')
        raise UnsupportedError(
            f"unsupported image-specific operation on artifact with type {quoted(self.artifact_type)}"
        )

    def can_change_compression(self, media_type: str) -> bool:
        """As for every manifest, but never in an artifact."""
        return self.is_image and can_change_layer_compression(media_type, self.media_type)

    def with_layers(self, layers: Sequence[Descriptor]) -> bytes:
        """The manifest with other layers."""
        return oci_manifest(self.config, layers, self.members)


def docker_manifest(
    config: Descriptor, layers: Iterable[Descriptor], members: Mapping[str, Any] | None = None
) -> bytes:
    """A docker manifest of schema 2; ``members`` are further members to keep."""
    first = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": docker_members(config),
        "layers": [docker_members(layer) for layer in layers],
    }
    return dump_json({**first, **_others(members or {}, first)})


_OCI_ORDER = ("schemaVersion", "mediaType", "artifactType", "config", "layers", "subject", "annotations")


def oci_manifest(config: Descriptor, layers: Iterable[Descriptor], members: Mapping[str, Any] | None = None) -> bytes:
    """An OCI image manifest; ``members`` are further members to keep, by default it says its media type."""
    kept = {"mediaType": OCI_MANIFEST} if members is None else dict(members)
    written = {
        **kept,
        "schemaVersion": 2,
        "config": oci_members(config),
        "layers": [oci_members(layer) for layer in layers],
    }
    if isinstance(written.get("subject"), dict):
        written["subject"] = oci_members(parse_descriptor(written["subject"], "OCI manifest.subject"))
    if isinstance(written.get("annotations"), dict):
        written["annotations"] = dict(sorted(written["annotations"].items()))
    known = {name: written[name] for name in _OCI_ORDER if written.get(name) or name == "layers"}
    return dump_json({**known, **_others(written, dict.fromkeys(_OCI_ORDER))})


def _others(members: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if name not in known}


def parse_manifest(data: bytes, media_type: str) -> ImageManifest:
    """Read the manifest of one image; ``media_type`` is what it was declared with, ``""`` to guess.

    Raises ``InvalidManifestError``, also for an index and for a manifest that could be taken for another type.
    """
    actual = normalized_media_type(media_type or guess_media_type(data))
    if actual in INDEX_TYPES:
        raise InvalidManifestError("Unexpectedly received a manifest list instead of a manifest for a single image")
    if actual in SCHEMA1_TYPES:
        return _parse_schema1(data, actual)
    document = load_json_object(data, "manifest")
    refuse_ambiguous(document, actual, {"config", "layers"})
    return _parse_docker(data, document) if actual == DOCKER_MANIFEST else _parse_oci(data, document)


def refuse_ambiguous(document: Mapping[str, Any], media_type: str, allowed: Iterable[str]) -> None:
    """Raise ``InvalidManifestError`` if another reader could take the document for another type.

    ``allowed`` are the members with content that the type has.
    """
    own = {*allowed, *_TYPE_MEMBERS}
    names = (name for name, value in document.items() if value is not None and name not in own)
    unexpected = sorted({_DISTINCTIVE[name.lower()] for name in names if name.lower() in _DISTINCTIVE})
    if unexpected:
        listed = ", ".join(f'"{name}"' for name in unexpected)
        raise InvalidManifestError(
            f"rejecting ambiguous manifest, unexpected fields [{listed}] in supposedly {media_type}"
        )
    declared = text_member(document.get("mediaType"), "mediaType")
    if declared and declared != media_type:
        raise InvalidManifestError(
            f"rejecting ambiguous manifest, it calls itself {quoted(declared)} but is supposedly {media_type}"
        )
    _refuse_other_version(document)


def _refuse_other_version(document: Mapping[str, Any]) -> None:
    version = document.get("schemaVersion", 2)
    if isinstance(version, bool) or version != 2:
        shown = str(version)[:40] if isinstance(version, int) else "that is no integer"
        raise InvalidManifestError(f"unsupported schema version {shown}")


def _parse_schema1(data: bytes, media_type: str) -> Schema1Manifest:
    from transship.image.schema1 import parse_schema1  # hardly any image is one

    document = load_json_object(data, "schema 1 manifest")
    parsed = parse_schema1(data)
    _refuse_in_schema1(document, media_type)
    layers = tuple(
        Layer(Descriptor(media_type="", digest=entry.blob), is_empty=entry.throwaway) for entry in parsed.entries
    )
    return Schema1Manifest(data, media_type, None, layers, document)


def _refuse_in_schema1(document: Mapping[str, Any], media_type: str) -> None:
    says_schema1 = document.get("mediaType") in (None, "", *SCHEMA1_TYPES)
    ignored = _TYPE_MEMBERS if says_schema1 else ("schemaVersion",)
    refuse_ambiguous(_others(document, dict.fromkeys(ignored)), media_type, {"fsLayers", "history"})


def _parse_docker(data: bytes, document: Mapping[str, Any]) -> DockerManifest:
    declared = document.get("mediaType") or ""
    config = parse_descriptor(document.get("config"), "docker manifest.config")
    layers = _layers(document.get("layers"), "docker manifest.layers")
    for media_type in (declared, *(layer.descriptor.media_type for layer in layers)):
        if media_type not in (DOCKER_MANIFEST, DOCKER_CONFIG, *DOCKER_LAYER_TYPES):
            raise InvalidManifestError(f"unsupported docker v2s2 media type: {quoted(media_type)}")
    return DockerManifest(data, DOCKER_MANIFEST, config, layers, document)


def _parse_oci(data: bytes, document: Mapping[str, Any]) -> OciManifest:
    config = parse_descriptor(document.get("config"), "OCI manifest.config")
    layers = _layers(document.get("layers"), "OCI manifest.layers")
    text_member(document.get("artifactType"), "OCI manifest.artifactType")
    text_map(document.get("annotations"), "OCI manifest.annotations")
    if document.get("subject") is not None:
        parse_descriptor(document["subject"], "OCI manifest.subject")
    return OciManifest(data, OCI_MANIFEST, config, layers, document)


def _layers(value: Any, where: str) -> tuple[Layer, ...]:
    return tuple(Layer(descriptor) for descriptor in parse_descriptors(value, where))


def parse_descriptors(value: Any, where: str) -> tuple[Descriptor, ...]:
    """Read an array of descriptors, empty if it is absent; raises ``InvalidManifestError``."""
    items = [] if value is None else value
    if not isinstance(items, list):
        raise InvalidManifestError(f"{where}: expected an array")
    if len(items) > _LAYER_LIMIT:
        raise InvalidManifestError(f"{where}: more than {_LAYER_LIMIT} entries")
    return tuple(parse_descriptor(item, f"{where}[{position}]") for position, item in enumerate(items))
