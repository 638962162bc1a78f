"""Reading an image from a registry, or from a mirror of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from transship.errors import (
    CancelledError,
    DeadlineExceededError,
    InvalidReferenceError,
    TransshipError,
)
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest
from transship.image.identification import manifest_digest
from transship.plugin.blob import Content
from transship.plugin.signature import Signature
from transship.plugin.transport import RawManifest, Referrer, Source
from transship_docker.access import RegistryAccess
from transship_docker.blob_cache import open_cache, save_cache
from transship_docker.client import RegistryClient
from transship_docker.downloads import Download, OpenPlace
from transship_docker.errors import BlobUnknownError, RegistryError, while_doing
from transship_docker.external import external_places, fetchable_urls
from transship_docker.manifests import get_manifest
from transship_docker.rate_limit import RateLimit
from transship_docker.reference import UNKNOWN_DIGEST, RegistryReference
from transship_docker.registries import Endpoint

if TYPE_CHECKING:
    from transship_docker.messages import Response

_Answer = TypeVar("_Answer")


class RegistrySource(Source):
    """An image in a registry. What one mirror does not give, the next one is asked for, the registry itself last."""

    parallel = True

    def __init__(self, reference: RegistryReference, access: RegistryAccess) -> None:
        if reference.has_unknown_digest:
            raise InvalidReferenceError(
                f'reading images from docker: reference "//{reference.image.name}{UNKNOWN_DIGEST}" '
                "without a tag or digest is not supported"
            )
        self._image = reference.image
        self._access = access
        self._endpoints = access.endpoints(reference.image)
        self._clients: dict[int, RegistryClient] = {}
        self._lock = threading.Lock()
        self._first = 0
        self._blobs_read = 0
        self._cache = open_cache(access.context)
        context = access.context
        self._limit = context.obtain("docker rate limit", lambda: RateLimit.of(context.options, context.cancellation))
        try:
            self._first, self._manifest = self._from_any(
                lambda client, endpoint: get_manifest(client, endpoint.reference)
            )
            self._note(self._first, self._manifest)
        except BaseException:
            self.close()
            raise

    def get_manifest(self, instance: Digest | None = None) -> RawManifest:
        if instance is None:
            return self._manifest
        number, manifest = self._from_any(
            lambda client, endpoint: get_manifest(client, replace(endpoint.reference, tag="", digest=instance))
        )
        self._note(number, manifest)
        return manifest

    def get_blob(self, descriptor: Descriptor) -> Content:
        return self.get_blob_from(descriptor, 0)

    def get_blob_from(self, descriptor: Descriptor, offset: int) -> Content:
        """The bytes of a blob from ``offset`` on; they alone come over the line where the registry can do that."""
        self._blobs_read += 1
        return self._limit.applied(self._download(descriptor, offset))

    def _download(self, descriptor: Descriptor, offset: int) -> Content:
        if urls := fetchable_urls(descriptor):
            places = external_places(self._client(self._first).network, urls)
            return Download(places, self._access.context.cancellation, offset=offset, expected_size=descriptor.size)
        first = self._first
        download = Download(
            [self._place(number, descriptor.digest) for number in range(first, len(self._endpoints))],
            self._access.context.cancellation,
            offset=offset,
            expected_size=descriptor.size,
            on_abandoned=lambda number: self._abandon(first + number),
        )
        if first + 1 == len(self._endpoints) and not offset and download.size >= 0:
            image = self._endpoints[first].reference
            self._cache.note_size(image.domain, image.path, descriptor.digest, download.size)
        return download

    def get_signatures(self, instance: Digest | None = None) -> Sequence[Signature]:
        from transship_docker.signature_storage import ImageSignatures  # an inspection reads none

        digest = instance or manifest_digest(self._manifest.data, self._manifest.media_type)
        image = self._endpoints[self._first].reference
        return ImageSignatures.load(self._client(self._first), image, self._access.context).read(digest)

    def list_referrers(self, digest: Digest) -> Sequence[Referrer]:
        """What refers to a manifest, as the place says that gave it."""
        from transship_docker.referrers import list_referrers  # hardly any run wants to know

        _, found = self._from_any(lambda client, endpoint: list_referrers(client, endpoint.reference, digest))
        return found

    def close(self) -> None:
        if self._blobs_read > 1:  # one is a config that somebody wanted to see: not worth opening a database
            save_cache(self._access.context, self._cache)
        with self._lock:
            clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close()

    def _note(self, number: int, manifest: RawManifest) -> None:
        """Remember which blobs are there, so that a copy within the registry may mount them."""
        image = self._endpoints[number].reference
        self._cache.note_manifest(image.domain, image.path, manifest)

    def _client(self, number: int) -> RegistryClient:
        with self._lock:
            if number not in self._clients:
                self._clients[number] = self._access.reader(self._endpoints[number], self._image)
            return self._clients[number]

    def _from_any(self, ask: Callable[[RegistryClient, Endpoint], _Answer]) -> tuple[int, _Answer]:
        """The first place that answers at all, and its answer."""
        failures: list[TransshipError] = []
        for number in range(self._first, len(self._endpoints)):
            try:
                return number, ask(self._client(number), self._endpoints[number])
            except (CancelledError, DeadlineExceededError):
                raise
            except TransshipError as error:
                self._access.note_failure(self._endpoints[number], error)
                failures.append(error)
        raise self._all_failed(failures)

    def _all_failed(self, failures: Sequence[TransshipError]) -> TransshipError:
        *others, last = failures
        if others:
            places = self._endpoints[-len(failures) :]
            told = "\n".join(f"[{place.reference}: {error}]" for place, error in zip(places[:-1], others, strict=True))
            last.args = (f"(Mirrors also failed: {told}): {places[-1].reference}: {last}",)
        return last

    def _place(self, number: int, digest: Digest) -> OpenPlace:
        path = f"/v2/{self._endpoints[number].reference.path}/blobs/{digest}"

        def ask(headers: Mapping[str, str]) -> Response:
            accepted = (200, 206, 416) if "Range" in headers else (200,)
            try:
                with while_doing("fetching blob"):
                    return self._client(number).open("GET", path, headers=headers, accept_statuses=accepted)
            except RegistryError as error:
                if error.status == 404 and not isinstance(error, BlobUnknownError):
                    raise BlobUnknownError.like(error) from None
                raise

        return ask

    def _abandon(self, number: int) -> None:
        """Do not begin with a place that breaks off."""
        with self._lock:
            self._first = min(max(self._first, number + 1), len(self._endpoints) - 1)
