"""The transport ``oci-archive``: image layouts in tar archives. This module is the plugin."""

from __future__ import annotations

from collections.abc import Iterable

from transship import hookimpl
from transship.errors import InvalidReferenceError
from transship.plugin.context import Context
from transship.plugin.transport import Destination, Reference, Source, TagDigests, TagList, Transport
from transship_oci.reference import (
    OciReference,
    layout_reference,
    parse_layout_place,
    parse_layout_reference,
    validate_layout_scope,
)
from transship_oci.source import LayoutSource
from transship_oci.transport import ACCEPT_UNCOMPRESSED_OPTION
from transship_oci_archive.archive import ArchiveStore
from transship_oci_archive.destination import ArchiveDestination


class OciArchiveTransport(Transport):
    """``oci-archive:PATH[:REF]``."""

    name = "oci-archive"
    options = (ACCEPT_UNCOMPRESSED_OPTION,)

    def parse_reference(self, text: str) -> OciReference:
        return self._with_path(parse_layout_reference(self.name, text, takes_index=False))

    def open_source(self, reference: Reference, context: Context) -> Source:
        reference = layout_reference(reference)
        store = ArchiveStore(reference, context)
        try:
            return LayoutSource(store, reference)
        except BaseException:
            store.close()
            raise

    def open_destination(self, reference: Reference, context: Context) -> Destination:
        return ArchiveDestination(layout_reference(reference), context)

    def validate_policy_scope(self, scope: str) -> None:
        validate_layout_scope(scope)

    def parse_place(self, text: str) -> OciReference:
        """Read the path of a whole archive."""
        return self._with_path(parse_layout_place(self.name, text))

    def list_tags(self, place: Reference, context: Context) -> TagList:
        """The names in ``index.json``."""
        store = ArchiveStore(layout_reference(place), context)
        try:
            return TagList("", store.read_index().names())
        finally:
            store.close()

    def list_digests(self, place: Reference, context: Context) -> TagDigests:
        """The names in ``index.json``, and the digests beside them."""
        store = ArchiveStore(layout_reference(place), context)
        try:
            return TagDigests("", store.read_index().digests())
        finally:
            store.close()

    def _with_path(self, reference: OciReference) -> OciReference:
        if not reference.path:
            raise InvalidReferenceError(f'"{self.name}:" needs the path of an archive')
        return reference


@hookimpl
def transship_transports() -> Iterable[Transport]:
    """Offer ``oci-archive``."""
    return [OciArchiveTransport()]
