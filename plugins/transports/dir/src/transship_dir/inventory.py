"""Whether a folder holds a whole image, as far as names and sizes tell."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from transship.errors import InvalidManifestError, TransshipError
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest
from transship.image.identification import guess_media_type, manifest_digest
from transship.image.index import parse_index
from transship.image.manifest import parse_manifest
from transship.image.media_types import INDEX_TYPES
from transship.image.strict_json import METADATA_LIMIT
from transship.plugin.files import read_regular
from transship.plugin.transport import ManifestIdentity
from transship_dir.layout import blob_name, check_version, manifest_name

OnBlob = Callable[[Descriptor], None]


def complete_image(
    folder: str, instance: Digest | None = None, on_blob: OnBlob = lambda blob: None
) -> ManifestIdentity | None:
    """The image in ``folder``, or a member of its index; None if anything of it is missing or of another size.

    Blobs are not read. ``on_blob`` hears of each that is there.
    """
    try:
        check_version(folder)
        return _complete(folder, instance, on_blob)
    except (TransshipError, OSError):
        return None


def _complete(folder: str, instance: Digest | None, on_blob: OnBlob) -> ManifestIdentity | None:
    data = read_regular(os.path.join(folder, manifest_name(instance)), METADATA_LIMIT, within=folder)
    media_type = guess_media_type(data)
    if instance is not None and manifest_digest(data, media_type, instance.algorithm) != instance:
        return None
    if media_type in INDEX_TYPES:
        members = [entry.digest for entry in parse_index(data, media_type).instances]
        if instance is not None or any(_complete(folder, member, on_blob) is None for member in members):
            return None
    elif not all(_has(folder, blob, on_blob) for blob in _blobs(data, media_type)):
        return None
    return ManifestIdentity(manifest_digest(data, media_type), media_type)


def _blobs(data: bytes, media_type: str) -> list[Descriptor]:
    manifest = parse_manifest(data, media_type)
    if not media_type:
        raise InvalidManifestError("a manifest of an unknown type")
    return [layer.descriptor for layer in manifest.layers] + ([manifest.config] if manifest.config else [])


def _has(folder: str, blob: Descriptor, on_blob: OnBlob) -> bool:
    """Whether a file of the right size is there; nothing else is needed of a layer that may stay elsewhere."""
    try:
        status = os.lstat(os.path.join(folder, blob_name(blob.digest)))
    except FileNotFoundError:
        return bool(blob.urls)
    if not (stat.S_ISREG(status.st_mode) and blob.size in (-1, status.st_size)):
        return False
    on_blob(blob)
    return True
