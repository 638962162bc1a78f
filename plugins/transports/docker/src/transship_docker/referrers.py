"""Manifests that refer to a subject: who they are, and how they are entered where the registry does not do it itself.

Then the client maintains an index at a tag that is made from the subject's digest (OCI distribution-spec,
"Referrers Tag Schema"). What refers to an image by a tag of its own, as cosign does it, is found here too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from transship.errors import InvalidManifestError, TransportError
from transship.image.descriptor import Descriptor, oci_members, parse_descriptor, text_map, text_member
from transship.image.digest import Digest, digest_of
from transship.image.media_types import OCI_INDEX, OCI_MANIFEST
from transship.image.reference import DockerReference
from transship.image.strict_json import dump_json, load_json_object
from transship.image.subject import attachment_tags, fallback_tag, listed_referrers
from transship.plugin.transport import Referrer
from transship_docker.client import RegistryClient
from transship_docker.digests import digests_of_tags
from transship_docker.errors import RegistryError, while_doing
from transship_docker.manifest_uploads import ManifestUploader
from transship_docker.manifests import request_manifest
from transship_docker.tags import next_page

_NO_API = (400, 404, 405, 501)
_PAGE_LIMIT = 100
_COUNT_LIMIT = 10_000


def list_referrers(client: RegistryClient, repository: DockerReference, subject: Digest) -> list[Referrer]:
    """All that refers to ``subject`` in a repository, by its ``subject`` or by its tag; raises ``TransshipError``."""
    with while_doing(f"listing what refers to {subject} in {repository.name}"):
        by_subject = _from_api(client, repository, subject)
        if by_subject is None:
            by_subject = _from_fallback_tag(client, repository, subject)
        by_tag = digests_of_tags(client, repository, attachment_tags(subject))
    return [
        *(Referrer(digest) for digest in dict.fromkeys(by_subject)),
        *(Referrer(digest, tag) for tag, digest in by_tag.items() if digest is not None),
    ]


def _from_api(client: RegistryClient, repository: DockerReference, subject: Digest) -> list[Digest] | None:
    """What the registry itself keeps account of, None if it does not."""
    path = f"/v2/{repository.path}/referrers/{subject}"
    found: list[Digest] = []
    for _ in range(_PAGE_LIMIT):
        try:
            response = client.request("GET", path, headers={"Accept": OCI_INDEX})
        except RegistryError as error:
            if error.status in _NO_API:
                return None
            raise
        if response.headers.get("content-type", "").partition(";")[0].strip().lower() != OCI_INDEX:
            return None
        found += listed_referrers(response.content)
        path = next_page(response.headers.get("link", ""), response.url)
        if not path:
            return found
        if len(found) > _COUNT_LIMIT:
            break
    raise TransportError("they never end")


def _from_fallback_tag(client: RegistryClient, repository: DockerReference, subject: Digest) -> list[Digest]:
    try:
        raw = request_manifest(client, replace(repository, tag=fallback_tag(subject), digest=None))
    except RegistryError as error:
        if error.status == 404:
            return []
        raise
    return listed_referrers(raw.data) if raw.media_type == OCI_INDEX else []


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
