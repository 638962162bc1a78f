"""Layers compressed in a way that only a third party's plugin knows."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace

import pytest

from transship import hookimpl
from transship.api import CopyOptions, copy
from transship.errors import CopyError, UnsupportedError
from transship.image.digest import digest_of
from transship.image.media_types import OCI_LAYER, OCI_LAYER_GZIP
from transship.plugin.compression import Compression
from transship.plugin.transport import DestinationTraits, LayerCompression
from transship.testing.images import Image, oci_image

COMPRESS = DestinationTraits(compression=LayerCompression.COMPRESS)
DECOMPRESS = DestinationTraits(compression=LayerCompression.DECOMPRESS)
PACKED = f"{OCI_LAYER}+packed"
MAGIC = b"PACKED"


class Packed(Compression):
    name = media_type_suffix = "packed"
    magic = MAGIC
    can_compress = True

    def compress(self, chunks, *, level, threads):
        yield MAGIC + zlib.compress(b"".join(map(bytes, chunks)))

    def decompress(self, chunks):
        yield zlib.decompress(b"".join(map(bytes, chunks))[len(MAGIC) :])

    def describe(self):
        return {}


class Plugin:
    @hookimpl
    def transship_compressions(self):
        return [Packed()]


def packed_image() -> Image:
    """An image whose layers need the plugin."""
    image = oci_image(compression="")
    members = json.loads(image.manifest)
    layers = [MAGIC + zlib.compress(tar) for tar in image.tars]
    members["layers"] = [{"mediaType": PACKED, "digest": str(digest_of(data)), "size": len(data)} for data in layers]
    blobs = {digest_of(data): data for data in (*layers, image.config)}
    return Image(json.dumps(members).encode(), image.media_type, blobs, image.config, image.tars)


@pytest.fixture
def copied(memory):
    """Copies ``image`` to a new place; gives the layers' media types and bytes there."""

    def copied(image, traits, **options):
        memory.place("source", image)
        place = memory.place("target", traits=traits)
        copy(
            "memory:source",
            "memory:target",
            manager=memory.manager,
            insecure_policy=True,
            options=CopyOptions(**options),
        )
        layers = json.loads(place.manifests[-1][0])["layers"]
        return [layer["mediaType"] for layer in layers], [
            bytes(data) for layer in layers for digest, data in place.blobs.items() if str(digest) == layer["digest"]
        ]

    return copied


@pytest.fixture
def plugin(memory):
    memory.manager.register(Plugin())


@pytest.mark.usefixtures("plugin")
class TestWithThePlugin:
    def test_layers_are_compressed_with_it(self, copied):
        types, layers = copied(oci_image(compression=""), COMPRESS, compress_format="packed")
        assert set(types) == {PACKED}
        assert [zlib.decompress(data[len(MAGIC) :]) for data in layers] == list(oci_image().tars)

    def test_layers_are_decompressed(self, copied):
        types, layers = copied(packed_image(), DECOMPRESS)
        assert set(types) == {OCI_LAYER}
        assert layers == list(packed_image().tars)

    @pytest.mark.uses("gzip")
    def test_layers_are_compressed_otherwise_where_that_is_asked_for(self, copied):
        types, _ = copied(packed_image(), COMPRESS, compress_format="gzip", force_compress_format=True)
        assert set(types) == {OCI_LAYER_GZIP}

    def test_layers_stay_as_they_are_otherwise(self, copied):
        types, layers = copied(packed_image(), COMPRESS)
        assert set(types) == {PACKED}
        assert set(layers) == set(packed_image().blobs.values()) - {packed_image().config}


class TestWithoutIt:
    @pytest.mark.parametrize(
        ("traits", "options"),
        [
            (COMPRESS, {}),
            pytest.param(
                COMPRESS,
                {"compress_format": "gzip", "force_compress_format": True},
                marks=pytest.mark.uses("gzip"),
            ),
            (DECOMPRESS, {}),
        ],
    )
    def test_layers_are_never_taken_for_uncompressed_ones(self, copied, traits, options):
        types, layers = copied(packed_image(), traits, **options)
        assert set(types) == {PACKED}
        assert set(layers) == set(packed_image().blobs.values()) - {packed_image().config}

    @pytest.mark.parametrize("form", ["encrypted", "gzip+encrypted", "zstd+encrypted", "packed+encrypted"])
    @pytest.mark.parametrize("traits", [COMPRESS, DECOMPRESS])
    def test_encrypted_layers_stay_as_they_are(self, copied, form, traits):
        image = packed_image()
        image = replace(image, manifest=image.manifest.replace(PACKED.encode(), f"{OCI_LAYER}+{form}".encode()))
        types, layers = copied(image, traits)
        assert set(types) == {f"{OCI_LAYER}+{form}"}
        assert set(layers) == set(image.blobs.values()) - {image.config}

    def test_layer_that_is_not_what_its_type_says_is_still_refused(self, copied):
        image = packed_image()
        image = replace(image, manifest=image.manifest.replace(PACKED.encode(), OCI_LAYER_GZIP.encode()))
        with pytest.raises(CopyError, match="promises the diff ID"):
            copied(image, COMPRESS)

    def test_they_cannot_become_layers_of_docker(self, copied):
        docker = "application/vnd.docker.distribution.manifest.v2+json"
        with pytest.raises(UnsupportedError, match="media type"):
            copied(packed_image(), DECOMPRESS, manifest_type=docker)
