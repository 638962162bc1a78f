"""Deleting an image from a registry, and with it every tag that names the same manifest; or a tag alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from transship.errors import InvalidReferenceError, TransportError, UnsupportedError
from transship.image.identification import manifest_digest
from transship.image.reference import DockerReference
from transship_docker.client import RegistryClient
from transship_docker.digests import digest_of_tag
from transship_docker.errors import RegistryError, while_doing
from transship_docker.lookaside import remove_lookaside
from transship_docker.manifests import request_manifest
from transship_docker.registries_d import SignatureStorage

_CANNOT = (400, 404, 405, 501)
"""How registries answer that cannot delete a tag: the distribution-spec says 400 or 405, "Deleting Tags"."""


def delete_image(client: RegistryClient, image: DockerReference, storage: SignatureStorage) -> None:
    """Delete the manifest that ``image`` names, and its signatures in files; raises ``TransportError``."""
    signatures_url = storage.lookaside(image).write_url
    try:
        raw = request_manifest(client, image)
    except RegistryError as error:
        if error.status != 404:
            error.args = (f"deleting {image}: {error}",)
            raise
        # Skopeo ends with 1 here, not with 2 as for an image that is to be read.
        raise TransportError(
            f"Unable to delete {image}. Image may not exist or is not stored with a v2 Schema in a v2 registry"
        ) from None
    digest = manifest_digest(raw.data, raw.media_type)
    with while_doing(f"deleting {image}"):
        client.request("DELETE", f"/v2/{image.path}/manifests/{digest}", accept_statuses=(202,))
    remove_lookaside(signatures_url, digest)


def delete_tag(client: RegistryClient, image: DockerReference, warn: Callable[[str], None]) -> None:
    """Delete the tag of ``image`` and nothing else, if it has the digest that ``image`` has, if it has one.

    Raises ``UnsupportedError`` if the registry cannot do that, and ``TransportError``.
    """
    if not image.tag:
        raise InvalidReferenceError(f"{image} has no tag that could be deleted alone")
    tagged = replace(image, digest=None)
    digest = digest_of_tag(client, image, image.tag)
    if digest is None:
        raise TransportError(f"Unable to delete the tag {tagged}: there is no such tag")
    if image.digest not in (None, digest):
        raise TransportError(f"Unable to delete the tag {tagged}: it names {digest}, not {image.digest}")
    try:
        client.request("DELETE", f"/v2/{image.path}/manifests/{image.tag}", accept_statuses=(202,))
    except RegistryError as error:
        if error.status not in _CANNOT:
            error.args = (f"deleting the tag {tagged}: {error}",)
            raise
        raise UnsupportedError(
            f"the registry cannot delete a tag alone, and has deleted nothing ({error}); "
            f"without --tag-only the manifest goes, and with it every tag that names {digest}"
        ) from error
    if digest_of_tag(client, image, str(digest)) is None:
        warn(f"with the tag {tagged} the registry has let go of the manifest {digest}, too")
