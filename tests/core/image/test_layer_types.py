from __future__ import annotations

import pytest

from transship.errors import CompressionUnsupportedError, UnsupportedError
from transship.image.layer_types import LayerOperation, layer_media_type
from transship.image.media_types import (
    DOCKER_FOREIGN_LAYER,
    DOCKER_FOREIGN_LAYER_GZIP,
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    DOCKER_LAYER_ZSTD,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA1_SIGNED,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
    OCI_NONDISTRIBUTABLE_LAYER_GZIP,
    OCI_NONDISTRIBUTABLE_LAYER_ZSTD,
)

KEEP, COMPRESS, DECOMPRESS = LayerOperation.PRESERVE, LayerOperation.COMPRESS, LayerOperation.DECOMPRESS


@pytest.mark.parametrize(
    ("manifest_type", "before", "operation", "compression", "after"),
    [
        (OCI_MANIFEST, OCI_LAYER_GZIP, KEEP, None, OCI_LAYER_GZIP),
        (OCI_MANIFEST, OCI_LAYER, KEEP, "gzip", OCI_LAYER_GZIP),
        (OCI_MANIFEST, OCI_LAYER_GZIP, COMPRESS, "zstd", OCI_LAYER_ZSTD),
        (OCI_MANIFEST, OCI_LAYER_GZIP, COMPRESS, "zstd:chunked", OCI_LAYER_ZSTD),
        (OCI_MANIFEST, OCI_LAYER_GZIP, COMPRESS, None, OCI_LAYER_GZIP),
        (OCI_MANIFEST, OCI_LAYER_GZIP, COMPRESS, "brotli", OCI_LAYER + "+brotli"),
        (OCI_MANIFEST, OCI_LAYER_ZSTD, DECOMPRESS, None, OCI_LAYER),
        (OCI_MANIFEST, OCI_LAYER_ZSTD, DECOMPRESS, "zstd", OCI_LAYER),
        (OCI_MANIFEST, OCI_NONDISTRIBUTABLE_LAYER_GZIP, COMPRESS, "zstd", OCI_NONDISTRIBUTABLE_LAYER_ZSTD),
        (OCI_MANIFEST, "odd", KEEP, "gzip", "odd"),
        (OCI_MANIFEST, OCI_LAYER + "+encrypted", KEEP, "gzip", OCI_LAYER + "+encrypted"),
        (DOCKER_MANIFEST, DOCKER_LAYER, COMPRESS, "gzip", DOCKER_LAYER_GZIP),
        (DOCKER_MANIFEST, DOCKER_FOREIGN_LAYER_GZIP, DECOMPRESS, None, DOCKER_FOREIGN_LAYER),
        (DOCKER_MANIFEST, DOCKER_LAYER_ZSTD, KEEP, "zstd", DOCKER_LAYER_ZSTD),
        (DOCKER_SCHEMA1_SIGNED, "", COMPRESS, "gzip", ""),
        (DOCKER_SCHEMA1_SIGNED, "", DECOMPRESS, None, ""),
    ],
)
def test_the_type_follows_the_compression(manifest_type, before, operation, compression, after):
    assert layer_media_type(before, operation, compression, manifest_type) == after


@pytest.mark.parametrize(
    ("manifest_type", "before", "compression"),
    [
        (DOCKER_MANIFEST, DOCKER_LAYER_GZIP, "zstd"),
        (DOCKER_MANIFEST, DOCKER_FOREIGN_LAYER, "zstd"),
        (DOCKER_MANIFEST, DOCKER_LAYER, "brotli"),
        (OCI_MANIFEST, OCI_LAYER, "xz"),
        (OCI_MANIFEST, OCI_LAYER, "bzip2"),
        (OCI_MANIFEST, OCI_LAYER, "no suffix/at+all"),
        (DOCKER_SCHEMA1_SIGNED, "", "zstd"),
    ],
)
@pytest.mark.parametrize("operation", [KEEP, COMPRESS])
def test_a_compression_without_a_word_is_refused(manifest_type, before, compression, operation):
    with pytest.raises(CompressionUnsupportedError):
        layer_media_type(before, operation, compression, manifest_type)


@pytest.mark.parametrize("operation", [COMPRESS, DECOMPRESS])
def test_layers_of_unknown_type_are_not_changed(operation):
    with pytest.raises(UnsupportedError):
        layer_media_type("odd", operation, "gzip", OCI_MANIFEST)
