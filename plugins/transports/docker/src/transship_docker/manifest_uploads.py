"""Putting manifests and indexes into a repository."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from transship.errors import ContentMismatchError, InvalidDigestError, InvalidManifestError, ManifestRejectedError
from transship.image.digest import Digest
from transship.image.identification import manifest_digest
from transship.image.manifest import parse_manifest
from transship.image.reference import DockerReference
from transship.plugin.cancellation import Cancellation
from transship_docker.backoff import Backoff
from transship_docker.client import RegistryClient
from transship_docker.errors import NetworkError, RegistryError, printable, while_doing
from transship_docker.uploads import SUCCESS

_PATIENCE = 300.0
_REJECTING_CODES = ("MANIFEST_INVALID", "TAG_INVALID")
_REJECTING_TEXT = "Invalid JSON syntax"
_ASKED_AGAIN_BY_CLIENT = (429, 503)
_REFUSING_FOREIGN_LAYERS = 500
"""So docker-registry 2.8 answers unless its validation.manifests.urls allows the URLs."""


class ManifestUploader(NamedTuple):
    """Puts manifests into the repository of ``image``, with its client."""

    client: RegistryClient
    image: DockerReference
    cancellation: Cancellation

    def put(self, data: bytes, media_type: str, tag_or_digest: str) -> Mapping[str, str]:
        """Store a manifest or index; the headers of the answer.

        Raises ``ManifestRejectedError`` if the registry does not want that type, and ``TransshipError``.
        """
        with while_doing(f"uploading manifest {tag_or_digest} to {self.image.name}"):
            try:
                headers = self._sent(data, media_type, tag_or_digest)
            except RegistryError as error:
                if _is_rejection(error):
                    raise ManifestRejectedError(
                        f"uploading manifest {tag_or_digest} to {self.image.name}: {error}"
                    ) from error
                if error.status == _REFUSING_FOREIGN_LAYERS and _has_foreign_layers(data, media_type):
                    error.args = (f"{error}; it has layers with URLs, which the registry may have to be told to allow",)
                raise
        _require_stored(headers.get("docker-content-digest", ""), data, media_type)
        return headers

    def _sent(self, data: bytes, media_type: str, tag_or_digest: str) -> Mapping[str, str]:
        backoff = Backoff(self.cancellation, repeatable=True)
        while True:
            try:
                return self.client.request(
                    "PUT",
                    f"/v2/{self.image.path}/manifests/{tag_or_digest}",
                    headers={"Content-Type": media_type},
                    content=data,
                    accept_statuses=SUCCESS,
                    stall_timeout=_PATIENCE,
                ).headers
            except NetworkError as error:  # putting the same thing twice does no harm
                if not (error.retryable and backoff.wait_after_failure(timed_out=error.timed_out)):
                    raise
            except RegistryError as error:
                if error.status in _ASKED_AGAIN_BY_CLIENT or not backoff.wait_after_status(error.status, {}):
                    raise


def _is_rejection(error: RegistryError) -> bool:
    return error.code in _REJECTING_CODES or (error.code == "UNSUPPORTED" and _REJECTING_TEXT in error.detail)


def _has_foreign_layers(data: bytes, media_type: str) -> bool:
    try:
        return any(layer.descriptor.urls for layer in parse_manifest(data, media_type).layers)
    except InvalidManifestError:
        return False


def _require_stored(declared: str, data: bytes, media_type: str) -> None:
    try:
        stored = Digest.parse(declared)
    except InvalidDigestError:  # what a registry does not say, or in words that nobody knows, cannot be compared
        return
    digest = manifest_digest(data, media_type, stored.algorithm)
    if stored != digest:
        raise ContentMismatchError(f"the registry stored the manifest {digest} as {printable(declared)}")
