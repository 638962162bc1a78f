"""Whether a layout holds a whole image, as far as names and sizes tell."""

from __future__ import annotations

import os
import stat

from transship.errors import TransshipError
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest
from transship.image.index import parse_index
from transship.image.manifest import parse_manifest
from transship.image.media_types import INDEX_TYPES
from transship.plugin.transport import ManifestIdentity
from transship_oci.layout import READABLE_TYPES
from transship_oci.reference import OciReference
from transship_oci.store import FolderStore, read_manifest


class Inventory:
    """What the layout in ``path`` holds, with its blobs in ``blobs``. Layers and configs are not read."""

    def __init__(self, path: str, shared_blobs: str = "") -> None:
        self._store = FolderStore(path, shared_blobs)
        self._blobs = shared_blobs or os.path.join(path or ".", "blobs")

    def complete_image(self, reference: OciReference, instance: Digest | None = None) -> ManifestIdentity | None:
        """The image, or a member of its index; None if anything of it is missing or of another size."""
        try:
            index = self._store.read_index()
            entry = index.entries[index.position(reference)]
            if instance is None:
                return self._complete(entry.digest(), entry.media_type, depth=0)
            declared = {other.digest_text: other.media_type for other in index.entries}
            return self._complete(instance, declared.get(str(instance), ""), depth=1)
        except (TransshipError, OSError):
            return None

    def _complete(self, digest: Digest, media_type: str, *, depth: int) -> ManifestIdentity | None:
        data = read_manifest(self._store, digest)
        if media_type in INDEX_TYPES:
            members = parse_index(data, media_type).instances
            if depth or any(
                self._complete(member.digest, member.descriptor.media_type, depth=1) is None for member in members
            ):
                return None
        elif media_type in READABLE_TYPES:
            manifest = parse_manifest(data, media_type)
            blobs = [layer.descriptor for layer in manifest.layers] + ([manifest.config] if manifest.config else [])
            if not all(self._has(blob) for blob in blobs):
                return None
        else:
            return None
        return ManifestIdentity(digest, media_type)

    def _has(self, blob: Descriptor) -> bool:
        try:
            status = os.lstat(os.path.join(self._blobs, blob.digest.algorithm, blob.digest.encoded))
        except FileNotFoundError:
            return bool(blob.urls)
        return stat.S_ISREG(status.st_mode) and blob.size in (-1, status.st_size)
