"""Which manifest a tag names, told by a registry's answer to HEAD."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

from transship.errors import InvalidDigestError, TransshipError
from transship.image.digest import Digest
from transship.image.index import parse_index
from transship.image.media_types import INDEX_TYPES
from transship.image.reference import DockerReference
from transship.plugin.context import Context
from transship.plugin.transport import ManifestIdentity
from transship_docker.access import RegistryAccess
from transship_docker.client import RegistryClient
from transship_docker.manifests import ACCEPT_HEADERS, declared_media_type, request_manifest
from transship_docker.signature_storage import ImageSignatures


def identity_at_source(image: DockerReference, context: Context, instance: Digest | None) -> ManifestIdentity | None:
    """What the first mirror or registry that answers says."""
    access = RegistryAccess.load(context)
    *mirrors, last = access.endpoints(image)
    for endpoint in mirrors:
        try:
            with closing(access.reader(endpoint, image)) as client:
                return _identity(client, endpoint.reference, instance)
        except TransshipError as error:  # as when it is read: the next one is asked
            context.cancellation.check()
            access.note_failure(endpoint, error)
    with closing(access.reader(last, image)) as client:
        return _identity(client, last.reference, instance)


def identity_at_destination(
    image: DockerReference, context: Context, instance: Digest | None
) -> ManifestIdentity | None:
    """What the registry itself says; of an index, only if it has all instances."""
    with closing(RegistryAccess.load(context).client(image, "pull,push")) as client:
        found = _identity(client, image, instance)
        if found is not None and found.media_type in INDEX_TYPES and not _has_all(client, image, found):
            return None
        return found


def may_be_signed(image: DockerReference, context: Context) -> bool:
    """Whether there may be signatures of the image, where it is read."""
    access = RegistryAccess.load(context)
    for endpoint in access.endpoints(image):
        with closing(access.reader(endpoint, image)) as client:
            if ImageSignatures.load(client, endpoint.reference, context).may_exist:
                return True
    return False


def _identity(client: RegistryClient, image: DockerReference, instance: Digest | None) -> ManifestIdentity | None:
    wanted = instance or image.digest
    response = client.request(
        "HEAD",
        f"/v2/{image.path}/manifests/{wanted or image.tag}",
        headers=ACCEPT_HEADERS,
        accept_statuses=(200, 404),
    )
    if response.status_code != 200:
        return None
    try:
        digest = Digest.parse(response.headers.get("docker-content-digest", ""))
    except InvalidDigestError:
        return None
    if wanted is not None and digest != wanted:
        return None
    return ManifestIdentity(digest, declared_media_type(response.headers.get("content-type", "")))


def _has_all(client: RegistryClient, image: DockerReference, found: ManifestIdentity) -> bool:
    raw = request_manifest(client, replace(image, tag="", digest=found.digest))
    index = parse_index(raw.data, found.media_type)
    return all(_identity(client, image, entry.digest) is not None for entry in index.instances)
