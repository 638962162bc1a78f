"""Annotations of manifests and indexes (OCI image-spec annotations.md)."""

from __future__ import annotations

from collections.abc import Mapping

from transship.errors import UnsupportedError
from transship.image.media_types import OCI_INDEX, OCI_MANIFEST
from transship.image.strict_json import dump_json, load_json_object


def annotated(data: bytes, media_type: str, annotations: Mapping[str, str]) -> bytes:
    """The manifest or index ``data`` with ``annotations`` added, or replaced where it has them already.

    Raises ``UnsupportedError`` for Docker's formats, which have no place for them.
    """
    if media_type not in (OCI_MANIFEST, OCI_INDEX):
        raise UnsupportedError(f"annotations need an OCI manifest or index, not {media_type}: add --format oci")
    document = load_json_object(data, "manifest")
    present = document.get("annotations") or {}
    document["annotations"] = dict(sorted({**present, **annotations}.items()))
    return dump_json(document)
