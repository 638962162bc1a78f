"""From one manifest to another: other layers, another type, or both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from transship.errors import CompressionUnsupportedError, InvalidManifestError, UnsupportedError
from transship.image.config import config_diff_ids, reencode_config
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest, digest_of
from transship.image.identification import guess_media_type
from transship.image.layer_types import LayerOperation, layer_media_type
from transship.image.manifest import (
    DockerManifest,
    ImageManifest,
    OciManifest,
    Schema1Manifest,
    docker_manifest,
    oci_manifest,
)
from transship.image.media_types import (
    DOCKER_CONFIG,
    DOCKER_FOREIGN_LAYER,
    DOCKER_FOREIGN_LAYER_GZIP,
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    DOCKER_LAYER_ZSTD,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA1_SIGNED,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
    OCI_NONDISTRIBUTABLE_LAYER,
    OCI_NONDISTRIBUTABLE_LAYER_GZIP,
    OCI_NONDISTRIBUTABLE_LAYER_ZSTD,
    SCHEMA1_TYPES,
)
from transship.image.quoting import quoted
from transship.image.reference import DockerReference

__all__ = [
    "ImageUpdate",
    "LayerOperation",
    "UpdatedImage",
    "WrittenLayer",
    "config_diff_ids",
    "embeds_other_reference",
    "layer_media_type",
    "needs_diff_ids",
    "oci_config",
    "updated_image",
]


class WrittenLayer(NamedTuple):
    """A layer as it is at the destination.

    ``descriptor`` has the digest and size as written, and the URLs and annotations that the new manifest shall
    give it; its media type does not matter. ``compression`` names how the written bytes are compressed, None:
    not at all, or nobody knows. ``diff_id`` is None where it was not computed.
    """

    descriptor: Descriptor
    operation: LayerOperation = LayerOperation.PRESERVE
    compression: str | None = None
    diff_id: Digest | None = None


class ImageUpdate(NamedTuple):
    """What the new manifest shall be.

    ``media_type`` is its type, ``""``: the same. ``layers`` are all its layers in the order of the manifest's,
    empty ones included, None: unchanged. ``written`` says what was written, for a conversion from schema 1.
    ``named`` is the destination's name, which a schema 1 manifest repeats.
    """

    media_type: str = ""
    layers: tuple[WrittenLayer, ...] | None = None
    written: tuple[WrittenLayer, ...] = ()
    named: DockerReference | None = None


class UpdatedImage(NamedTuple):
    """The new manifest.

    ``config_descriptor`` is the config that it refers to and ``config`` its bytes: None for schema 1, and the
    bytes also where they were not given. ``extra_blobs`` are further blobs that it refers to and that must be
    written.
    """

    manifest: bytes
    media_type: str
    config: bytes | None
    config_descriptor: Descriptor | None
    extra_blobs: tuple[bytes, ...] = ()


def needs_diff_ids(manifest: ImageManifest, media_type: str) -> bool:
    """Whether a conversion to ``media_type`` needs ``diff_id`` in ``ImageUpdate.written``."""
    return isinstance(manifest, Schema1Manifest) and media_type not in ("", *SCHEMA1_TYPES)


def embeds_other_reference(manifest: ImageManifest, named: DockerReference | None) -> bool:
    """Whether the manifest repeats a name or tag that is not the destination's."""
    if not isinstance(manifest, Schema1Manifest) or named is None:
        return False
    document = manifest.document
    return (document.name, document.tag) != (named.path, named.tag)


def updated_image(manifest: ImageManifest, config: bytes | None, update: ImageUpdate) -> UpdatedImage:
    """The image as ``update`` wants it; ``config`` is needed for a conversion between types.

    Where nothing changes the manifest keeps its bytes. Raises ``UnsupportedError`` for what cannot be
    converted and ``CompressionUnsupportedError`` for layers that the type has no word for.
    """
    target = update.media_type or manifest.media_type
    if isinstance(manifest, Schema1Manifest):
        return _from_schema1(manifest, target, update)
    if isinstance(manifest, DockerManifest):
        return _from_docker(manifest, config, target, update)
    if isinstance(manifest, OciManifest):
        return _from_oci(manifest, config, target, update)
    raise UnsupportedError(f"Unsupported conversion type: {target}")


def oci_config(manifest: ImageManifest, config: bytes | None) -> bytes:
    """The image's config as an OCI config. In one made of schema 1 the diff IDs are empty: nobody knows them."""
    manifest.require_image()
    if isinstance(manifest, Schema1Manifest):
        config = manifest.document.schema2_config(["" for layer in manifest.layers if not layer.is_empty])
    return reencode_config(_needed(config, manifest.media_type))


def _from_schema1(manifest: Schema1Manifest, target: str, update: ImageUpdate) -> UpdatedImage:
    if target in SCHEMA1_TYPES:
        return _edited_schema1(manifest, target, update)
    if target not in (DOCKER_MANIFEST, OCI_MANIFEST):
        raise UnsupportedError(f"Unsupported conversion type: {target}")
    config = manifest.document.schema2_config(_diff_ids(manifest, update))
    layers = _schema2_layers(manifest, update)
    edits = _of_filled(manifest, update.layers) if update.layers is not None else None
    if target == DOCKER_MANIFEST:
        return _docker_image(config, _config_descriptor(config, DOCKER_CONFIG), _edited(layers, edits, target))
    oci_layers = [_in_oci_terms(layer) for layer in layers]
    return _oci_image(reencode_config(config), _edited(oci_layers, edits, target))


def _edited_schema1(manifest: Schema1Manifest, target: str, update: ImageUpdate) -> UpdatedImage:
    written = document = manifest.document
    if update.layers is not None:
        _check_count(update.layers, manifest.layers)
        written = written.with_blobs([_digest(layer) for layer in update.layers])
    if update.named is not None and embeds_other_reference(manifest, update.named):
        written = written._replace(name=update.named.path, tag=update.named.tag)
    is_signed = guess_media_type(manifest.data) == DOCKER_SCHEMA1_SIGNED
    if written == document and (is_signed or target != DOCKER_SCHEMA1_SIGNED):
        return UpdatedImage(manifest.data, manifest.media_type, None, None)
    return UpdatedImage(written.signed(), DOCKER_SCHEMA1_SIGNED, None, None)


def _diff_ids(manifest: Schema1Manifest, update: ImageUpdate) -> list[str]:
    diff_ids = [layer.diff_id for layer in _of_filled(manifest, update.written or update.layers or ())]
    if None in diff_ids:
        raise UnsupportedError("converting a schema 1 image: the diff ID of a layer is not known")
    return [str(diff_id) for diff_id in diff_ids]


def _schema2_layers(manifest: Schema1Manifest, update: ImageUpdate) -> list[Descriptor]:
    written = _of_filled(manifest, update.written or update.layers or ())
    filled = (layer.descriptor for layer in manifest.layers if not layer.is_empty)
    return [
        Descriptor(DOCKER_LAYER_GZIP, descriptor.digest, layer.descriptor.size)
        for descriptor, layer in zip(filled, written, strict=True)
    ]


def _of_filled(manifest: Schema1Manifest, written: Sequence[WrittenLayer]) -> list[WrittenLayer]:
    _check_count(written, manifest.layers)
    return [layer for layer, own in zip(written, manifest.layers, strict=True) if not own.is_empty]


def _from_docker(manifest: DockerManifest, config: bytes | None, target: str, update: ImageUpdate) -> UpdatedImage:
    descriptors = [layer.descriptor for layer in manifest.layers]
    if target == OCI_MANIFEST:
        oci_config_bytes = reencode_config(_needed(config, target))
        oci_layers = [_in_oci_terms(layer) for layer in descriptors]
        return _oci_image(oci_config_bytes, _edited(oci_layers, update.layers, target))
    layers = _edited(descriptors, update.layers, DOCKER_MANIFEST)
    if target in SCHEMA1_TYPES:
        return _schema1_image(_needed(config, target), layers, update.named)
    if target != DOCKER_MANIFEST:
        raise UnsupportedError(f"Unsupported conversion type: {target}")
    data = manifest.data if layers == descriptors else manifest.with_layers(layers)
    return UpdatedImage(data, target, config, manifest.config)


def _from_oci(manifest: OciManifest, config: bytes | None, target: str, update: ImageUpdate) -> UpdatedImage:
    descriptors = [layer.descriptor for layer in manifest.layers]
    if target not in (OCI_MANIFEST, DOCKER_MANIFEST, *SCHEMA1_TYPES):
        raise UnsupportedError(f"Unsupported conversion type: {target}")
    if target != OCI_MANIFEST:
        manifest.require_image()
    layers = _edited(descriptors, update.layers, OCI_MANIFEST)
    if target == OCI_MANIFEST:
        data = manifest.data if layers == descriptors else manifest.with_layers(layers)
        return UpdatedImage(data, target, config, manifest.config)
    docker_layers = [_in_docker_terms(layer) for layer in layers]
    if target in SCHEMA1_TYPES:
        return _schema1_image(_needed(config, target), docker_layers, update.named)
    own = manifest.config
    return _docker_image(config, Descriptor(DOCKER_CONFIG, own.digest, own.size, own.urls), docker_layers)


def _docker_image(config: bytes | None, descriptor: Descriptor, layers: Sequence[Descriptor]) -> UpdatedImage:
    return UpdatedImage(docker_manifest(descriptor, layers), DOCKER_MANIFEST, config, descriptor)


def _oci_image(config: bytes, layers: Sequence[Descriptor]) -> UpdatedImage:
    descriptor = _config_descriptor(config, OCI_CONFIG)
    return UpdatedImage(oci_manifest(descriptor, layers), OCI_MANIFEST, config, descriptor)


def _schema1_image(config: bytes, layers: Sequence[Descriptor], named: DockerReference | None) -> UpdatedImage:
    from transship.image.schema1 import EMPTY_LAYER, EMPTY_LAYER_DIGEST  # hardly any image becomes one
    from transship.image.schema1_conversion import schema1_from_schema2

    name, tag = (named.path, named.tag) if named else ("", "")
    blobs = [layer.digest for layer in layers if layer.digest]
    document = schema1_from_schema2(blobs, config, name=name, tag=tag)
    needs_empty_layer = any(entry.blob == EMPTY_LAYER_DIGEST for entry in document.entries)
    extra_blobs = (EMPTY_LAYER,) if needs_empty_layer else ()
    return UpdatedImage(document.signed(), DOCKER_SCHEMA1_SIGNED, None, None, extra_blobs)


def _config_descriptor(config: bytes, media_type: str) -> Descriptor:
    return Descriptor(media_type, digest_of(config), len(config))


def _edited(
    originals: Sequence[Descriptor], layers: Sequence[WrittenLayer] | None, manifest_media_type: str
) -> list[Descriptor]:
    if layers is None:
        return list(originals)
    _check_count(layers, originals)
    return [
        _edited_layer(original, layer, manifest_media_type) for original, layer in zip(originals, layers, strict=True)
    ]


def _edited_layer(original: Descriptor, layer: WrittenLayer, manifest_media_type: str) -> Descriptor:
    digest = _digest(layer)
    try:
        media_type = layer_media_type(original.media_type, layer.operation, layer.compression, manifest_media_type)
    except UnsupportedError as error:
        raise type(error)(f'preparing updated manifest, layer "{digest}": {error}') from None
    # "data" holds the very bytes that the digest is of.
    stale = {"data"} if digest != original.digest else set()
    return Descriptor(
        media_type,
        digest,
        layer.descriptor.size,
        layer.descriptor.urls,
        _edited_annotations(original, layer.descriptor, manifest_media_type),
        {name: value for name, value in original.extra.items() if name not in stale},
    )


def _edited_annotations(
    original: Descriptor, written: Descriptor, manifest_media_type: str
) -> Mapping[str, str] | None:
    """Docker's layers have no annotations: what stands there in spite of that stays."""
    is_same = (written.annotations or {}) == (original.annotations or {})
    return original.annotations if is_same or manifest_media_type == DOCKER_MANIFEST else written.annotations


def _digest(layer: WrittenLayer) -> Digest:
    if layer.descriptor.digest is None:
        raise InvalidManifestError("preparing updated manifest: a layer has no digest")
    return layer.descriptor.digest


def _check_count(layers: Sequence[object], originals: Sequence[object]) -> None:
    if len(layers) != len(originals):
        raise InvalidManifestError(
            f"preparing updated manifest: layer count changed from {len(originals)} to {len(layers)}"
        )


def _needed(config: bytes | None, target: str) -> bytes:
    if config is None:
        raise InvalidManifestError(f"converting an image to {target}: its config is missing")
    return config


_OCI_LAYER_OF_DOCKER: Mapping[str, str] = {
    DOCKER_LAYER: OCI_LAYER,
    DOCKER_LAYER_GZIP: OCI_LAYER_GZIP,
    DOCKER_LAYER_ZSTD: OCI_LAYER_ZSTD,
    DOCKER_FOREIGN_LAYER: OCI_NONDISTRIBUTABLE_LAYER,
    DOCKER_FOREIGN_LAYER_GZIP: OCI_NONDISTRIBUTABLE_LAYER_GZIP,
}

_DOCKER_LAYER_OF_OCI: Mapping[str, str] = {
    OCI_LAYER: DOCKER_LAYER,
    OCI_LAYER_GZIP: DOCKER_LAYER_GZIP,
    OCI_NONDISTRIBUTABLE_LAYER: DOCKER_FOREIGN_LAYER,
    OCI_NONDISTRIBUTABLE_LAYER_GZIP: DOCKER_FOREIGN_LAYER_GZIP,
}


def _in_oci_terms(layer: Descriptor) -> Descriptor:
    media_type = _OCI_LAYER_OF_DOCKER.get(layer.media_type)
    if media_type is None:
        raise _unknown_layer(layer.media_type)
    return Descriptor(media_type, layer.digest, layer.size, layer.urls)


def _in_docker_terms(layer: Descriptor) -> Descriptor:
    media_type = _DOCKER_LAYER_OF_OCI.get(layer.media_type)
    if media_type is None:
        raise _no_docker_layer(layer.media_type)
    return Descriptor(media_type, layer.digest, layer.size, layer.urls)


def _no_docker_layer(media_type: str) -> UnsupportedError:
    shown = quoted(media_type)
    if media_type == OCI_LAYER_ZSTD:
        problem = "zstd compression is not officially supported for docker images"
        return CompressionUnsupportedError(f"during manifest conversion: {shown}: {problem}")
    if media_type == OCI_NONDISTRIBUTABLE_LAYER_ZSTD:
        problem = "zstd compression is not supported for docker images"
        return CompressionUnsupportedError(f"during manifest conversion: {shown}: {problem}")
    if media_type.endswith("+encrypted"):
        return UnsupportedError(
            f"during manifest conversion: encrypted layers ({shown}) are not supported in docker images"
        )
    return _unknown_layer(media_type)


def _unknown_layer(media_type: str) -> UnsupportedError:
    return UnsupportedError(f"Unknown media type during manifest conversion: {quoted(media_type)}")
