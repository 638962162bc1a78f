"""Manifests that refer to a subject, where the registry does not keep account of them itself.

Then the client maintains an index at a tag that is made from the subject's digest (OCI distribution-spec,
"Referrers Tag Schema").
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from transship.errors import InvalidManifestError
from transship.image.descriptor import Descriptor, oci_members, parse_descriptor, text_map, text_member
from transship.image.digest import Digest, digest_of
from transship.image.media_types import OCI_INDEX, OCI_MANIFEST
from transship.image.strict_json import dump_json, load_json_object
from transship_docker.errors import RegistryError, while_doing
from transship_docker.manifest_uploads import ManifestUploader
from transship_docker.manifests import request_manifest

_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_.-]")


def fallback_tag(subject: Digest) -> str:
    """The tag of the index of what refers to ``subject``."""
    return _NOT_IN_TAGS.sub("-", f"{subject.algorithm[:32]}-{subject.encoded[:64]}")


def subject_of(data: bytes, media_type: str) -> Digest | None:
    """The digest that a manifest or index refers to, None if there is none."""
    if media_type not in (OCI_MANIFEST, OCI_INDEX):
        return None
    subject = load_json_object(data, "manifest").get("subject")
    return None if subject is None else parse_descriptor(subject, "manifest.subject").digest


def add_referrer(manifests: ManifestUploader, subject: Digest, data: bytes) -> None:
    """Enter the manifest or index ``data`` among what refers to ``subject``; raises ``TransshipError``."""
    tag, entry = fallback_tag(subject), _described(data)
    with while_doing(f"updating the referrers of {subject}"):
        index = _current(manifests, tag)
        entries = index["manifests"]
        if not any(isinstance(known, dict) and known.get("digest") == entry["digest"] for known in entries):
            manifests.put(dump_json(index | {"manifests": [*entries, entry]}), OCI_INDEX, tag)


def _current(manifests: ManifestUploader, tag: str) -> dict[str, Any]:
    try:
        raw = request_manifest(manifests.client, replace(manifests.image, tag=tag, digest=None))
    except RegistryError as error:
        if error.status != 404:
            raise
        return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    index = load_json_object(raw.data, "index")
    entries = index.get("manifests")
    if raw.media_type != OCI_INDEX or not isinstance(entries, list | None):
        raise InvalidManifestError(f"what is at the tag {tag} is no index of referrers")
    return index | {"manifests": entries or []}


def _described(data: bytes) -> dict[str, Any]:
    document = load_json_object(data, "manifest")
    is_index = document.get("mediaType") == OCI_INDEX or "manifests" in document
    artifact_type = text_member(document.get("artifactType"), "manifest.artifactType")
    if not artifact_type and not is_index:
        artifact_type = parse_descriptor(document.get("config"), "manifest.config").media_type
    return oci_members(
        Descriptor(
            OCI_INDEX if is_index else OCI_MANIFEST,
            digest_of(data),
            len(data),
            annotations=text_map(document.get("annotations"), "manifest.annotations"),
            extra={"artifactType": artifact_type} if artifact_type else {},
        )
    )
