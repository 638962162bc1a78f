"""Writing an image into a layout."""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from transship.errors import InvalidReferenceError, ManifestRejectedError, TransportError
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest, digest_of
from transship.image.media_types import OCI_INDEX, OCI_MANIFEST
from transship.plugin.blob import BlobReader, FileContent
from transship.plugin.context import Context
from transship.plugin.files import locked, read_regular, remove_stale, reporting, sync_folder, write_file
from transship.plugin.transport import Destination, DestinationTraits, LayerCompression, Referrer
from transship_oci.blob_folder import BlobFolder, StagedBlobs, make_folders
from transship_oci.layout import (
    INDEX_FILE,
    LAYOUT_CONTENT,
    LAYOUT_FILE,
    READABLE_TYPES,
    IndexEntry,
    LayoutIndex,
    new_entry,
)
from transship_oci.reference import OciReference
from transship_oci.store import FolderStore

ACCEPT_UNCOMPRESSED = "accept-uncompressed-layers"
LINK = "link"
SHARED_BLOBS = "shared-blob-dir"


class WrittenManifest(NamedTuple):
    """The manifest or index that the reference will name."""

    media_type: str
    digest: Digest
    size: int


def layout_traits(context: Context, *, parallel: bool) -> DestinationTraits:
    """What every layout takes, in a folder or in an archive."""
    return DestinationTraits(
        manifest_types=(OCI_MANIFEST, OCI_INDEX),
        compression=LayerCompression.KEEP if context.flag(ACCEPT_UNCOMPRESSED) else LayerCompression.COMPRESS,
        accepts_foreign_urls=True,
        parallel=parallel,
        refuses_signatures="Pushing signatures for OCI images is not supported",
    )


def describe_manifest(data: bytes, media_type: str, instance: Digest | None) -> WrittenManifest:
    """Digest and size of a manifest; raises ``ManifestRejectedError`` for a type that no layout can name."""
    if media_type not in READABLE_TYPES:
        shown = media_type or "unknown"
        raise ManifestRejectedError(f"an OCI layout cannot hold a manifest of type {shown!r}")
    return WrittenManifest(media_type, instance or digest_of(data), len(data))


class LayoutDestination(Destination):
    """A layout in a folder, new or existing; others may write to it at the same time."""

    def __init__(self, reference: OciReference, context: Context) -> None:
        if reference.index is not None:
            raise InvalidReferenceError(f"Destination reference must not contain a manifest index @{reference.index}")
        self._reference = reference
        self._path = reference.path or "."
        self._traits = layout_traits(context, parallel=True)
        self._blobs, self._shared = self._blob_folder(context)
        self._made: list[str] = []
        self._committed = False
        self._top: WrittenManifest | None = None
        self._referrers: list[IndexEntry] = []
        self._current_index()

    @property
    def traits(self) -> DestinationTraits:
        return self._traits

    def reuse_blob(self, descriptor: Descriptor) -> Descriptor | None:
        size = self._blobs.find(descriptor)
        return None if size is None else descriptor._replace(size=size)

    def find_partial(self, descriptor: Descriptor) -> FileContent | None:
        """What a copy that was broken off has left of a blob."""
        return self._blobs.find_partial(descriptor)

    def put_blob(self, blob: BlobReader) -> None:
        self._blobs.store(blob)

    def put_manifest(self, data: bytes, media_type: str, instance: Digest | None = None) -> None:
        manifest = describe_manifest(data, media_type, instance)
        self._blobs.store_bytes(data, manifest.digest)
        if instance is None:
            self._top = manifest

    def put_referrer(self, referrer: Referrer, data: bytes, media_type: str) -> None:
        """What refers to an image gets an entry of its own, with a name if it is found by a tag."""
        self._referrers.append(new_entry(media_type, referrer.digest, len(data), referrer.tag))

    def commit(self) -> None:
        with reporting("write", self._path):
            self._make_folders()
            with locked(self._path):
                self._write_index()
                self._remove_leftovers()
        self._committed = True

    def close(self) -> None:
        if self._committed:
            return
        self._blobs.abandon()
        while self._made:
            with contextlib.suppress(OSError):
                os.rmdir(self._made.pop())

    def _blob_folder(self, context: Context) -> tuple[BlobFolder, bool]:
        shared = context.options.get(SHARED_BLOBS, "")
        own = os.path.join(self._path, "blobs")
        within = shared or self._path
        root = shared or own
        others = context.obtain(("oci staged blobs", root), StagedBlobs)
        return BlobFolder(root, within, prefers_links=context.flag(LINK), others=others), bool(shared)

    def _current_index(self) -> LayoutIndex:
        if not os.path.lexists(os.path.join(self._path, INDEX_FILE)):
            if os.path.lexists(self._path) and not os.path.isdir(self._path):
                raise TransportError(f"open {self._path}: not a directory")
            return LayoutIndex.empty()
        return FolderStore(self._path).read_index()

    def _make_folders(self) -> None:
        self._made += make_folders(os.path.join(self._path, "blobs") if self._shared else self._path)
        self._blobs.make()

    def _write_index(self) -> None:
        index = self._current_index()
        if self._top is not None:
            index.add(new_entry(*self._top, self._reference.tag))
        for entry in self._referrers:
            index.add(entry)
        data = index.to_bytes()
        self._blobs.settle()
        if not self._has_layout_file():
            write_file(os.path.join(self._path, LAYOUT_FILE), LAYOUT_CONTENT)
        write_file(os.path.join(self._path, INDEX_FILE), data)
        sync_folder(self._path)

    def _has_layout_file(self) -> bool:
        path = os.path.join(self._path, LAYOUT_FILE)
        try:
            return read_regular(path, len(LAYOUT_CONTENT), within=self._path) == LAYOUT_CONTENT
        except (OSError, TransportError):
            return False

    def _remove_leftovers(self) -> None:
        for name in (INDEX_FILE, LAYOUT_FILE):
            remove_stale(self._path, name)
