"""The transport ``fsspec:``, and the entry point of the plugin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from transship import hookimpl
from transship.errors import InvalidManifestError, NotFoundError, TransportError, UnsupportedError
from transship.image.digest import Digest
from transship.image.media_types import INDEX_TYPES
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

from .deletion import delete_image
from .destination import FsspecDestination
from .layout import LayoutIndex, find_layout, needed_blobs, read_layout, remove_entry
from .reference import FsspecReference, parse_place, parse_reference, validate_scope
from .source import FsspecSource
from .store import Store, blob_name
from .stores import store_to_read, store_to_write


class FsspecTransport(Transport):
    """OCI image layouts on any file system of fsspec's. It lists tags and digests, and deletes."""

    name = "fsspec"
    options = (
        TransportOption("endpoint-url", "s3: where the service is, if that is not Amazon's"),
        TransportOption("profile", "s3: the profile of Amazon's configuration files"),
        TransportOption("anonymous", "s3: use no credentials", kind="bool"),
        TransportOption("known-hosts", "sftp: file of the host keys to believe, instead of OpenSSH's", kind="path"),
    )

    def parse_reference(self, text: str) -> Reference:
        return parse_reference(text)

    def parse_place(self, text: str) -> Reference:
        """Read what follows ``fsspec:`` as a layout, not as one of its images."""
        return parse_place(text)

    def validate_policy_scope(self, scope: str) -> None:
        validate_scope(scope)

    def open_source(self, reference: Reference, context: Context) -> Source:
        mine = _own(reference)
        store = store_to_read(mine.place, context)
        try:
            return FsspecSource(store, mine)
        except BaseException:
            store.close()
            raise

    def open_destination(self, reference: Reference, context: Context) -> Destination:
        mine = _own(reference)
        if mine.position is not None:
            raise UnsupportedError(f"{mine}: an image is written under a name, not at a position")
        return FsspecDestination(store_to_write(mine.place, context), mine, context)

    def list_tags(self, place: Reference, context: Context) -> TagList:
        """The names in the index, in its order."""
        with _read(place, context) as (_, index):
            return TagList("", list(dict.fromkeys(entry.name for entry in index.entries if entry.name)))

    def list_digests(self, place: Reference, context: Context) -> TagDigests:
        """The names in the index, in its order, and what they name."""
        with _read(place, context) as (_, index):
            digests: dict[str, Digest | None] = {}
            for entry in index.entries:
                if entry.name:
                    digests.setdefault(entry.name, entry.descriptor.digest)
            return TagDigests("", digests)

    def delete(self, reference: Reference, context: Context) -> None:
        """Take the image out of the index, and remove the blobs that no other image there needs."""
        mine = _own(reference)
        with _changing(mine, context) as store:
            delete_image(store, mine, context)

    def delete_tag(self, reference: Reference, context: Context) -> None:
        """Leave the image in the index, without a name."""
        mine = _own(reference)
        if not mine.tag:
            raise UnsupportedError(f"{mine} has no tag to delete")
        with _changing(mine, context) as store, store.locked():
            remove_entry(store, mine, only_name=True)

    def get_digest(
        self, reference: Reference, context: Context, *, instance: Digest | None = None, for_writing: bool = False
    ) -> ManifestIdentity | None:
        """Which image is there, None if there is none or something is missing of it."""
        mine = _own(reference)
        store = store_to_read(mine.place, context)
        try:
            index = find_layout(store)
            entry = index and index.find(mine)
            if not entry:
                return None
            needed = needed_blobs(store, entry.descriptor)
            if any(store.size(blob_name(digest)) != size for digest, size in needed.items()):
                return None
            if instance is None:
                return ManifestIdentity(entry.descriptor.digest, entry.descriptor.media_type)
            is_there = entry.descriptor.media_type in INDEX_TYPES and instance in needed
            return ManifestIdentity(instance, "") if is_there else None
        except (NotFoundError, InvalidManifestError, TransportError):
            return None  # reading the image says what is wrong
        finally:
            store.close()

    def may_be_signed(self, reference: Reference, context: Context) -> bool:
        """Never: a layout holds no signatures."""
        return False


@contextmanager
def _read(place: Reference, context: Context) -> Iterator[tuple[Store, LayoutIndex]]:
    mine = _own(place)
    store = store_to_read(mine.place, context)
    try:
        yield store, read_layout(store, mine.place)
    finally:
        store.close()


@contextmanager
def _changing(reference: FsspecReference, context: Context) -> Iterator[Store]:
    if reference.place.folder is not None:
        raise UnsupportedError(f"{reference}: nothing can be deleted from an archive")
    store = store_to_write(reference.place, context)
    try:
        read_layout(store, reference.place)  # before a lock makes a folder where there is none
        yield store
    finally:
        store.close()


def _own(reference: Reference) -> FsspecReference:
    if not isinstance(reference, FsspecReference):
        raise UnsupportedError(f"{reference} is no reference of fsspec:")
    return reference


@hookimpl
def transship_transports() -> list[Transport]:
    """Offer the transport; this module is the entry point."""
    return [FsspecTransport()]
