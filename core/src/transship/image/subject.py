"""What a manifest or index refers to, and the tags at which what refers to it is found."""

from __future__ import annotations

import re

from transship.image.descriptor import parse_descriptor
from transship.image.digest import Digest
from transship.image.manifest import parse_descriptors
from transship.image.media_types import OCI_INDEX, OCI_MANIFEST
from transship.image.strict_json import load_json_object

_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_.-]")
_ATTACHMENTS = (".sig", ".att", ".sbom")


def subject_of(data: bytes, media_type: str) -> Digest | None:
    """The digest that a manifest or index refers to, None if there is none; raises ``InvalidManifestError``.

    See OCI image-spec manifest.md, ``subject``.
    """
    if media_type not in (OCI_MANIFEST, OCI_INDEX):
        return None
    subject = load_json_object(data, "manifest").get("subject")
    return None if subject is None else parse_descriptor(subject, "manifest.subject").digest


def fallback_tag(subject: Digest) -> str:
    """The tag of the index of what refers to ``subject`` (OCI distribution-spec, "Referrers Tag Schema")."""
    return _NOT_IN_TAGS.sub("-", f"{subject.algorithm[:32]}-{subject.encoded[:64]}")


def listed_referrers(data: bytes) -> list[Digest]:
    """The digests in an index of referrers, each once; raises ``InvalidManifestError``."""
    entries = load_json_object(data, "index of referrers").get("manifests")
    found = parse_descriptors(entries, "index of referrers.manifests")
    return list(dict.fromkeys(entry.digest for entry in found))


def attachment_tags(digest: Digest) -> list[str]:
    """The tags at which cosign puts signatures, attestations and bills of materials of a manifest."""
    return [f"{digest.algorithm}-{digest.encoded}{suffix}" for suffix in _ATTACHMENTS]
