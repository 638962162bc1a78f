"""Decisions of a copy: which manifest type, and what happens to a layer. Pure functions."""

from __future__ import annotations

import enum
import json
from collections.abc import Sequence
from typing import NamedTuple

from transship.errors import UnsupportedError
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest
from transship.image.media_types import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA1_SIGNED,
    IMAGE_TYPES,
    INDEX_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
)
from transship.plugin.compression import Compression
from transship.plugin.transport import LayerCompression


class TypePlan(NamedTuple):
    """The manifest type to write, and those to try in turn if the destination rejects it."""

    preferred: str
    fallbacks: tuple[str, ...] = ()


def plan_manifest_type(
    source_type: str,
    accepted: Sequence[str] | None,
    *,
    forced: str = "",
    compression: str = "",
    locked: bool = False,
) -> TypePlan:
    """Choose the manifest type.

    ``accepted`` is what the destination takes, None: anything. ``forced`` replaces it. ``compression`` is one that
    was asked for by name. ``locked``: the manifest must not change, so the source's type is written whatever it is.
    """
    candidates = [forced] if forced else [kind for kind in accepted or IMAGE_TYPES if kind in IMAGE_TYPES]
    usable = [kind for kind in candidates if _has_word_for(kind, compression)]
    if not usable:
        raise UnsupportedError(_no_type_for(compression, forced, accepted or IMAGE_TYPES))
    if locked:
        return TypePlan(source_type)
    order = [kind for kind in (source_type, DOCKER_MANIFEST, DOCKER_SCHEMA1_SIGNED) if kind in usable]
    unique = list(dict.fromkeys([*order, *usable]))
    return TypePlan(unique[0], tuple(unique[1:]))


def _has_word_for(manifest_type: str, compression: str) -> bool:
    return compression in ("", "gzip") or manifest_type == OCI_MANIFEST


def _no_type_for(compression: str, forced: str, accepted: Sequence[str]) -> str:
    if forced:
        return f"compression using {compression} required together with format {forced}, which does not support it"
    return (
        f"compression using {compression} required but the destination only supports MIME types "
        f"[{', '.join(accepted)}], none of which support it"
    )


def plan_index_type(source_type: str, accepted: Sequence[str] | None, *, forced: str = "") -> TypePlan:
    """Choose the type of an index. ``forced`` is an image's or index's type. Raises if there is none."""
    if forced:
        usable = [OCI_INDEX if forced in (OCI_MANIFEST, OCI_INDEX) else DOCKER_LIST]
    else:
        usable = [kind for kind in accepted or INDEX_TYPES if kind in INDEX_TYPES]
    order = [source_type] if source_type in usable else []
    unique = list(dict.fromkeys([*order, *usable]))
    return TypePlan(unique[0], tuple(unique[1:]))


def takes_indexes(accepted: Sequence[str] | None) -> bool:
    """Whether a destination that takes these types can hold an index."""
    return accepted is None or any(kind in INDEX_TYPES for kind in accepted)


class LayerTask(NamedTuple):
    """One layer of one image.

    ``diff_id`` is what the config says of it, None if nothing; ``needs_diff_id``: it must be known afterwards.
    ``may_change`` holds, for each target, whether the layer may be compressed otherwise there.
    """

    descriptor: Descriptor
    diff_id: Digest | None
    needs_diff_id: bool
    may_change: tuple[bool, ...]

    @property
    def is_surely_uncompressed(self) -> bool:
        """Whether the layer's own digest says that it is what the config promises after decompression."""
        return self.diff_id is not None and self.diff_id == self.descriptor.digest


class LayerAction(enum.Enum):
    """What happens to the bytes of a layer on their way."""

    PRESERVE = enum.auto()
    COMPRESS = enum.auto()
    RECOMPRESS = enum.auto()
    DECOMPRESS = enum.auto()


def plan_layer(
    wish: LayerCompression, found: str | None, requested: str, *, may_change: bool
) -> tuple[LayerAction, str | None]:
    """What to do with a layer that is compressed by ``found`` (None: it is not), and its compression afterwards.

    ``requested`` is a compression asked for by name, ``""``: none. ``may_change`` is False if the manifest is locked
    or the layer's media type is not one of an image's.
    """
    if may_change and wish is LayerCompression.COMPRESS:
        if found is None:
            return LayerAction.COMPRESS, requested or "gzip"
        if requested and found != requested:
            return LayerAction.RECOMPRESS, requested
    if may_change and wish is LayerCompression.DECOMPRESS and found is not None:
        return LayerAction.DECOMPRESS, None
    return LayerAction.PRESERVE, found


def foreseen_compression(wish: LayerCompression, task: LayerTask, requested: str, *, may_change: bool) -> str:
    """The compression that ``plan_layer`` will surely give to a layer; ``""``: none, or only its bytes can tell.

    Where that is so, the layer's diff ID is known.
    """
    if not may_change or wish is not LayerCompression.COMPRESS or task.diff_id is None:
        return ""
    if task.is_surely_uncompressed:
        return requested or "gzip"
    # All words for a compression in media types of layers are their ends: tar+zstd, tar.gzip.
    return "" if task.descriptor.media_type.endswith(requested) else requested


def recipe(compression: Compression, level: int | None) -> str:
    """All that the compressed bytes depend on besides the content, as text."""
    return json.dumps({**compression.describe(), "algorithm": compression.name, "asked level": level}, sort_keys=True)
