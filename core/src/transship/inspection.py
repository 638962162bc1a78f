"""What can be said of an image without copying it."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import NamedTuple

from transship.errors import InvalidManifestError, ListingRefusedError, TransshipError, UnsupportedError
from transship.image.digest import Digest
from transship.image.identification import guess_media_type, manifest_digest, normalized_media_type
from transship.image.index import choose, parse_index
from transship.image.manifest import ImageManifest, parse_manifest
from transship.image.media_types import INDEX_TYPES
from transship.image.platform import PlatformRequest, wanted_platforms
from transship.image.strict_json import METADATA_LIMIT
from transship.plugin.blob import Content, verified
from transship.plugin.context import Context
from transship.plugin.machine import machine_platform
from transship.plugin.shared import Shared
from transship.plugin.transport import RawManifest, Reference, Source, TagLister, Transport


class OpeningError(TransshipError):
    """An image cannot be opened."""


class InspectedImage(NamedTuple):
    """One image.

    ``raw`` is what the reference names, an index perhaps; ``manifest`` is the image that was chosen from it, and
    ``config`` its config's bytes (schema 1: synthesised, None if that cannot be). ``tags`` are those beside it.
    """

    reference: Reference
    raw: RawManifest
    manifest: ImageManifest
    config: bytes | None
    tags: tuple[str, ...]

    def digest(self, algorithm: str = "") -> Digest:
        """The digest of what the reference names; ``""``: with the algorithm of the config's digest."""
        config = self.manifest.config
        chosen = algorithm or (config.digest.algorithm if config and config.digest else "sha256")
        return manifest_digest(self.raw.data, self.raw.media_type, chosen)


def read_raw(transport: Transport, reference: Reference, context: Context) -> bytes:
    """The bytes of the manifest or index that ``reference`` names."""
    with contextlib.closing(open_image(transport, reference, context)) as source:
        return read_top(source).data


def inspect_image(
    transport: Transport,
    reference: Reference,
    context: Context,
    platform: PlatformRequest,
    *,
    with_tags: bool = False,
) -> InspectedImage:
    """Read an image's manifest and config. Of an index, the instance for ``platform``."""
    with contextlib.closing(Shared()) as shared:  # the tags come over the same connection
        context = replace(context, shared=context.shared or shared)
        raw, manifest, config = _read(transport, reference, context, platform)
        tags = _tags(transport, reference, context) if with_tags else ()
    return InspectedImage(reference, raw, manifest, config, tags)


def _read(
    transport: Transport, reference: Reference, context: Context, platform: PlatformRequest
) -> tuple[RawManifest, ImageManifest, bytes | None]:
    with contextlib.closing(open_image(transport, reference, context)) as source:
        try:
            raw = read_top(source)
        except (TransshipError, OSError) as error:
            raise TransshipError(f"Error retrieving manifest for image: {error}") from error
        try:
            manifest = _image_manifest(source, raw, platform)
        except TransshipError as error:
            raise TransshipError(f"Error parsing manifest for image: {error}") from error
        try:
            return raw, manifest, read_config(source, manifest)
        except (TransshipError, OSError) as error:
            raise TransshipError(f"Error reading configuration blob: {error}") from error


def open_image(transport: Transport, reference: Reference, context: Context) -> Source:
    """Open an image; raises ``OpeningError``. To be closed."""
    try:
        return transport.open_source(reference, context)
    except (TransshipError, OSError) as error:
        raise OpeningError(f'Error parsing image name "{reference}": {error}') from error


def read_top(source: Source) -> RawManifest:
    """The manifest or index that the reference names, with the media type to read it as."""
    raw = source.get_manifest()
    return RawManifest(raw.data, normalized_media_type(raw.media_type or guess_media_type(raw.data)))


def _image_manifest(source: Source, raw: RawManifest, platform: PlatformRequest) -> ImageManifest:
    if raw.media_type not in INDEX_TYPES:
        return parse_manifest(raw.data, raw.media_type)
    index = parse_index(raw.data, raw.media_type)
    try:
        digest = choose(index, wanted_platforms(platform, machine_platform()))
    except UnsupportedError as error:
        raise UnsupportedError(f"choosing image instance: {error}") from error
    instance = source.get_manifest(digest)
    media_type = normalized_media_type(instance.media_type or guess_media_type(instance.data))
    if manifest_digest(instance.data, media_type, digest.algorithm) != digest:
        raise InvalidManifestError(f"Manifest does not match provided manifest digest {digest}")
    if all(entry.descriptor.size != len(instance.data) for entry in index.instances if entry.digest == digest):
        raise InvalidManifestError(f"Size of manifest {digest} is not what its index says")
    return parse_manifest(instance.data, media_type)


def read_config(source: Source, manifest: ImageManifest) -> bytes | None:
    """The verified bytes of the config, None for schema 1; raises ``TransshipError``."""
    if manifest.config is None:
        return None
    if manifest.config.size > METADATA_LIMIT:
        raise InvalidManifestError(f"exceeded maximum allowed size of {METADATA_LIMIT} bytes")
    content: Content = source.get_blob(manifest.config)
    with contextlib.closing(content):
        data = bytearray()
        for chunk in verified(content, manifest.config):
            data += chunk
            if len(data) > METADATA_LIMIT:
                raise InvalidManifestError(f"exceeded maximum allowed size of {METADATA_LIMIT} bytes")
    return bytes(data)


def _tags(transport: Transport, reference: Reference, context: Context) -> tuple[str, ...]:
    """All tags of a registry's repository. Files have none in this sense, as Skopeo sees it."""
    if reference.named is None or transport.name != "docker" or not isinstance(transport, TagLister):
        return ()
    try:
        return tuple(transport.list_tags(reference, context).tags)
    except ListingRefusedError:
        context.warn("Registry disallows tag list retrieval; skipping")
        return ()
    except (TransshipError, OSError) as error:
        raise TransshipError(f"Error determining repository tags: {error}") from error
