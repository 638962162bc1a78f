"""A layout in an archive, as it is read."""

from __future__ import annotations

from transship.errors import BlobNotFoundError, TransportError
from transship.image.digest import Digest
from transship.image.strict_json import METADATA_LIMIT
from transship.plugin.blob import FileContent
from transship.plugin.context import Context
from transship.plugin.files import reporting, require_place
from transship.plugin.tar import TarArchive, open_input
from transship_oci.layout import INDEX_FILE, LayoutIndex, blob_path
from transship_oci.reference import OciReference


class ArchiveStore:
    """A layout in a tar archive, which is read where it lies, or from a temporary copy if that cannot be."""

    def __init__(self, reference: OciReference, context: Context) -> None:
        path = reference.path
        with reporting("open", path):
            try:
                opened = open_input(path)
            except FileNotFoundError:
                raise TransportError(f'archive file not found: "{path}"') from None
        try:
            require_place(opened, path, reference.resolved)
        except BaseException:
            opened.close()
            raise
        self._archive = TarArchive(opened, path, context)

    def read_index(self) -> LayoutIndex:
        return LayoutIndex.parse(self._archive.read(INDEX_FILE, METADATA_LIMIT), f"{self._archive.path}: {INDEX_FILE}")

    def open_blob(self, digest: Digest) -> FileContent:
        content = self._archive.find(blob_path(digest))
        if content is None:
            raise BlobNotFoundError(f"{self._archive.path}: {blob_path(digest)} is not in this archive")
        return content

    def close(self) -> None:
        self._archive.close()
