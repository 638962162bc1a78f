"""Media types of layers: one kind of content, differently compressed."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence

from transship.errors import CompressionUnsupportedError, UnsupportedError
from transship.image.media_types import (
    DOCKER_FOREIGN_LAYER,
    DOCKER_FOREIGN_LAYER_GZIP,
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    DOCKER_LAYER_ZSTD,
    DOCKER_MANIFEST,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
    OCI_NONDISTRIBUTABLE_LAYER,
    OCI_NONDISTRIBUTABLE_LAYER_GZIP,
    OCI_NONDISTRIBUTABLE_LAYER_ZSTD,
    SCHEMA1_TYPES,
)
from transship.image.quoting import quoted

DOCKER_LAYER_TYPES = (
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    DOCKER_LAYER_ZSTD,
    DOCKER_FOREIGN_LAYER,
    DOCKER_FOREIGN_LAYER_GZIP,
)

_UNCOMPRESSED = ""

_FAMILIES: Mapping[str, Sequence[Mapping[str, str]]] = {
    OCI_MANIFEST: (
        {_UNCOMPRESSED: OCI_LAYER, "gzip": OCI_LAYER_GZIP, "zstd": OCI_LAYER_ZSTD},
        {
            _UNCOMPRESSED: OCI_NONDISTRIBUTABLE_LAYER,
            "gzip": OCI_NONDISTRIBUTABLE_LAYER_GZIP,
            "zstd": OCI_NONDISTRIBUTABLE_LAYER_ZSTD,
        },
    ),
    DOCKER_MANIFEST: (
        {_UNCOMPRESSED: DOCKER_LAYER, "gzip": DOCKER_LAYER_GZIP},
        {_UNCOMPRESSED: DOCKER_FOREIGN_LAYER, "gzip": DOCKER_FOREIGN_LAYER_GZIP},
    ),
}
"""Per manifest type the kinds of layers, each with its media type per compression."""

_ONLY_READ = ("bzip2", "xz")
_NO_COMPRESSIONS = ("encrypted",)
_MEDIA_TYPE_SUFFIX = r"[a-z0-9][a-z0-9.-]{0,62}"


class LayerOperation(enum.Enum):
    """What was done to a layer on its way."""

    PRESERVE = "preserve"
    COMPRESS = "compress"
    DECOMPRESS = "decompress"


def can_change_layer_compression(media_type: str, manifest_media_type: str) -> bool:
    """Whether a layer of ``media_type`` in such a manifest is of a kind that has compressed variants."""
    return _family(media_type, manifest_media_type) is not None


def layer_media_type(
    media_type: str, operation: LayerOperation, compression: str | None, manifest_media_type: str
) -> str:
    """The media type of a layer that was of ``media_type``, after ``operation``.

    ``compression`` names how the bytes are compressed now, None: not at all, or nobody knows. Raises
    ``CompressionUnsupportedError`` if the manifest type has no word for it, ``UnsupportedError`` for layers of
    unknown type that were changed.
    """
    if operation is not LayerOperation.DECOMPRESS and compression is None:
        return media_type
    if manifest_media_type in SCHEMA1_TYPES:
        return _schema1_media_type(compression)
    family = _family(media_type, manifest_media_type)
    if family is None:
        if operation is LayerOperation.PRESERVE:
            return media_type
        raise UnsupportedError(f"unsupported MIME type for {operation.value}ion: {quoted(media_type)}")
    if operation is LayerOperation.DECOMPRESS or compression is None:
        return family[_UNCOMPRESSED]
    # What follows the colon refines an algorithm: zstd:chunked is zstd to whoever only reads it.
    return _variant(family, compression.partition(":")[0], media_type, manifest_media_type)


def _schema1_media_type(compression: str | None) -> str:
    if compression not in (None, "gzip"):
        raise CompressionUnsupportedError(f"{compression} compression is not supported in schema 1 images")
    return ""


def has_other_form(media_type: str) -> bool:
    """Whether the media type names an encryption, or a compression that this module does not know: a plugin may."""
    return any(_form(media_type, family) not in ("", *family) for family in _FAMILIES[OCI_MANIFEST])


def _family(media_type: str, manifest_media_type: str) -> Mapping[str, str] | None:
    families = _FAMILIES.get(manifest_media_type, ())
    fitting = (family for family in families if media_type in family.values())
    if manifest_media_type != OCI_MANIFEST:
        return next(fitting, None)
    return next(fitting, next((family for family in families if _is_compression(_form(media_type, family))), None))


def _form(media_type: str, family: Mapping[str, str]) -> str:
    """What stands behind the uncompressed type of ``family`` and a plus, ``""`` if nothing does."""
    before, _, form = media_type.partition("+")
    return form if before == family[_UNCOMPRESSED] else ""


def _is_compression(form: str) -> bool:
    return form not in _NO_COMPRESSIONS and re.fullmatch(_MEDIA_TYPE_SUFFIX, form) is not None


def _variant(family: Mapping[str, str], algorithm: str, media_type: str, manifest_media_type: str) -> str:
    if algorithm in family:
        return family[algorithm]
    is_open = manifest_media_type == OCI_MANIFEST and algorithm not in _ONLY_READ
    if is_open and _is_compression(algorithm):
        return f"{family[_UNCOMPRESSED]}+{algorithm}"
    raise CompressionUnsupportedError(f"{algorithm} compression is not supported for type {quoted(media_type)}")
