"""Reading an image from a layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from transship.errors import BlobNotFoundError, TransportError
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest
from transship.plugin.blob import Content
from transship.plugin.transport import RawManifest, Referrer, Source
from transship_oci.reference import OciReference
from transship_oci.store import LayoutStore, read_manifest

if TYPE_CHECKING:
    from transship_oci.referrers import LayoutReferrers


class LayoutSource(Source):
    """The image of a layout that a reference names. It closes ``store``."""

    parallel = True

    def __init__(self, store: LayoutStore, reference: OciReference) -> None:
        self._store = store
        self._index = store.read_index()
        self._referrers: LayoutReferrers | None = None
        entry = self._index.entries[self._index.position(reference)]
        self._media_type, self._digest, self._size = entry.media_type, entry.digest(), entry.size()

    def get_manifest(self, instance: Digest | None = None) -> RawManifest:
        try:
            if instance is None:
                return RawManifest(read_manifest(self._store, self._digest, self._size), self._media_type)
            return RawManifest(read_manifest(self._store, instance), self._declared_type(instance))
        except BlobNotFoundError as error:
            raise TransportError(str(error)) from None

    def get_blob(self, descriptor: Descriptor) -> Content:
        try:
            return self._store.open_blob(descriptor.digest)
        except BlobNotFoundError:
            from transship_oci.external import fetch_external, fetchable_urls  # hardly any image needs it

            if not (urls := fetchable_urls(descriptor)):
                raise
            return fetch_external(urls)

    def list_referrers(self, digest: Digest) -> Sequence[Referrer]:
        """The entries of ``index.json`` that refer to ``digest`` by subject or name, or are in a fallback index."""
        from transship_oci.referrers import LayoutReferrers  # hardly any run wants to know

        if self._referrers is None:
            self._referrers = LayoutReferrers.read(self._store, self._index)
        return self._referrers.of(digest)

    def close(self) -> None:
        self._store.close()

    def _declared_type(self, instance: Digest) -> str:
        text = str(instance)
        return next((entry.media_type for entry in self._index.entries if entry.digest_text == text), "")
