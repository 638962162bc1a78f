"""Manifests and tags of the testing registry."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from transship.errors import TransshipError
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest
from transship.image.identification import manifest_digest
from transship.image.index import parse_index
from transship.image.manifest import parse_manifest
from transship.image.media_types import IMAGE_TYPES, INDEX_TYPES, OCI_INDEX, OCI_MANIFEST, SCHEMA1_TYPES
from transship.image.schema1 import parse_schema1
from transship.image.strict_json import METADATA_LIMIT, load_json_object
from transship.testing.registry_content import Content, Repository, Store, StoredManifest
from transship.testing.registry_messages import Headers, Refusal, Request, Response
from transship.testing.registry_routes import Behaviour, Route, digest_in

_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")


class Manifests:
    """The endpoint of manifests."""

    def __init__(self, store: Store, behaviour: Behaviour) -> None:
        self._store, self._behaviour = store, behaviour

    def routes(self) -> list[Route]:
        """What is answered here."""
        methods = {"GET": self._get, "HEAD": self._get, "PUT": self._put, "DELETE": self._delete}
        return [Route(r"/v2/(?P<name>.+)/manifests/(?P<last>[^/]+)", methods)]

    def _get(self, request: Request, name: str, last: str) -> Response:
        with self._store.lock:
            digest, stored = self._find(name, last)
        if not _accepts(request, stored.media_type):
            raise Refusal(404, "MANIFEST_UNKNOWN", f"{stored.media_type} found, but Accept does not allow it")
        headers = {"Content-Type": stored.media_type, "Docker-Content-Digest": str(digest), "ETag": f'"{digest}"'}
        return Response(200, Headers(headers), Content(stored.data))

    def _find(self, name: str, reference: str) -> tuple[Digest, StoredManifest]:
        repository = self._store.repositories.get(name)
        if repository is None:
            raise Refusal(404, "NAME_UNKNOWN", "repository name not known to registry", {"name": name})
        digest = digest_in(reference) if ":" in reference else repository.tags.get(reference)
        stored = repository.manifests.get(digest) if digest else None
        if digest is None or stored is None:
            raise Refusal(404, "MANIFEST_UNKNOWN", "manifest unknown", {"Tag": reference})
        return digest, stored

    def _put(self, request: Request, name: str, last: str) -> Response:
        media_type = request.headers.get("Content-Type").partition(";")[0].strip()
        data = request.body.read(METADATA_LIMIT)
        headers = self.put(name, last, StoredManifest(data, media_type))
        return Response(201, headers)

    def put(self, name: str, reference: str, manifest: StoredManifest) -> Headers:
        """Check and keep a manifest under a tag or its digest; what the answer has to say."""
        self._check_type(manifest.media_type)
        wanted = digest_in(reference) if ":" in reference else None
        if wanted is None and not _TAG.fullmatch(reference):
            raise Refusal(400, "TAG_INVALID", "manifest tag did not match URI")
        try:
            digest = manifest_digest(manifest.data, manifest.media_type, wanted.algorithm if wanted else "sha256")
            with self._store.lock:
                held = self._store.repositories.get(name, Repository())
                self._check_content(held, name, reference, manifest)
        except TransshipError as error:
            raise Refusal(400, "MANIFEST_INVALID", str(error)) from None
        if wanted not in (None, digest):
            raise Refusal(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        with self._store.lock:
            repository = self._store.repository(name)
            repository.manifests[digest] = manifest
            if wanted is None:
                repository.tags[reference] = digest
        headers = Headers({"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": str(digest)})
        subject = subject_of(manifest)
        if subject and self._behaviour.referrers:
            headers.set("OCI-Subject", subject)
        return headers

    def _check_type(self, media_type: str) -> None:
        allowed = self._behaviour.manifest_types
        is_known = media_type in (*IMAGE_TYPES, *INDEX_TYPES) and (allowed is None or media_type in allowed)
        if not is_known or (media_type in SCHEMA1_TYPES and not self._behaviour.schema1):
            raise Refusal(400, "MANIFEST_INVALID", f"manifests of type {media_type[:100]!r} are not accepted")

    def _check_content(self, repository: Repository, name: str, reference: str, manifest: StoredManifest) -> None:
        media_type = manifest.media_type
        if media_type in INDEX_TYPES:
            instances = [instance.descriptor for instance in parse_index(manifest.data, media_type).instances]
            if not self._behaviour.sparse_indexes:
                _require(instances, repository.manifests)
            return
        if media_type in SCHEMA1_TYPES:
            document = parse_schema1(manifest.data)
            if document.name != name or (":" not in reference and document.tag != reference):
                raise Refusal(400, "MANIFEST_INVALID", "name or tag of the manifest are not those of its address")
            _require_blobs((entry.blob for entry in document.entries), repository)
            return
        parsed = parse_manifest(manifest.data, media_type)
        local = [layer.descriptor for layer in parsed.layers if not layer.descriptor.urls]
        _require([*local, *([parsed.config] if parsed.config else [])], repository.blobs)

    def _delete(self, request: Request, name: str, last: str) -> Response:
        is_tag = ":" not in last
        if not self._behaviour.delete_enabled or (is_tag and not self._behaviour.delete_tags):
            raise Refusal(405, "UNSUPPORTED", "The operation is unsupported.")
        with self._store.lock:
            digest, _ = self._find(name, last)
            repository = self._store.repository(name)
            if is_tag:
                del repository.tags[last]
            else:
                del repository.manifests[digest]
                repository.tags = {tag: target for tag, target in repository.tags.items() if target != digest}
        return Response(202)


def _require(descriptors: Iterable[Descriptor], held: Mapping[Digest, Content | StoredManifest]) -> None:
    for descriptor in descriptors:
        found = held.get(descriptor.digest)
        if found is None:
            detail = {"digest": str(descriptor.digest)}
            raise Refusal(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", detail)
        size = found.size if isinstance(found, Content) else len(found.data)
        if descriptor.size != size:
            raise Refusal(400, "MANIFEST_INVALID", f"{descriptor.digest} has {size} bytes, not {descriptor.size}")


def _require_blobs(digests: Iterable[Digest], repository: Repository) -> None:
    for digest in digests:
        if digest not in repository.blobs:
            raise Refusal(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", {"digest": str(digest)})


def subject_of(manifest: StoredManifest) -> str:
    """The digest of the manifest that it refers to as its subject, ``""`` if there is none."""
    if manifest.media_type not in (OCI_MANIFEST, OCI_INDEX):
        return ""
    subject = load_json_object(manifest.data, "manifest").get("subject")
    return str(subject.get("digest", "")) if isinstance(subject, dict) else ""


def _accepts(request: Request, media_type: str) -> bool:
    accepted = [part.partition(";")[0].strip() for line in request.headers.all("Accept") for part in line.split(",")]
    return not accepted or media_type in accepted or "*/*" in accepted or "application/*" in accepted
