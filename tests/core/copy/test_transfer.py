"""Layers that need not be compressed again, because what would come of them is there."""

from __future__ import annotations

import gzip
import json

import pytest

from transship.api import CopyOptions, copy, copy_to_all
from transship.copy.signers import SharedSigner
from transship.errors import CopyError, UnsupportedError
from transship.image.digest import digest_of
from transship.image.media_types import DOCKER_LAYER_GZIP, DOCKER_MANIFEST, OCI_LAYER_GZIP, OCI_LAYER_ZSTD
from transship.plugin.mechanism import Signer
from transship.plugin.signature import SIMPLE_SIGNING, Signature
from transship.plugin.transport import DestinationTraits, LayerCompression
from transship.testing.images import image_with_foreign_layer, oci_image, schema2_image

pytestmark = pytest.mark.uses("gzip")

COMPRESS = DestinationTraits(compression=LayerCompression.COMPRESS)
ZSTD = CopyOptions(compress_format="zstd", force_compress_format=True)


class Stamp(Signer):
    description = "a stamp"

    def sign(self, manifest, digest, identity):
        return Signature(SIMPLE_SIGNING, b"\x90stamped")


@pytest.fixture
def target(memory):
    return memory.place("target", traits=COMPRESS)


@pytest.fixture
def copied(memory):
    def copied(image, **settings):
        memory.place("source", image)
        return copy("memory:source", "memory:target", manager=memory.manager, insecure_policy=True, **settings)

    return copied


def layers_of(place):
    return json.loads(place.manifests[-1][0])["layers"]


@pytest.mark.uses("zstd")
@pytest.mark.parametrize(
    ("image", "options", "media_type"),
    [
        (oci_image(compression=""), CopyOptions(), OCI_LAYER_GZIP),
        (schema2_image(compression=""), CopyOptions(), DOCKER_LAYER_GZIP),
        (schema2_image(compression=""), CopyOptions(compress_format="gzip", compress_level=9), DOCKER_LAYER_GZIP),
        (oci_image(compression=""), CopyOptions(compress_format="zstd"), OCI_LAYER_ZSTD),
        (schema2_image(compression=""), CopyOptions(compress_format="zstd", compress_level=3), OCI_LAYER_ZSTD),
        (oci_image(), ZSTD, OCI_LAYER_ZSTD),
        (schema2_image(), ZSTD, OCI_LAYER_ZSTD),
        (oci_image(compression="zstd"), ZSTD._replace(compress_format="gzip"), OCI_LAYER_GZIP),
    ],
)
def test_second_copy_is_the_same_and_moves_nothing(target, copied, image, options, media_type):
    first = copied(image, options=options)
    assert first.blobs_written > len(image.tars)
    again = copied(image, options=options)
    assert (again.blobs_written, again.bytes_written) == (0, 0)
    assert target.manifests[0] == target.manifests[1]
    assert {layer["mediaType"] for layer in layers_of(target)} == {media_type}


def test_source_is_not_read_again(memory, target, copied):
    image = oci_image(compression="")
    copied(image)
    source = memory.place("source", image)
    copy("memory:source", "memory:target", manager=memory.manager, insecure_policy=True)
    assert source.reads == [digest_of(image.config)]


@pytest.mark.uses("zstd")
def test_format_that_was_asked_for_finds_what_became_of_a_compressed_layer(target, copied):
    image = oci_image()
    copied(image, options=ZSTD)
    for layer in json.loads(image.manifest)["layers"]:
        assert layer["digest"] not in map(str, target.blobs)
    assert copied(image, options=ZSTD._replace(force_compress_format=False)).blobs_written == 0


@pytest.mark.uses("zstd")
def test_layer_that_is_there_as_it_is_goes_before_its_variants(target, copied):
    image = oci_image()
    copied(image, options=ZSTD)
    target.blobs |= image.blobs
    copied(image, options=ZSTD._replace(force_compress_format=False))
    assert target.manifests[-1][0] == image.manifest


@pytest.mark.parametrize("image", [oci_image(compression=""), schema2_image(compression="")])
def test_what_is_noted_is_true(target, copied, image):
    copied(image)
    noted = {uncompressed: written for (uncompressed, _), written in target.variants.items()}
    assert set(noted) == set(map(digest_of, image.tars))
    for uncompressed, written in noted.items():
        data = target.blobs[written.digest]
        assert (digest_of(data), len(data)) == (written.digest, written.size)
        assert digest_of(gzip.decompress(data)) == uncompressed


@pytest.mark.uses("zstd")
@pytest.mark.parametrize("image", [oci_image(), oci_image(compression="zstd"), schema2_image()])
@pytest.mark.parametrize("compression", LayerCompression)
def test_nothing_is_noted_of_layers_that_were_not_compressed_here(target, copied, image, compression):
    target.traits = DestinationTraits(compression=compression)
    copied(image)
    assert target.variants == {}


@pytest.mark.parametrize("image", [oci_image(compression=""), oci_image()])
def test_nothing_is_noted_of_layers_that_are_not_what_they_should_be(memory, target, image):
    memory.place("source", image, on_get_blob=lambda descriptor, data: data if data == image.config else data[:-1])
    with pytest.raises(CopyError):
        copy("memory:source", "memory:target", manager=memory.manager, insecure_policy=True, options=ZSTD)
    assert target.variants == {}


def test_blob_that_is_gone_is_written_again(target, copied):
    image = oci_image(compression="")
    copied(image)
    gone = {written.digest for written in target.variants.values()}
    for digest in gone:
        del target.blobs[digest]
    assert copied(image).blobs_written == len(gone)
    assert gone <= set(target.blobs)
    assert target.manifests[0] == target.manifests[1]


@pytest.mark.uses("zstd")
@pytest.mark.parametrize(
    "options",
    [
        CopyOptions(compress_level=1),
        CopyOptions(compress_format="zstd"),
        CopyOptions(compress_format="gzip", compress_level=1),
    ],
)
@pytest.mark.parametrize("image", [oci_image(compression=""), schema2_image(compression="")])
def test_what_was_made_otherwise_does_not_count(target, copied, image, options):
    copied(image)
    there = set(target.blobs)
    layers = copied(image, options=options).blobs_written
    assert layers >= len(image.tars)
    assert not there & {digest for digest in target.blobs if str(digest) in str(layers_of(target))}


@pytest.mark.uses("zstd")
def test_docker_manifest_never_gets_what_it_has_no_word_for(target, copied):
    image = schema2_image(compression="")
    copied(image, options=CopyOptions(compress_format="zstd"))
    copied(image, options=CopyOptions(manifest_type=DOCKER_MANIFEST))
    assert {layer["mediaType"] for layer in layers_of(target)} == {DOCKER_LAYER_GZIP}
    with pytest.raises(UnsupportedError, match="compression using zstd required"):
        copied(image, options=CopyOptions(compress_format="zstd", manifest_type=DOCKER_MANIFEST))


@pytest.mark.parametrize("reason", ["preserved", "signed"])
def test_manifest_that_must_stay_is_not_touched(memory, target, copied, reason):
    image = oci_image(compression="")
    copied(image)
    target.log.clear()
    signatures = (Signature(SIMPLE_SIGNING, b"\x90signature"),) if reason == "signed" else ()
    memory.place("source", image, signatures=signatures)
    options = CopyOptions(preserve_digests=reason == "preserved")
    copy("memory:source", "memory:target", manager=memory.manager, insecure_policy=True, options=options)
    assert target.manifests[-1][0] == image.manifest
    assert "variant?" not in target.log


def test_who_signs_relies_on_no_memory(target, copied):
    image = oci_image(compression="")
    copied(image)
    target.log.clear()
    options = CopyOptions(sign_identity="example.org/app:1")
    with SharedSigner("stamp", Stamp()) as signer:
        result = copied(image, options=options, signers=[signer])
    assert result.blobs_written == len(image.tars)
    assert "variant?" not in target.log


@pytest.mark.uses("zstd")
@pytest.mark.parametrize("options", [CopyOptions(), CopyOptions(compress_format="zstd")])
@pytest.mark.parametrize("compression", [LayerCompression.KEEP, LayerCompression.DECOMPRESS])
def test_destination_that_does_not_compress_is_not_asked(target, copied, options, compression):
    image = oci_image(compression="")
    copied(image, options=options)
    target.traits = DestinationTraits(compression=compression)
    target.log.clear()
    copied(image, options=options)
    assert "variant?" not in target.log


def test_dry_run_knows_what_need_not_be_moved(target, copied):
    image = oci_image(compression="")
    copied(image)
    result = copied(image, options=CopyOptions(dry_run=True))
    assert (result.blobs_written, result.blobs_reused) == (0, len(image.blobs))


def test_foreign_layers_stay_where_they_are(target, copied):
    target.traits = COMPRESS._replace(accepts_foreign_urls=True)
    image = image_with_foreign_layer()
    copied(image)
    assert target.manifests[-1][0] == image.manifest


def test_several_destinations_know_each_their_own(memory, copied):
    image = oci_image(compression="")
    known, new = (memory.place(name, traits=COMPRESS) for name in ("target", "new"))
    copied(image)
    results = copy_to_all(
        "memory:source", ["memory:target", "memory:new"], manager=memory.manager, insecure_policy=True
    )
    assert [result.blobs_written for result in results] == [0, len(image.blobs)]
    assert known.manifests[-1] == new.manifests[-1]
    assert known.variants == new.variants
