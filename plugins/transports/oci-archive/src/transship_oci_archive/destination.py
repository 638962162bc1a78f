"""Writing an image to an archive."""

from __future__ import annotations

from transship.errors import ContentMismatchError
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest, digest_of
from transship.plugin.archive_target import ArchiveTarget
from transship.plugin.blob import BlobReader
from transship.plugin.context import Context
from transship.plugin.files import reporting
from transship.plugin.tar_writer import FileTarWriter, StreamTarWriter, TarWriter
from transship.plugin.transport import Destination, DestinationTraits, Referrer
from transship_oci.destination import WrittenManifest, describe_manifest, layout_traits
from transship_oci.layout import INDEX_FILE, LAYOUT_CONTENT, LAYOUT_FILE, IndexEntry, LayoutIndex, blob_path, new_entry
from transship_oci.reference import OciReference


class ArchiveDestination(Destination):
    """A new archive that replaces what is there, or a pipe that one is written to."""

    def __init__(self, reference: OciReference, context: Context) -> None:
        self._reference = reference
        self._context = context
        self._traits = layout_traits(context, parallel=False)
        self._target = ArchiveTarget(reference.path)
        self._opened: TarWriter | None = None
        self._folders: set[str] = set()
        self._sizes: dict[Digest, int] = {}
        self._top: WrittenManifest | None = None
        self._referrers: list[IndexEntry] = []

    @property
    def traits(self) -> DestinationTraits:
        return self._traits

    def reuse_blob(self, descriptor: Descriptor) -> Descriptor | None:
        size = self._sizes.get(descriptor.digest)
        if size is None or 0 <= descriptor.size != size:
            return None
        return descriptor._replace(size=size)

    def put_blob(self, blob: BlobReader) -> None:
        with reporting("write", self._target.path):
            self._add_folders(blob.expected.digest.algorithm if blob.expected.digest else "sha256")
            written = self._writer.add_blob(blob, blob_path, self._sizes.__contains__)
        self._sizes[written.digest] = written.size

    def put_manifest(self, data: bytes, media_type: str, instance: Digest | None = None) -> None:
        manifest = describe_manifest(data, media_type, instance)
        if digest_of(data, manifest.digest.algorithm) != manifest.digest:
            raise ContentMismatchError(f"the manifest to be written is not {manifest.digest}")
        if manifest.digest not in self._sizes:
            with reporting("write", self._target.path):
                self._add_folders(manifest.digest.algorithm)
                self._writer.add_file(blob_path(manifest.digest), data)
            self._sizes[manifest.digest] = manifest.size
        if instance is None:
            self._top = manifest

    def put_referrer(self, referrer: Referrer, data: bytes, media_type: str) -> None:
        """What refers to an image gets an entry of its own, with a name if it is found by a tag."""
        self._referrers.append(new_entry(media_type, referrer.digest, len(data), referrer.tag))

    def commit(self) -> None:
        index = LayoutIndex.empty()
        if self._top is not None:
            index.add(new_entry(*self._top, self._reference.tag))
        for entry in self._referrers:
            index.add(entry)
        with reporting("write", self._target.path):
            self._writer.add_file(LAYOUT_FILE, LAYOUT_CONTENT)
            self._writer.add_file(INDEX_FILE, index.to_bytes())
            self._writer.finish()
            self._target.commit()

    def close(self) -> None:
        self._target.close()

    @property
    def _writer(self) -> TarWriter:
        if self._opened is None:
            file = self._target.open()
            if self._target.is_stream:
                self._opened = StreamTarWriter(file, self._context.temporary_directory)
            else:
                self._opened = FileTarWriter(file)
        return self._opened

    def _add_folders(self, algorithm: str) -> None:
        for name in ("blobs/", f"blobs/{algorithm}/"):
            if name not in self._folders:
                self._writer.add_folder(name)
                self._folders.add(name)
