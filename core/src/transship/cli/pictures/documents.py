"""Images and their differences as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transship.anatomy.difference import Difference, PartDifference, Sizes
from transship.anatomy.parts import Kind, LayerPart, Part
from transship.image.config import HistoryEntry
from transship.image.descriptor import Descriptor


def part_document(part: Part) -> dict[str, Any]:
    """A part and all in it. Sizes are in bytes, null where they are unknown."""
    document: dict[str, Any] = {
        "kind": part.kind.value,
        "digest": str(part.digest),
        "media_type": part.descriptor.media_type,
        "manifest_size": _size(part.descriptor.size),
        "size": _size(part.size),
        "complete": part.is_complete,
        "problem": part.problem,
        "platform": _platform(part),
        "artifact_type": part.artifact_type,
        "subject": str(part.subject) if part.subject else "",
        "annotations": _sorted(part.annotations),
        "entry_annotations": _sorted(part.descriptor.annotations),
    }
    if part.kind is Kind.INDEX:
        document |= {
            "shared_size": _size(part.shared_size),
            "members": [part_document(member) for member in part.members],
            "members_left_out": part.members_left_out,
        }
    else:
        document |= {
            "config": _descriptor(part.config) if part.config else None,
            "config_members": {name: value for name, value in part.config_members.items() if name != "history"},
            "layers_size": _size(part.layers_size),
            "layers": [_layer(layer) for layer in part.layers],
            "history": [_history(entry) for entry in part.history],
        }
    return document | {
        "signatures": [signature._asdict() for signature in part.signatures],
        "referrers": [{"tag": tag, **part_document(referrer)} for tag, referrer in part.referrers],
        "referrers_left_out": part.referrers_left_out,
        "referrers_problem": part.referrers_problem,
    }


def difference_document(difference: Difference) -> dict[str, Any]:
    """A difference; what only one image has is null in the other's place."""
    return {
        "equal": difference.is_equal,
        "first": _top(difference.first),
        "second": _top(difference.second),
        "sizes": _sizes(difference.sizes),
        "changes": [change._asdict() for change in difference.changes],
        "parts": [_part_difference(part) for part in difference.parts],
    }


def _part_difference(difference: PartDifference) -> dict[str, Any]:
    return {
        "kind": difference.part.kind.value,
        "platform": _platform(difference.part),
        "equal": difference.is_equal,
        "first": _top(difference.first) if difference.first else None,
        "second": _top(difference.second) if difference.second else None,
        "sizes": _sizes(difference.sizes),
        "layers": [
            {
                "first": _layer(change.first) if change.first else None,
                "second": _layer(change.second) if change.second else None,
            }
            for change in difference.layers
        ],
        "changes": [change._asdict() for change in difference.changes],
        "history": [{"only_in": change.side.value, **_history(change.entry)} for change in difference.history],
    }


def _top(part: Part) -> dict[str, Any]:
    return {
        "kind": part.kind.value,
        "digest": str(part.digest),
        "media_type": part.descriptor.media_type,
        "size": _size(part.size),
        "complete": part.is_complete,
        "problem": part.problem,
    }


def _layer(layer: LayerPart) -> dict[str, Any]:
    return {**_descriptor(layer.descriptor), "diff_id": layer.diff_id, "created_by": layer.created_by}


def _descriptor(descriptor: Descriptor) -> dict[str, Any]:
    return {
        "digest": str(descriptor.digest),
        "media_type": descriptor.media_type,
        "size": _size(descriptor.size),
        "annotations": _sorted(descriptor.annotations),
        "urls": list(descriptor.urls),
    }


def _history(entry: HistoryEntry) -> dict[str, Any]:
    return entry._asdict()


def _sizes(sizes: Sizes) -> dict[str, int | None]:
    return {name: _size(value) for name, value in sizes._asdict().items()}


def _size(size: int) -> int | None:
    return size if size >= 0 else None


def _platform(part: Part) -> dict[str, Any] | None:
    if part.platform is None:
        return None
    platform = part.platform
    return {
        "os": platform.os,
        "architecture": platform.architecture,
        "variant": platform.variant,
        "os_version": platform.os_version,
    }


def _sorted(annotations: Mapping[str, str] | None) -> dict[str, str]:
    return dict(sorted((annotations or {}).items()))
