"""Telling manifests apart by their content, and their digests. Light, as every command needs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transship.errors import InvalidManifestError
from transship.image.digest import Digest, digest_of
from transship.image.media_types import (
    DOCKER_CONFIG,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA1,
    DOCKER_SCHEMA1_SIGNED,
    IMAGE_TYPES,
    INDEX_TYPES,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    SCHEMA1_TYPES,
)
from transship.image.strict_json import load_json_object


def guess_media_type(data: bytes) -> str:
    """The media type that a manifest or index seems to have by its content, ``""`` if there is no telling."""
    try:
        document = load_json_object(data, "manifest")
    except InvalidManifestError:
        return ""
    declared, version = document.get("mediaType"), document.get("schemaVersion")
    if not isinstance(declared, str | None) or not isinstance(version, int | None):
        return ""
    if declared in (DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX):
        return declared
    if version == 1:
        return DOCKER_SCHEMA1 if document.get("signatures") is None else DOCKER_SCHEMA1_SIGNED
    return _guess_schema2(document) if version == 2 else ""


def _guess_schema2(document: Mapping[str, Any]) -> str:
    config, manifests = document.get("config"), document.get("manifests")
    if not isinstance(config, dict | None) or not isinstance(manifests, list | None):
        return ""
    config_type = (config or {}).get("mediaType") or ""
    if not isinstance(config_type, str):
        return ""
    if config_type == OCI_CONFIG:
        return OCI_MANIFEST
    if config_type == DOCKER_CONFIG:
        return DOCKER_MANIFEST
    if manifests:
        return config_type or OCI_INDEX
    return OCI_MANIFEST


def normalized_media_type(declared: str) -> str:
    """The manifest type to read something as that was declared to be ``declared``.

    What is not known is taken for signed schema 1, the one format that was ever served without a type.
    """
    return declared if declared in (*IMAGE_TYPES, *INDEX_TYPES) else DOCKER_SCHEMA1_SIGNED


def manifest_digest(data: bytes, media_type: str = "", algorithm: str = "sha256") -> Digest:
    """The digest by which a manifest or index is known; a schema 1 manifest's is without its signatures.

    ``media_type`` is what it was declared with, ``""`` to judge by the content alone.
    """
    may_be_schema1 = not media_type or normalized_media_type(media_type) in SCHEMA1_TYPES
    if may_be_schema1 and guess_media_type(data) == DOCKER_SCHEMA1_SIGNED:
        from transship.image.schema1_signature import schema1_payload

        return digest_of(schema1_payload(data), algorithm)
    return digest_of(data, algorithm)
