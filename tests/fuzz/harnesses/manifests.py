"""Manifests, indexes and configs."""

from __future__ import annotations

from harnesses.json_texts import WORDS as JSON_WORDS
from harnesses.target import Target, refusing
from transship.errors import InvalidManifestError, TransshipError
from transship.image.config import parse_config, reencode_config
from transship.image.conversion import ImageUpdate, WrittenLayer, updated_image
from transship.image.digest import digest_of
from transship.image.identification import guess_media_type, manifest_digest
from transship.image.index import converted_index, edited, parse_index
from transship.image.manifest import DockerManifest, OciManifest, parse_manifest
from transship.image.media_types import (
    DOCKER_CONFIG,
    DOCKER_FOREIGN_LAYER_GZIP,
    DOCKER_LAYER_GZIP,
    IMAGE_TYPES,
    INDEX_TYPES,
    OCI_CONFIG,
    OCI_EMPTY,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
)
from transship.image.platform import Platform
from transship.image.schema1 import parse_schema1
from transship.testing.images import (
    artifact_with_empty_config,
    docker_list,
    image_with_empty_layers,
    image_with_foreign_layer,
    image_with_subject,
    oci_image,
    oci_index,
    schema1_image,
    schema2_image,
)

_MEDIA_TYPES = (*IMAGE_TYPES, *INDEX_TYPES, OCI_CONFIG, DOCKER_CONFIG, OCI_EMPTY, OCI_LAYER_GZIP, OCI_LAYER_ZSTD)
_LAYER_TYPES = (DOCKER_LAYER_GZIP, DOCKER_FOREIGN_LAYER_GZIP)
_NAMES = (
    "schemaVersion mediaType config layers manifests fsLayers history signatures name tag architecture os size digest "
    "urls annotations platform blobSum created v1Compatibility protected subject rootfs diff_ids Labels Env Cmd id "
    "data parent throwaway container_config empty_layer variant docker_version artifactType os.version os.features"
)
WORDS = (
    *JSON_WORDS,
    *(f'"{word}"'.encode() for word in (*_NAMES.split(), *_MEDIA_TYPES, *_LAYER_TYPES)),
    b'"2020-01-01T00:00:00Z"',
    f'"sha256:{"a" * 64}"'.encode(),
)
_IMAGES = (
    oci_image(),
    schema2_image(),
    schema1_image(),
    schema1_image(signed=False),
    image_with_subject(),
    image_with_empty_layers(),
    image_with_foreign_layer(),
    artifact_with_empty_config(),
)
_INDEXES = (oci_index(), docker_list())
_DIFF_ID = digest_of(b"")
_AMD64 = Platform("linux", "amd64")


def _check_manifest(data: bytes) -> None:
    with refusing(InvalidManifestError):
        manifest_digest(data)
    for media_type in ("", *IMAGE_TYPES, *INDEX_TYPES):
        with refusing(InvalidManifestError):
            manifest = parse_manifest(data, media_type)
            if isinstance(manifest, DockerManifest | OciManifest):
                layers = [layer.descriptor for layer in manifest.layers]
                again = parse_manifest(manifest.with_layers(layers), manifest.media_type)
                assert (again.config, again.layers) == (manifest.config, manifest.layers)
    with refusing(InvalidManifestError):
        document = parse_schema1(data)
        assert parse_schema1(document.payload()) == document


def _check_conversion(data: bytes) -> None:
    """The first line of zero bytes divides a manifest from its config."""
    document, divided, config = data.partition(b"\0")
    with refusing():
        manifest = parse_manifest(document, "")
        written = tuple(WrittenLayer(layer.descriptor, diff_id=_DIFF_ID) for layer in manifest.layers)
        for target in IMAGE_TYPES:
            with refusing():
                update = ImageUpdate(target, layers=written, written=written)
                result = updated_image(manifest, config if divided else None, update)
                assert guess_media_type(result.manifest) == result.media_type
                parse_manifest(result.manifest, result.media_type)


def _check_index(data: bytes) -> None:
    for media_type in ("", *INDEX_TYPES):
        with refusing(InvalidManifestError):
            index = parse_index(data, media_type)
            assert edited(index, {}) == data
            for target in INDEX_TYPES:
                converted = converted_index(index, target, _AMD64)
                assert parse_index(converted.data, target).instances == converted.instances


def _check_config(data: bytes) -> None:
    with refusing(InvalidManifestError):
        config = parse_config(data)
        assert len(config.diff_ids) == len(config.raw_diff_ids)
    with refusing(InvalidManifestError):
        written = reencode_config(data)
        try:
            assert reencode_config(written) == written
        except TransshipError as error:
            raise AssertionError("a config that was written cannot be read") from error


TARGETS = (
    Target("manifest", _check_manifest, [image.manifest for image in (*_IMAGES, *_INDEXES)], WORDS),
    Target(
        "manifest-conversion",
        _check_conversion,
        [b"%s\0%s" % (image.manifest, image.config or b"") for image in _IMAGES],
        WORDS,
    ),
    Target("index", _check_index, [image.manifest for image in _INDEXES], WORDS),
    Target("config", _check_config, [image.config for image in _IMAGES if image.config], WORDS),
)
