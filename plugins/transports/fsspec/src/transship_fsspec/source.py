"""Reading an image out of a layout."""

from __future__ import annotations

from transship.errors import BlobNotFoundError
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest
from transship.plugin.blob import Content
from transship.plugin.transport import RawManifest, Source

from .layout import missing, read_layout, read_manifest
from .reference import FsspecReference
from .store import Store, blob_name


class FsspecSource(Source):
    """The image that ``reference`` names; also a ``ResumableSource``."""

    def __init__(self, store: Store, reference: FsspecReference) -> None:
        self.parallel = store.parallel
        self._store = store
        entry = read_layout(store, reference.place).find(reference)
        if entry is None:
            raise missing(reference)
        self._top = entry.descriptor

    def get_manifest(self, instance: Digest | None = None) -> RawManifest:
        if instance is None:
            return RawManifest(read_manifest(self._store, self._top.digest), self._top.media_type)
        return RawManifest(read_manifest(self._store, instance), "")

    def get_blob(self, descriptor: Descriptor) -> Content:
        return self.get_blob_from(descriptor, 0)

    def get_blob_from(self, descriptor: Descriptor, offset: int) -> Content:
        """The bytes of a blob from ``offset`` on."""
        content = self._store.content(blob_name(descriptor.digest), descriptor.size, offset)
        if content is None:
            raise BlobNotFoundError(f"the layout has no blob {descriptor.digest}")
        return content

    def close(self) -> None:
        self._store.close()
