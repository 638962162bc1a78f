"""Deleting an image from a registry, and with it every tag that names the same manifest."""

from __future__ import annotations

from transship.errors import TransportError
from transship.image.identification import manifest_digest
from transship.image.reference import DockerReference
from transship_docker.client import RegistryClient
from transship_docker.errors import RegistryError, while_doing
from transship_docker.lookaside import remove_lookaside
from transship_docker.manifests import request_manifest
from transship_docker.registries_d import SignatureStorage


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
