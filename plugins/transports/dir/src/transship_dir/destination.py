"""Writing an image to a folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from transship.errors import ContentMismatchError, TransportError, TransshipError
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest
from transship.plugin.blob import BlobReader, FileContent
from transship.plugin.context import Context
from transship.plugin.files import TemporaryFile, open_regular, reporting, temporary_in, unused_name
from transship.plugin.signature import Signature
from transship.plugin.transport import Destination, DestinationTraits, LayerCompression
from transship_dir.layout import (
    MANIFEST,
    VERSION,
    blob_name,
    check_version,
    manifest_name,
    signature_name,
    version_content,
)
from transship_dir.reference import DirReference
from transship_dir.siblings import SiblingBlobs
from transship_dir.staging import Leftovers, Staging

_LOOKS = 100


class DirDestination(Destination):
    """Fills a folder under a temporary name, which takes the place of the old one when it is complete."""

    def __init__(self, reference: DirReference, context: Context) -> None:
        self._traits = DestinationTraits(compression=_wanted_compression(context))
        self._prefers_links = context.flag("link")
        self._target = reference.resolved
        self._staging = Staging(self._target, context.obtain("dir leftovers", Leftovers))
        self._blobs: dict[Digest, Descriptor] = {}
        self._instances: list[Digest] = []
        self._siblings = context.obtain("dir siblings", SiblingBlobs)
        self._replaces = os.path.lexists(self._target)
        self._check_target()

    @property
    def traits(self) -> DestinationTraits:
        return self._traits

    def reuse_blob(self, descriptor: Descriptor) -> Descriptor | None:
        found = self._blobs.get(descriptor.digest)
        if found is None:  # what is there must not decide whether layers are compressed as was asked for
            keeps = self._traits.compression is LayerCompression.KEEP
            return self._reuse_from_target(descriptor) if keeps else None
        return found if descriptor.size in (-1, found.size) else None

    def put_blob(self, blob: BlobReader) -> None:
        self._store(blob, by_link=self._prefers_links)

    def put_manifest(self, data: bytes, media_type: str, instance: Digest | None = None) -> None:
        if instance is not None:
            self._instances.append(instance)
        self._write(manifest_name(instance), data)

    def put_signatures(self, signatures: Sequence[Signature], instance: Digest | None = None) -> None:
        for number, signature in enumerate(signatures, start=1):
            self._write(signature_name(number, instance), signature.to_bytes())

    def commit(self) -> None:
        only_sha256 = all(digest.algorithm == "sha256" for digest in (*self._blobs, *self._instances))
        self._write(VERSION, version_content(only_sha256=only_sha256))
        with reporting("write", self._target):
            self._staging.replace_target((MANIFEST, VERSION), self._check_target)

    def close(self) -> None:
        self._staging.discard()

    def _check_target(self) -> None:
        """Refuse a folder with anything but an image in it: all that is there will be removed."""
        for look in range(1, _LOOKS + 1):
            found = _identity(self._target)
            try:
                if found is not None:
                    self._require_image()
                return
            except TransportError:
                if look == _LOOKS or _identity(self._target) == found:
                    raise
                # another writer has replaced it meanwhile

    def _require_image(self) -> None:
        with reporting("open", self._target):
            if self._staging.holds_only_leftovers():
                return
        try:
            check_version(self._target)
        except (OSError, TransportError):
            raise TransportError(
                f"{self._target}: not a containers image directory, don't want to overwrite important data"
            ) from None

    def _reuse_from_target(self, descriptor: Descriptor) -> Descriptor | None:
        """A blob of the image that is to be replaced, or of one that this run has written."""
        if self._replaces and (found := self._reuse_file(self._target, descriptor, is_own=True)):
            return found
        for folder in self._siblings.find(descriptor.digest):
            if found := self._reuse_file(folder, descriptor, is_own=False):
                return found
        return None

    def _reuse_file(self, folder: str, descriptor: Descriptor, *, is_own: bool) -> Descriptor | None:
        try:
            file = open_regular(os.path.join(folder, blob_name(descriptor.digest)), within=folder)
        except (OSError, TransportError):
            return None
        with file:
            status = os.fstat(file.fileno())
            if descriptor.size not in (-1, status.st_size):
                return None
            blob = BlobReader(FileContent(file, close_file=False), descriptor)
            # a file with one name only loses that one at commit: sharing it shares nobody's fate
            by_link = self._prefers_links or (is_own and status.st_nlink == 1)
            try:
                self._store(blob, by_link=by_link)
            except ContentMismatchError:
                return None
        return blob.descriptor

    def _store(self, blob: BlobReader, *, by_link: bool) -> None:
        with reporting("write", self._target):
            if by_link and self._link(blob):
                return
            digest = blob.expected.digest
            with self._new_file(blob_name(digest) if digest else "") as new:
                blob.write_to(new.file)
                new.publish(self._path_for(blob.descriptor))
            self._remember(blob.descriptor)

    def _link(self, blob: BlobReader) -> bool:
        path = unused_name(self._staging.folder)
        try:
            if not blob.link_to(path):
                return False
            os.replace(path, self._path_for(blob.descriptor))
        finally:  # renaming onto another name of the same file leaves both
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        self._remember(blob.descriptor)
        return True

    def _path_for(self, descriptor: Descriptor) -> str:
        return os.path.join(self._staging.folder, blob_name(descriptor.digest))

    def _remember(self, descriptor: Descriptor) -> None:
        self._blobs[descriptor.digest] = descriptor
        self._siblings.note(descriptor.digest, self._staging.folder, self._target)

    def _write(self, name: str, data: bytes) -> None:
        with reporting("write", self._target), self._new_file(name) as new:
            new.write(data)
            new.publish(os.path.join(self._staging.folder, name))

    def _new_file(self, name: str) -> TemporaryFile:
        """A file that is going to be ``name``, ``""`` if nobody knows yet, under that very name if it is free.

        Nothing in the folder counts before the folder itself has its name.
        """
        folder = self._staging.folder
        if name:
            with contextlib.suppress(FileExistsError):
                return TemporaryFile(os.path.join(folder, name))
        return temporary_in(folder)


def _wanted_compression(context: Context) -> LayerCompression:
    compress, decompress = context.flag("compress"), context.flag("decompress")
    if compress and decompress:
        raise TransshipError("Cannot compress and decompress at the same time")
    if compress:
        return LayerCompression.COMPRESS
    return LayerCompression.DECOMPRESS if decompress else LayerCompression.KEEP


def _identity(path: str) -> tuple[int, int] | None:
    """Which folder has that name now, None if nothing has."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino
