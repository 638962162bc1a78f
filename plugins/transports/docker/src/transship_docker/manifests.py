"""Getting a manifest, and making sure that it is the right one."""

from __future__ import annotations

from transship.errors import ContentMismatchError, InvalidDigestError, TransportError
from transship.image.digest import Digest
from transship.image.identification import manifest_digest
from transship.image.media_types import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA1,
    DOCKER_SCHEMA1_SIGNED,
    OCI_INDEX,
    OCI_MANIFEST,
)
from transship.image.reference import DockerReference
from transship.plugin.transport import RawManifest
from transship_docker.client import RegistryClient
from transship_docker.errors import RegistryError

ACCEPTED_TYPES = (OCI_MANIFEST, DOCKER_MANIFEST, DOCKER_SCHEMA1_SIGNED, DOCKER_SCHEMA1, DOCKER_LIST, OCI_INDEX)

ACCEPT_HEADERS = [("Accept", media_type) for media_type in ACCEPTED_TYPES]
"""The types that we understand, as a registry is told."""

_MEDIA_TYPE_LIMIT = 255


def get_manifest(client: RegistryClient, image: DockerReference) -> RawManifest:
    """The manifest or index of ``image``, by its digest if it has one. Its digest is checked."""
    client.authorize()
    try:
        return request_manifest(client, image)
    except TransportError as error:
        doing = "reading" if isinstance(error, RegistryError) else "fetching"
        error.args = (f"{doing} manifest {image.digest or image.tag} in {image.name}: {error}",)
        raise


def request_manifest(client: RegistryClient, image: DockerReference) -> RawManifest:
    """As ``get_manifest``, but errors say only what the registry says."""
    response = client.request(
        "GET",
        f"/v2/{image.path}/manifests/{image.digest or image.tag}",
        headers=ACCEPT_HEADERS,
    )
    raw = RawManifest(response.content, declared_media_type(response.headers.get("content-type", "")))
    _check(raw, image, response.headers.get("docker-content-digest", ""))
    return raw


def declared_media_type(declared: str) -> str:
    """The type without its parameters, ``""`` if it is none."""
    media_type = declared.partition(";")[0].strip().lower()
    is_sound = media_type.count("/") == 1 and media_type.isascii() and media_type.isprintable()
    return media_type if is_sound and " " not in media_type and len(media_type) <= _MEDIA_TYPE_LIMIT else ""


def _check(raw: RawManifest, image: DockerReference, declared: str) -> None:
    expected = image.digest or _declared_digest(declared)
    if expected and manifest_digest(raw.data, raw.media_type, expected.algorithm) != expected:
        raise ContentMismatchError(f"Manifest does not match provided manifest digest {expected}")


def _declared_digest(text: str) -> Digest | None:
    """What the registry says the digest is; of an algorithm that nobody knows, nothing can be said."""
    try:
        return Digest.parse(text)
    except InvalidDigestError:
        return None
