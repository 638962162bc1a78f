"""Where a layout's files are read from: a folder here, an archive in another distribution."""

from __future__ import annotations

import os
from typing import Protocol

from transship.errors import BlobNotFoundError, ContentMismatchError, TransportError
from transship.image.digest import Digest, digest_of
from transship.image.strict_json import METADATA_LIMIT
from transship.plugin.blob import FileContent
from transship.plugin.files import open_regular, read_regular, reporting
from transship_oci.layout import INDEX_FILE, LayoutIndex


class LayoutStore(Protocol):
    """The files of one layout. They may be read from several threads at once."""

    def read_index(self) -> LayoutIndex:
        """``index.json``; raises ``TransportError`` if it is not there."""

    def open_blob(self, digest: Digest) -> FileContent:
        """A blob as it is stored; raises ``BlobNotFoundError`` if it is not there."""

    def close(self) -> None:
        """Release everything. May be called more than once."""


class FolderStore:
    """A layout in a folder. ``shared_blobs`` is another folder that holds its blobs, ``""`` if it does.

    ``resolved`` is where ``path`` led when a policy was asked about it: nothing is read if it leads elsewhere by now.
    """

    def __init__(self, path: str, shared_blobs: str = "", resolved: str = "") -> None:
        self._within = resolved or path or "."
        self._index_path = os.path.join(path, INDEX_FILE)
        self._blobs = shared_blobs or os.path.join(path, "blobs")
        self._blobs_within = shared_blobs or self._within

    def read_index(self) -> LayoutIndex:
        with reporting("open", self._index_path):
            data = read_regular(self._index_path, METADATA_LIMIT, within=self._within)
        return LayoutIndex.parse(data, self._index_path)

    def open_blob(self, digest: Digest) -> FileContent:
        path = os.path.join(self._blobs, digest.algorithm, digest.encoded)
        with reporting("open", path):
            try:
                return FileContent(open_regular(path, within=self._blobs_within))
            except (FileNotFoundError, NotADirectoryError):
                raise BlobNotFoundError(f"open {path}: no such file or directory") from None

    def close(self) -> None:
        """Nothing is held open."""


def read_manifest(store: LayoutStore, digest: Digest, size: int = -1) -> bytes:
    """A manifest, checked against its digest and ``size``, where that is known (not -1).

    Raises ``BlobNotFoundError`` if it is not there.
    """
    content = store.open_blob(digest)
    try:
        if content.size > METADATA_LIMIT:
            raise TransportError(f"manifest {digest}: exceeded maximum allowed size of {METADATA_LIMIT} bytes")
        with reporting("read", f"manifest {digest}"):
            data = b"".join(bytes(chunk) for chunk in content)
    finally:
        content.close()
    if 0 <= size != len(data):
        raise ContentMismatchError(f"Size mismatch when reading manifest {digest}, expected {size}, got {len(data)}")
    if (actual := digest_of(data, digest.algorithm)) != digest:
        raise ContentMismatchError(f"Digest of manifest did not match, expected {digest}, got {actual}")
    return data
