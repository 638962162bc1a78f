"""Indexes: lists of manifests, mostly one per platform (OCI image-spec image-index.md, docker manifest lists)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from transship.errors import InvalidManifestError, UnsupportedError
from transship.image.descriptor import (
    Descriptor,
    docker_members,
    oci_members,
    parse_descriptor,
    text_list,
    text_map,
    text_member,
)
from transship.image.digest import Digest
from transship.image.identification import guess_media_type
from transship.image.manifest import parse_descriptors, refuse_ambiguous
from transship.image.media_types import INDEX_TYPES, OCI_INDEX
from transship.image.platform import Platform
from transship.image.quoting import quoted
from transship.image.strict_json import dump_json, load_json_object

ZSTD_ANNOTATION = "io.github.containers.compression.zstd"
"""Marks an instance, with the value ``"true"``, whose layers are compressed with zstd."""

_OCI_ORDER = ("schemaVersion", "mediaType", "artifactType", "manifests", "subject", "annotations")
_DOCKER_ORDER = ("schemaVersion", "mediaType", "manifests")
_PLATFORM_ORDER = ("architecture", "os", "os.version", "os.features", "variant", "features")


class Instance(NamedTuple):
    """One entry of an index; ``platform`` is None where it says none."""

    descriptor: Descriptor
    platform: Platform | None = None

    @property
    def digest(self) -> Digest:
        """The digest of its manifest."""
        return self.descriptor.digest

    @property
    def is_zstd(self) -> bool:
        """Whether it is marked as compressed with zstd."""
        return (self.descriptor.annotations or {}).get(ZSTD_ANNOTATION) == "true"


class Index(NamedTuple):
    """An index or docker manifest list. ``data`` are the bytes it was read from, ``members`` all it says."""

    data: bytes
    media_type: str
    instances: tuple[Instance, ...]
    members: Mapping[str, Any] = {}


class Edit(NamedTuple):
    """What becomes of one instance; ``is_zstd``: its layers are now compressed with zstd."""

    digest: Digest
    size: int
    media_type: str
    is_zstd: bool = False


def parse_index(data: bytes, media_type: str) -> Index:
    """Read an index; ``media_type`` is what it was declared with, ``""`` to guess.

    Raises ``InvalidManifestError`` for what is none or could be taken for another type.
    """
    actual = media_type or guess_media_type(data)
    if actual not in INDEX_TYPES:
        raise InvalidManifestError(f"expected an image index, found {quoted(actual)}")
    document = load_json_object(data, "image index")
    refuse_ambiguous(document, actual, {"manifests"})
    if actual == OCI_INDEX:
        _check_oci(document)
    descriptors = parse_descriptors(document.get("manifests"), "image index.manifests")
    return Index(data, actual, tuple(map(_instance, descriptors)), document)


def choose(index: Index, wanted: Sequence[Platform]) -> Digest:
    """The digest of the instance that fits best; ``wanted`` are the platforms that fit, best first.

    Raises ``UnsupportedError`` if none fits.
    """
    candidates = [
        (*rank, position)
        for position, instance in enumerate(index.instances)
        if (rank := _rank(instance, wanted, is_oci=index.media_type == OCI_INDEX)) is not None
    ]
    if not candidates:
        kind = "image index" if index.media_type == OCI_INDEX else "manifest list"
        best = wanted[0] if wanted else Platform("", "")
        raise UnsupportedError(
            f'no image found in {kind} for architecture "{best.architecture}", variant "{best.variant}", OS "{best.os}"'
        )
    return index.instances[min(candidates)[-1]].digest


def edited(
    index: Index,
    replacements: Mapping[int, Edit],
    *,
    keep: Collection[int] | None = None,
    annotate_zstd: bool = True,
) -> bytes:
    """The index with instances replaced, by position, and only those at the positions ``keep``, None: all.

    Where that makes no difference the original bytes. ``annotate_zstd`` marks instances that are zstd now.
    """
    instances = [
        _edited_instance(instance, replacements.get(position), annotate_zstd and index.media_type == OCI_INDEX)
        for position, instance in enumerate(index.instances)
        if keep is None or position in keep
    ]
    data = _encoded(index.media_type, instances, index.members)
    return index.data if data == _encoded(index.media_type, index.instances, index.members) else data


def converted_index(index: Index, target_media_type: str, default_platform: Platform) -> Index:
    """The index as one of the other type; entries without platform get ``default_platform`` in a docker list."""
    if target_media_type == index.media_type:
        return index
    if target_media_type not in INDEX_TYPES:
        raise UnsupportedError(
            f"Can not convert manifest list to MIME type {quoted(target_media_type)}, which is not a list type"
        )
    is_oci = target_media_type == OCI_INDEX
    fallback = Platform("", "") if is_oci else default_platform
    instances = tuple(_plain_instance(instance, fallback, is_oci=is_oci) for instance in index.instances)
    data = _encoded(target_media_type, instances, {})
    return Index(data, target_media_type, instances, load_json_object(data, "image index"))


def _check_oci(document: Mapping[str, Any]) -> None:
    text_member(document.get("artifactType"), "image index.artifactType")
    text_map(document.get("annotations"), "image index.annotations")
    if document.get("subject") is not None:
        parse_descriptor(document["subject"], "image index.subject")


def _instance(descriptor: Descriptor) -> Instance:
    value = descriptor.extra.get("platform")
    return Instance(descriptor, None if value is None else _platform(value, "image index.platform"))


def _platform(value: Any, where: str) -> Platform:
    if not isinstance(value, dict):
        raise InvalidManifestError(f"{where}: expected an object")
    return Platform(
        os=text_member(value.get("os"), f"{where}.os"),
        architecture=text_member(value.get("architecture"), f"{where}.architecture"),
        variant=text_member(value.get("variant"), f"{where}.variant"),
        os_version=text_member(value.get("os.version"), f"{where}.os.version"),
        os_features=text_list(value.get("os.features"), f"{where}.os.features"),
        features=text_list(value.get("features"), f"{where}.features"),
    )


def _rank(instance: Instance, wanted: Sequence[Platform], *, is_oci: bool) -> tuple[int, bool] | None:
    """How well an instance fits, less is better, None: not at all."""
    platform = instance.platform
    if platform is None:
        return (len(wanted), not instance.is_zstd) if is_oci else None
    for position, choice in enumerate(wanted):
        if (platform.os, platform.architecture, platform.variant) == (
            choice.os,
            choice.architecture,
            choice.variant,
        ):
            return position, is_oci and not instance.is_zstd
    return None


def _edited_instance(instance: Instance, edit: Edit | None, may_annotate: bool) -> Instance:
    if edit is None:
        return instance
    own = instance.descriptor
    annotations = own.annotations
    if edit.is_zstd and may_annotate:
        annotations = {**(annotations or {}), ZSTD_ANNOTATION: "true"}
    stale = {"data"} if edit.digest != own.digest else set()
    extra = {name: value for name, value in own.extra.items() if name not in stale}
    descriptor = Descriptor(edit.media_type, edit.digest, edit.size, own.urls, annotations, extra)
    return instance._replace(descriptor=descriptor)


def _plain_instance(instance: Instance, fallback: Platform, *, is_oci: bool) -> Instance:
    platform = instance.platform or fallback
    if is_oci:
        platform = platform._replace(features=())
    own = instance.descriptor
    extra = {"platform": _platform_members(platform)}
    return Instance(Descriptor(own.media_type, own.digest, own.size, own.urls, extra=extra), platform)


def _platform_members(platform: Platform) -> dict[str, Any]:
    members = {
        "architecture": platform.architecture,
        "os": platform.os,
        "os.version": platform.os_version,
        "os.features": list(platform.os_features),
        "variant": platform.variant,
        "features": list(platform.features),
    }
    return {name: value for name, value in members.items() if value or name in ("architecture", "os")}


def _encoded(media_type: str, instances: Iterable[Instance], members: Mapping[str, Any]) -> bytes:
    is_oci = media_type == OCI_INDEX
    as_members = oci_members if is_oci else docker_members
    written: dict[str, Any] = {
        **members,
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [as_members(_ordered(instance.descriptor)) for instance in instances],
    }
    if is_oci and written.get("annotations"):
        written["annotations"] = dict(sorted(written["annotations"].items()))
    if is_oci and written.get("subject"):
        written["subject"] = oci_members(parse_descriptor(written["subject"], "image index.subject"))
    order = _OCI_ORDER if is_oci else _DOCKER_ORDER
    known = {name: written[name] for name in order if written.get(name) or name == "manifests"}
    others = {name: value for name, value in written.items() if name not in order}
    return dump_json({**known, **others})


def _ordered(descriptor: Descriptor) -> Descriptor:
    platform = descriptor.extra.get("platform")
    if not isinstance(platform, dict):
        return descriptor
    known = {name: platform[name] for name in _PLATFORM_ORDER if name in platform}
    return descriptor._replace(extra={**descriptor.extra, "platform": {**known, **platform}})
