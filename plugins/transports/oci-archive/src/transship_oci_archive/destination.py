"""Writing an image to an archive."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import stat
from typing import BinaryIO

from transship.errors import ContentMismatchError, TransportError
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest, digest_of
from transship.plugin.blob import BlobReader
from transship.plugin.context import Context
from transship.plugin.files import TemporaryFile, names_open_file, remove_stale, reporting, sync_folder, temporary_in
from transship.plugin.transport import Destination, DestinationTraits
from transship_oci.destination import WrittenManifest, describe_manifest, layout_traits
from transship_oci.layout import INDEX_FILE, LAYOUT_CONTENT, LAYOUT_FILE, LayoutIndex, new_entry
from transship_oci.reference import OciReference
from transship_oci_archive.tar_writer import SeekableTarWriter, StreamTarWriter, TarWriter

_STANDARD_STREAMS = {"/dev/stdout": 1, "/dev/stderr": 2}


class ArchiveDestination(Destination):
    """A new archive that replaces what is there, or a pipe that one is written to."""

    def __init__(self, reference: OciReference, context: Context) -> None:
        self._reference = reference
        self._path = reference.path
        self._context = context
        self._traits = layout_traits(context, parallel=False)
        self._is_stream = _is_stream(self._path)
        self._resources = contextlib.ExitStack()
        self._temporary: TemporaryFile | None = None
        self._writer: TarWriter | None = None
        self._top: WrittenManifest | None = None

    @property
    def traits(self) -> DestinationTraits:
        return self._traits

    def reuse_blob(self, descriptor: Descriptor) -> Descriptor | None:
        if self._writer is None or descriptor.digest is None:
            return None
        size = self._writer.size_of(descriptor.digest)
        if size is None or 0 <= descriptor.size != size:
            return None
        return dataclasses.replace(descriptor, size=size)

    def put_blob(self, blob: BlobReader) -> None:
        with reporting("write", self._path):
            self._open().add_blob(blob)

    def put_manifest(self, data: bytes, media_type: str, instance: Digest | None = None) -> None:
        manifest = describe_manifest(data, media_type, instance)
        if digest_of(data, manifest.digest.algorithm) != manifest.digest:
            raise ContentMismatchError(f"the manifest to be written is not {manifest.digest}")
        with reporting("write", self._path):
            self._open().add_bytes(data, manifest.digest)
        if instance is None:
            self._top = manifest

    def commit(self) -> None:
        index = LayoutIndex.empty()
        if self._top is not None:
            index.add(new_entry(*self._top, self._reference.tag))
        with reporting("write", self._path):
            writer = self._open()
            writer.add_file(LAYOUT_FILE, LAYOUT_CONTENT)
            writer.add_file(INDEX_FILE, index.to_bytes())
            writer.finish()
            self._publish()
            self._resources.close()

    def close(self) -> None:
        self._resources.close()

    def _open(self) -> TarWriter:
        if self._writer is None:
            if self._is_stream:
                stream = self._resources.enter_context(_open_stream(self._path))
                self._writer = StreamTarWriter(stream, self._context.temporary_directory)
            else:
                folder, name = os.path.split(self._path)
                self._temporary = self._resources.enter_context(temporary_in(folder, name))
                self._writer = SeekableTarWriter(self._temporary.file)
        return self._writer

    def _publish(self) -> None:
        if self._temporary is not None:
            self._temporary.publish(self._path)
            folder, name = os.path.split(self._path)
            sync_folder(folder or ".")
            remove_stale(folder, name)


def _is_stream(path: str) -> bool:
    """Whether a path is written through, as pipes and standard streams are, rather than replaced."""
    if names_open_file(path):
        return True
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    except OSError as error:
        raise TransportError(f"open {path}: {(error.strerror or str(error)).lower()}") from error
    if stat.S_ISDIR(mode):
        raise TransportError(f"open {path}: is a directory")
    return not stat.S_ISREG(mode)


def _open_stream(path: str) -> BinaryIO:
    number = _STANDARD_STREAMS.get(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC) if number is None else os.dup(number)
    return open(descriptor, "wb", buffering=0)
