"""What tags name, without reading the manifests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from transship.errors import InvalidDigestError
from transship.image.digest import Digest
from transship.image.identification import manifest_digest
from transship.image.reference import DockerReference
from transship_docker.client import RegistryClient
from transship_docker.errors import RegistryError, while_doing
from transship_docker.manifests import ACCEPT_HEADERS, request_manifest

_AT_ONCE = 8
_BATCH = 1000


def digests_of_tags(
    client: RegistryClient, repository: DockerReference, tags: Sequence[str]
) -> Mapping[str, Digest | None]:
    """The digest that each tag names, as the registry says, in order; None if there is no such tag.

    Raises ``TransportError``.
    """
    client.authorize()  # once, rather than by each thread
    found: dict[str, Digest | None] = {}
    pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="transship-digest")
    try:
        for start in range(0, len(tags), _BATCH):
            batch = tags[start : start + _BATCH]
            digests = pool.map(lambda tag: digest_of_tag(client, repository, tag), batch)
            found |= zip(batch, digests, strict=True)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return found


def digest_of_tag(client: RegistryClient, repository: DockerReference, tag: str) -> Digest | None:
    """The digest that one tag names, as the registry says; None if there is no such tag."""
    with while_doing(f"asking for the digest of {repository.name}:{tag}"):
        try:
            response = client.request(
                "HEAD",
                f"/v2/{repository.path}/manifests/{tag}",
                headers=ACCEPT_HEADERS,
            )
            try:
                return Digest.parse(response.headers.get("docker-content-digest", ""))
            except InvalidDigestError:
                raw = request_manifest(client, replace(repository, tag=tag, digest=None))
                return manifest_digest(raw.data, raw.media_type)
        except RegistryError as error:
            if error.status == 404:
                return None
            raise
