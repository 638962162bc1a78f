"""The transport ``docker``: container registries. This module is the plugin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from transship import hookimpl
from transship.image.digest import Digest
from transship.plugin.context import Context
from transship.plugin.transport import (
    Destination,
    ManifestIdentity,
    Reference,
    Source,
    TagDigests,
    TagList,
    Transport,
    TransportOption,
)
from transship_docker.reference import (
    RegistryReference,
    parse_image,
    parse_repository,
    registry_reference,
    validate_registry_scope,
)


class DockerTransport(Transport):
    """``docker://NAME[:TAG][@DIGEST]``.

    What speaks HTTP is imported when a registry is asked: parsing a reference must not take long.
    """

    name = "docker"
    options = (
        TransportOption("authfile", "File of credentials", kind="path"),
        TransportOption("cert-dir", "Folder of certificates of the registry", kind="path"),
        TransportOption("tls-verify", "Require https and verify certificates", kind="bool"),
        TransportOption("tls-details", "File of TLS settings (containers-tls-details.yaml)", kind="path"),
        TransportOption("registries-conf", "File to read instead of registries.conf", kind="path"),
        TransportOption("registries.d", "Folder that says where signatures are", kind="path"),
        TransportOption("user-agent-prefix", "Text to put before the user agent"),
        TransportOption("token-hosts", "Private hosts that a registry may name as token services, with commas"),
        TransportOption("no-cache", "Do not remember where blobs were seen", kind="bool"),
        TransportOption("limit-rate", "Most bytes per second"),
        TransportOption(
            "precompute-digests",
            "Compute digests before uploading, so that nothing is uploaded that is there",
            side="destination",
            kind="bool",
        ),
        TransportOption("chunk-size", "Upload blobs in pieces of so many bytes", side="destination"),
        TransportOption("additional-tags", "Further tags in the same repository, with commas", side="destination"),
    )

    def parse_reference(self, text: str) -> RegistryReference:
        return parse_image(self.name, text)

    def open_source(self, reference: Reference, context: Context) -> Source:
        from transship_docker.access import RegistryAccess
        from transship_docker.source import RegistrySource

        return RegistrySource(registry_reference(reference), RegistryAccess.load(context))

    def open_destination(self, reference: Reference, context: Context) -> Destination:
        from transship_docker.access import RegistryAccess
        from transship_docker.destination import RegistryDestination

        return RegistryDestination(registry_reference(reference), RegistryAccess.load(context))

    def validate_policy_scope(self, scope: str) -> None:
        validate_registry_scope(scope)

    def parse_place(self, text: str) -> RegistryReference:
        """Read the name of a repository."""
        return parse_repository(self.name, text)

    def list_tags(self, place: Reference, context: Context) -> TagList:
        """All tags of the repository, in the registry's order."""
        from transship_docker.access import RegistryAccess
        from transship_docker.tags import iterate_tags

        image = registry_reference(place).image
        client = RegistryAccess.load(context).client(image, "pull")
        try:
            return TagList(image.name, list(iterate_tags(client, image)))
        finally:
            client.close()

    def list_digests(self, place: Reference, context: Context) -> TagDigests:
        """All tags of the repository, and the digests of what they name."""
        from transship_docker.access import RegistryAccess
        from transship_docker.digests import digests_of_tags
        from transship_docker.tags import iterate_tags

        image = registry_reference(place).image
        client = RegistryAccess.load(context).client(image, "pull")
        try:
            return TagDigests(image.name, digests_of_tags(client, image, list(iterate_tags(client, image))))
        finally:
            client.close()

    def delete_tag(self, reference: Reference, context: Context) -> None:
        """Delete the tag; the manifest and its other tags stay."""
        from transship_docker.access import RegistryAccess
        from transship_docker.deletion import delete_tag

        image = registry_reference(reference).image
        client = RegistryAccess.load(context).client(image, "*")
        try:
            delete_tag(client, image, context.warn)
        finally:
            client.close()

    def delete(self, reference: Reference, context: Context) -> None:
        """Delete the manifest, and so all tags that name it."""
        from transship_docker.access import RegistryAccess
        from transship_docker.deletion import delete_image
        from transship_docker.registries_d import SignatureStorage

        image = registry_reference(reference).image
        storage = SignatureStorage.load(context.options.get("registries.d", ""))
        client = RegistryAccess.load(context).client(image, "*")
        try:
            delete_image(client, image, storage)
        finally:
            client.close()

    def iterate_tags(self, place: Reference, context: Context) -> Iterator[str]:
        """All tags of the repository, page by page."""
        from transship_docker.access import RegistryAccess
        from transship_docker.tags import iterate_tags

        image = registry_reference(place).image
        client = RegistryAccess.load(context).client(image, "pull")
        try:
            yield from iterate_tags(client, image)
        finally:
            client.close()

    def get_digest(
        self, reference: Reference, context: Context, *, instance: Digest | None = None, for_writing: bool = False
    ) -> ManifestIdentity | None:
        """What the registry, or a mirror of it, says without giving the manifest."""
        from transship_docker.identities import identity_at_destination, identity_at_source

        find = identity_at_destination if for_writing else identity_at_source
        return find(registry_reference(reference).image, context, instance)

    def may_be_signed(self, reference: Reference, context: Context) -> bool:
        """Whether the configuration names a place for signatures that has any, or may have."""
        from transship_docker.identities import may_be_signed

        return may_be_signed(registry_reference(reference).image, context)


@hookimpl
def transship_transports() -> Iterable[Transport]:
    """Offer ``docker``."""
    return [DockerTransport()]
