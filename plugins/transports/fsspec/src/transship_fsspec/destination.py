"""Writing an image into a layout."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from transship.errors import ManifestRejectedError, TransportError
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest, digest_of
from transship.image.media_types import OCI_INDEX, OCI_MANIFEST
from transship.image.strict_json import METADATA_LIMIT
from transship.plugin.blob import BlobReader, holds
from transship.plugin.context import Context
from transship.plugin.transport import Destination, DestinationTraits, LayerCompression

from .layout import MARK, MARK_BYTES, add_entry
from .reference import FsspecReference
from .store import Store, blob_name

_MANIFEST_TYPES = (OCI_MANIFEST, OCI_INDEX)
_LOOK_AT_ONCE = 8


class FsspecDestination(Destination):
    """The image that ``reference`` names. Blobs show under their digests before the index names the image."""

    def __init__(self, store: Store, reference: FsspecReference, context: Context) -> None:
        self._store = store
        self._reference = reference
        self._verified = context.obtain(("fsspec verified", str(reference.place)), dict[Digest, int])
        self._written: dict[Digest, int] = {}
        self._top: Descriptor | None = None
        self._traits = DestinationTraits(
            manifest_types=_MANIFEST_TYPES,
            compression=LayerCompression.COMPRESS,
            accepts_foreign_urls=True,
            parallel=store.parallel,
            refuses_signatures="An OCI image layout has no place for signatures",
        )

    @property
    def traits(self) -> DestinationTraits:
        return self._traits

    def reuse_blob(self, descriptor: Descriptor) -> Descriptor | None:
        size = self._store.size(blob_name(descriptor.digest))
        if size is None or descriptor.size not in {size, -1}:
            return None
        if self._verified.get(descriptor.digest) != size and not self._holds(descriptor, size):
            return None
        self._note(descriptor.digest, size)
        return descriptor._replace(size=size)

    def put_blob(self, blob: BlobReader) -> None:
        self._store.put_blob(blob)
        self._note(blob.descriptor.digest, blob.descriptor.size)

    def put_manifest(self, data: bytes, media_type: str, instance: Digest | None = None) -> None:
        if media_type not in _MANIFEST_TYPES:
            raise ManifestRejectedError(f"an OCI image layout holds no manifest of type {media_type}")
        digest = instance or digest_of(data)
        if len(data) > METADATA_LIMIT:
            raise TransportError(f"manifest {digest} is larger than {METADATA_LIMIT} bytes")
        self._store.write(blob_name(digest), data)
        self._note(digest, len(data))
        if instance is None:
            self._top = Descriptor(media_type, digest, len(data))

    def commit(self) -> None:
        if self._top is None:
            raise TransportError(f"write {self._reference}: there is no manifest")
        with self._store.locked():
            self._require_all(self._written.items())
            if self._store.read(MARK, METADATA_LIMIT).data is None:
                self._store.write(MARK, MARK_BYTES)
            add_entry(self._store, self._top, self._reference.tag)
        self._store.finish()

    def close(self) -> None:
        self._store.close()

    def _holds(self, descriptor: Descriptor, size: int) -> bool:
        content = self._store.content(blob_name(descriptor.digest), size)
        if content is None:
            return False
        try:
            return holds(content, descriptor)
        finally:
            content.close()

    def _note(self, digest: Digest, size: int) -> None:
        self._verified[digest] = self._written[digest] = size

    def _require_all(self, blobs: Iterable[tuple[Digest, int]]) -> None:
        """Raise if somebody has deleted what the image needs: who holds the lock deletes nothing after this."""
        names = [(blob_name(digest), size) for digest, size in blobs]
        with ThreadPoolExecutor(_LOOK_AT_ONCE if self._store.parallel else 1) as pool:
            sizes = list(pool.map(self._store.size, (name for name, _ in names)))
        for (name, size), found in zip(names, sizes, strict=True):
            if found != size:
                raise TransportError(f"{self._reference.place}/{name} was deleted by another command", retryable=True)
