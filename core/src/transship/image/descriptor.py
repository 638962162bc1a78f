"""Descriptors: a pointer to content by media type, digest and size (OCI image-spec descriptor.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from transship.errors import InvalidDigestError, InvalidManifestError
from transship.image.digest import Digest

_SIZE_LIMIT = 1 << 63
_EXTRA_ORDER = ("data", "platform", "artifactType")


class Descriptor(NamedTuple):
    """Points to a blob or manifest.

    ``media_type`` is ``""`` and ``size`` is -1 (bytes) where unknown: schema 1 says neither. ``digest`` is
    None only for content that is still being made. ``urls`` is where a non-distributable layer may be fetched.
    ``extra`` holds every other member as parsed from JSON (``data``, ``platform``, ``artifactType`` and
    what nobody knows yet), untouched.
    """

    media_type: str
    digest: Digest
    size: int = -1
    urls: tuple[str, ...] = ()
    annotations: Mapping[str, str] | None = None
    extra: Mapping[str, Any] = {}

    def __str__(self) -> str:
        return str(self.digest)


def parse_descriptor(value: Any, where: str) -> Descriptor:
    """Read a descriptor from parsed JSON; raises ``InvalidManifestError``, naming ``where``."""
    if not isinstance(value, dict):
        raise InvalidManifestError(f"{where}: expected a descriptor")
    rest = dict(value)
    return Descriptor(
        media_type=text_member(rest.pop("mediaType", None), f"{where}.mediaType"),
        digest=_digest(rest.pop("digest", None), where),
        size=_size(rest.pop("size", None), where),
        urls=text_list(rest.pop("urls", None), f"{where}.urls"),
        annotations=text_map(rest.pop("annotations", None), f"{where}.annotations"),
        extra=rest,
    )


def oci_members(descriptor: Descriptor) -> dict[str, Any]:
    """The members of a descriptor in an OCI manifest or index, in their order."""
    members: dict[str, Any] = {
        "mediaType": descriptor.media_type,
        "digest": str(descriptor.digest),
        "size": descriptor.size,
    }
    if descriptor.urls:
        members["urls"] = list(descriptor.urls)
    if descriptor.annotations:
        members["annotations"] = dict(sorted(descriptor.annotations.items()))
    known = {name: descriptor.extra[name] for name in _EXTRA_ORDER if name in descriptor.extra}
    return members | known | dict(descriptor.extra)


def docker_members(descriptor: Descriptor) -> dict[str, Any]:
    """The members of a descriptor in a docker manifest or list, in their order."""
    members = oci_members(descriptor)
    first = ("mediaType", "size", "digest")
    return {name: members[name] for name in first} | members


def text_member(value: Any, where: str) -> str:
    """A string of parsed JSON, ``""`` if it is absent; raises ``InvalidManifestError``."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidManifestError(f"{where}: expected a string")
    return value


def text_list(value: Any, where: str) -> tuple[str, ...]:
    """A list of strings of parsed JSON, empty if it is absent; raises ``InvalidManifestError``."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidManifestError(f"{where}: expected an array of strings")
    return tuple(value)


def text_map(value: Any, where: str) -> Mapping[str, str] | None:
    """An object of strings of parsed JSON, None if it is absent; raises ``InvalidManifestError``."""
    if value is None:
        return None
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise InvalidManifestError(f"{where}: expected an object of strings")
    return value


def _digest(value: Any, where: str) -> Digest:
    if not isinstance(value, str):
        raise InvalidManifestError(f"{where}.digest: expected a string")
    try:
        return Digest.parse(value)
    except InvalidDigestError as error:
        raise InvalidManifestError(f"{where}.digest: {error}") from None


def _size(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _SIZE_LIMIT:
        raise InvalidManifestError(f"{where}.size: expected a non-negative integer")
    return value
