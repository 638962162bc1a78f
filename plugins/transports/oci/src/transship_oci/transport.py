"""The transport ``oci``: image layouts in folders. This module is the plugin."""

from __future__ import annotations

from collections.abc import Iterable

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
from transship_oci.destination import ACCEPT_UNCOMPRESSED, LINK, SHARED_BLOBS, LayoutDestination
from transship_oci.reference import (
    OciReference,
    layout_reference,
    parse_layout_place,
    parse_layout_reference,
    validate_layout_scope,
)
from transship_oci.source import LayoutSource
from transship_oci.store import FolderStore

ACCEPT_UNCOMPRESSED_OPTION = TransportOption(
    ACCEPT_UNCOMPRESSED, "Keep layers uncompressed that come uncompressed", side="destination", kind="bool"
)


class OciTransport(Transport):
    """``oci:PATH[:REF]`` and, to read and delete, ``oci:PATH:@N``."""

    name = "oci"
    options = (
        TransportOption(SHARED_BLOBS, "Folder that holds the blobs of several layouts", kind="path"),
        ACCEPT_UNCOMPRESSED_OPTION,
        TransportOption(
            LINK,
            "Give blobs of a local source a second name instead of copying them, where that is possible; "
            "both names are then one file",
            side="destination",
            kind="bool",
        ),
    )

    def parse_reference(self, text: str) -> OciReference:
        return parse_layout_reference(self.name, text, takes_index=True)

    def open_source(self, reference: Reference, context: Context) -> Source:
        reference = layout_reference(reference)
        store = FolderStore(reference.path, context.options.get(SHARED_BLOBS, ""), reference.resolved)
        return LayoutSource(store, reference)

    def open_destination(self, reference: Reference, context: Context) -> Destination:
        return LayoutDestination(layout_reference(reference), context)

    def validate_policy_scope(self, scope: str) -> None:
        validate_layout_scope(scope)

    def parse_place(self, text: str) -> OciReference:
        """Read the path of a whole layout."""
        return parse_layout_place(self.name, text)

    def get_digest(
        self, reference: Reference, context: Context, *, instance: Digest | None = None, for_writing: bool = False
    ) -> ManifestIdentity | None:
        """The image in the layout; the blobs must be there, and are not read."""
        from transship_oci.inventory import Inventory  # only a sync asks

        reference = layout_reference(reference)
        inventory = Inventory(reference.path, context.options.get(SHARED_BLOBS, ""))
        return inventory.complete_image(reference, instance)

    def may_be_signed(self, reference: Reference, context: Context) -> bool:
        """Never: a layout holds no signatures."""
        return False

    def list_tags(self, place: Reference, context: Context) -> TagList:
        """The names in ``index.json``."""
        return TagList("", FolderStore(layout_reference(place).path).read_index().names())

    def list_digests(self, place: Reference, context: Context) -> TagDigests:
        """The names in ``index.json``, and the digests beside them."""
        return TagDigests("", FolderStore(layout_reference(place).path).read_index().digests())

    def delete_tag(self, reference: Reference, context: Context) -> None:
        """Take the name from an image, which stays in the layout without one."""
        from transship_oci.deletion import delete_tag

        delete_tag(layout_reference(reference))

    def delete(self, reference: Reference, context: Context) -> None:
        """Delete an image and what only it needs."""
        from transship_oci.deletion import delete_image  # hardly any run deletes

        delete_image(layout_reference(reference), context)


@hookimpl
def transship_transports() -> Iterable[Transport]:
    """Offer ``oci``."""
    return [OciTransport()]
