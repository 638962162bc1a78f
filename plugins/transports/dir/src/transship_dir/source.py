"""Reading an image from a folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

from transship.errors import BlobNotFoundError, TransportError
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest
from transship.image.strict_json import METADATA_LIMIT
from transship.plugin.blob import Content, FileContent
from transship.plugin.files import open_regular, read_regular, reporting
from transship.plugin.signature import Signature
from transship.plugin.transport import RawManifest, Source
from transship_dir.layout import blob_name, check_version, manifest_name, signature_name
from transship_dir.reference import DirReference

_SIGNATURE_LIMIT = 4 << 20
_SIGNATURE_COUNT_LIMIT = 128


class DirSource(Source):
    """Reads the files of a folder; a link that leads out of it is refused.

    The folder is the one that the policy was asked about, whatever its name leads to by now.
    """

    def __init__(self, reference: DirReference) -> None:
        self._path = reference.path
        self._within = reference.resolved
        with contextlib.suppress(FileNotFoundError):
            check_version(self._path)

    def get_manifest(self, instance: Digest | None = None) -> RawManifest:
        return RawManifest(self._read(manifest_name(instance), METADATA_LIMIT), "")

    def get_blob(self, descriptor: Descriptor) -> Content:
        path = self._path_of(blob_name(descriptor.digest))
        with reporting("open", path):
            try:
                return FileContent(open_regular(path, within=self._within))
            except FileNotFoundError:
                raise BlobNotFoundError(f"open {path}: no such file or directory") from None

    def get_signatures(self, instance: Digest | None = None) -> Sequence[Signature]:
        signatures: list[Signature] = []
        while True:
            name = signature_name(len(signatures) + 1, instance)
            if not os.path.lexists(self._path_of(name)):
                return signatures
            if len(signatures) == _SIGNATURE_COUNT_LIMIT:
                raise TransportError(f"{self._path}: more than {_SIGNATURE_COUNT_LIMIT} signatures")
            signatures.append(Signature.parse(self._read(name, _SIGNATURE_LIMIT)))

    def _path_of(self, name: str) -> str:
        return os.path.join(self._path, name)

    def _read(self, name: str, limit: int) -> bytes:
        path = self._path_of(name)
        with reporting("open", path):
            return read_regular(path, limit, within=self._within)
