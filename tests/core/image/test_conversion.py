from __future__ import annotations

import json

import pytest

from transship.errors import CompressionUnsupportedError, InvalidManifestError, UnsupportedError
from transship.image.conversion import (
    ImageUpdate,
    LayerOperation,
    WrittenLayer,
    embeds_other_reference,
    needs_diff_ids,
    oci_config,
    updated_image,
)
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest, digest_of
from transship.image.manifest import parse_manifest
from transship.image.media_types import (
    DOCKER_CONFIG,
    DOCKER_FOREIGN_LAYER,
    DOCKER_FOREIGN_LAYER_GZIP,
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    DOCKER_LAYER_ZSTD,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA1,
    DOCKER_SCHEMA1_SIGNED,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
    OCI_NONDISTRIBUTABLE_LAYER,
    OCI_NONDISTRIBUTABLE_LAYER_GZIP,
    OCI_NONDISTRIBUTABLE_LAYER_ZSTD,
)
from transship.image.reference import DockerReference
from transship.image.schema1 import EMPTY_LAYER, EMPTY_LAYER_DIGEST

CONFIG = json.dumps(
    {"architecture": "amd64", "os": "linux", "history": [{"created_by": "a"}], "Healthcheck": {}}
).encode()
NAMED = DockerReference.parse("host.tld/a/b:t")


def _digest(number):
    return Digest("sha256", f"{number:064x}")


def _manifest(media_type, layer_type, config_type=None, layer=None, **members):
    config_type = config_type or {OCI_MANIFEST: OCI_CONFIG, DOCKER_MANIFEST: DOCKER_CONFIG}[media_type]
    own_layer = {"mediaType": layer_type, "size": 3, "digest": str(_digest(1)), **(layer or {})}
    config = {"mediaType": config_type, "size": len(CONFIG), "digest": str(digest_of(CONFIG))}
    document = {"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [own_layer], **members}
    return parse_manifest(json.dumps(document).encode(), media_type)


def _written(number=2, size=5, **members):
    descriptor = Descriptor("ignored", _digest(number), size, **members)
    return WrittenLayer(descriptor, LayerOperation.COMPRESS, "gzip")


def _layer(result):
    return json.loads(result.manifest)["layers"][0]


OCI = _manifest(OCI_MANIFEST, OCI_LAYER_GZIP)
DOCKER = _manifest(DOCKER_MANIFEST, DOCKER_LAYER_GZIP)
SCHEMA1 = parse_manifest(updated_image(DOCKER, CONFIG, ImageUpdate(DOCKER_SCHEMA1_SIGNED, named=NAMED)).manifest, "")
UNSIGNED_SCHEMA1 = parse_manifest(SCHEMA1.document.payload(), DOCKER_SCHEMA1)


@pytest.mark.parametrize("manifest", [OCI, DOCKER, SCHEMA1, UNSIGNED_SCHEMA1])
@pytest.mark.parametrize("named", [None, NAMED])
def test_without_a_change_the_bytes_stay(manifest, named):
    unchanged = tuple(WrittenLayer(layer.descriptor) for layer in manifest.layers)
    for update in (ImageUpdate(), ImageUpdate(manifest.media_type), ImageUpdate(layers=unchanged)):
        result = updated_image(manifest, None, update._replace(named=named))
        assert (result.manifest, result.media_type) == (manifest.data, manifest.media_type)
        assert result.config_descriptor == manifest.config


def test_other_layers_keep_everything_else():
    manifest = _manifest(
        OCI_MANIFEST,
        OCI_LAYER,
        layer={"annotations": {"a": "b"}, "data": "AAAA", "odd": 1, "urls": ["https://x"]},
        artifactType="kind",
        annotations={"z": "", "a": ""},
        odd={"x": 1},
        subject={"mediaType": "s", "size": 1, "digest": str(_digest(3))},
    )
    result = updated_image(manifest, CONFIG, ImageUpdate(layers=(_written(annotations={"c": "d"}),)))
    assert list(json.loads(result.manifest)) == [
        "schemaVersion",
        "mediaType",
        "artifactType",
        "config",
        "layers",
        "subject",
        "annotations",
        "odd",
    ]
    assert list(_layer(result).items()) == [
        ("mediaType", OCI_LAYER_GZIP),
        ("digest", str(_digest(2))),
        ("size", 5),
        ("annotations", {"c": "d"}),
        ("odd", 1),
    ]
    assert result.config == CONFIG
    assert result.config_descriptor == manifest.config


def test_other_layers_of_docker_images():
    manifest = _manifest(DOCKER_MANIFEST, DOCKER_LAYER, odd=1)
    result = updated_image(manifest, None, ImageUpdate(layers=(_written(urls=("https://x",)),)))
    assert list(_layer(result)) == ["mediaType", "size", "digest", "urls"]
    assert _layer(result)["mediaType"] == DOCKER_LAYER_GZIP
    assert list(json.loads(result.manifest)) == ["schemaVersion", "mediaType", "config", "layers", "odd"]


def test_a_wrong_label_is_mended_when_the_compression_is_known():
    layer = WrittenLayer(Descriptor("", _digest(1), 3), LayerOperation.PRESERVE, "zstd")
    assert _layer(updated_image(OCI, None, ImageUpdate(layers=(layer,))))["mediaType"] == OCI_LAYER_ZSTD


def test_a_manifest_without_media_type_stays_so():
    document = json.loads(OCI.data)
    del document["mediaType"]
    manifest = parse_manifest(json.dumps(document).encode(), OCI_MANIFEST)
    result = updated_image(manifest, None, ImageUpdate(layers=(_written(),)))
    assert "mediaType" not in json.loads(result.manifest)


LAYER_TYPES = [
    (DOCKER_LAYER, OCI_LAYER),
    (DOCKER_LAYER_GZIP, OCI_LAYER_GZIP),
    (DOCKER_FOREIGN_LAYER, OCI_NONDISTRIBUTABLE_LAYER),
    (DOCKER_FOREIGN_LAYER_GZIP, OCI_NONDISTRIBUTABLE_LAYER_GZIP),
]


@pytest.mark.parametrize(("docker", "oci"), [*LAYER_TYPES, (DOCKER_LAYER_ZSTD, OCI_LAYER_ZSTD)])
def test_docker_becomes_oci(docker, oci):
    manifest = _manifest(DOCKER_MANIFEST, docker, layer={"urls": ["https://x"]}, odd=1)
    result = updated_image(manifest, CONFIG, ImageUpdate(OCI_MANIFEST))
    assert list(json.loads(result.manifest)) == ["schemaVersion", "mediaType", "config", "layers"]
    assert (_layer(result)["mediaType"], _layer(result)["urls"]) == (oci, ["https://x"])
    assert b"Healthcheck" not in result.config
    assert result.config_descriptor == Descriptor(OCI_CONFIG, digest_of(result.config), len(result.config))


@pytest.mark.parametrize(("docker", "oci"), LAYER_TYPES)
def test_oci_becomes_docker(docker, oci):
    manifest = _manifest(
        OCI_MANIFEST, oci, layer={"annotations": {"a": "b"}}, annotations={"a": "b"}, artifactType="kind"
    )
    result = updated_image(manifest, None, ImageUpdate(DOCKER_MANIFEST))
    assert list(json.loads(result.manifest)) == ["schemaVersion", "mediaType", "config", "layers"]
    assert (_layer(result)["mediaType"], list(_layer(result))) == (docker, ["mediaType", "size", "digest"])
    assert result.config_descriptor == manifest.config._replace(media_type=DOCKER_CONFIG)


@pytest.mark.parametrize(
    ("layer_type", "error", "phrase"),
    [
        (OCI_LAYER_ZSTD, CompressionUnsupportedError, "not officially supported for docker images"),
        (OCI_NONDISTRIBUTABLE_LAYER_ZSTD, CompressionUnsupportedError, "not supported for docker images"),
        (OCI_LAYER_GZIP + "+encrypted", UnsupportedError, "encrypted layers"),
        ("odd", UnsupportedError, "Unknown media type during manifest conversion"),
    ],
)
@pytest.mark.parametrize("target", [DOCKER_MANIFEST, DOCKER_SCHEMA1_SIGNED])
def test_layers_that_docker_has_no_word_for(layer_type, error, phrase, target):
    with pytest.raises(error, match=phrase):
        updated_image(_manifest(OCI_MANIFEST, layer_type), CONFIG, ImageUpdate(target))


def test_zstd_layers_that_were_recompressed_fit_docker():
    manifest = _manifest(OCI_MANIFEST, OCI_LAYER_ZSTD)
    result = updated_image(manifest, CONFIG, ImageUpdate(DOCKER_MANIFEST, layers=(_written(),)))
    assert (_layer(result)["mediaType"], _layer(result)["digest"]) == (DOCKER_LAYER_GZIP, str(_digest(2)))


def test_docker_layers_that_became_zstd_fit_oci():
    layer = _written()._replace(compression="zstd")
    result = updated_image(DOCKER, CONFIG, ImageUpdate(OCI_MANIFEST, layers=(layer,)))
    assert _layer(result)["mediaType"] == OCI_LAYER_ZSTD
    with pytest.raises(CompressionUnsupportedError, match="preparing updated manifest"):
        updated_image(DOCKER, CONFIG, ImageUpdate(layers=(layer,)))


@pytest.mark.parametrize("target", [DOCKER_MANIFEST, DOCKER_SCHEMA1_SIGNED])
def test_artifacts_are_not_converted(target):
    with pytest.raises(UnsupportedError, match="unsupported image-specific operation"):
        updated_image(_manifest(OCI_MANIFEST, "odd", "own"), None, ImageUpdate(target))


@pytest.mark.parametrize("manifest", [OCI, DOCKER, SCHEMA1])
@pytest.mark.parametrize("target", [OCI_INDEX, DOCKER_LIST, "odd"])
def test_unknown_targets_are_refused(manifest, target):
    with pytest.raises(UnsupportedError, match="Unsupported conversion type"):
        updated_image(manifest, CONFIG, ImageUpdate(target))


@pytest.mark.parametrize("manifest", [OCI, DOCKER, SCHEMA1])
def test_the_number_of_layers_stays(manifest):
    with pytest.raises(InvalidManifestError, match="layer count changed from 1 to 2"):
        updated_image(manifest, CONFIG, ImageUpdate(layers=(_written(), _written())))


@pytest.mark.parametrize(("manifest", "target"), [(DOCKER, OCI_MANIFEST), (OCI, DOCKER_SCHEMA1_SIGNED)])
def test_conversion_needs_the_config(manifest, target):
    with pytest.raises(InvalidManifestError, match="config is missing"):
        updated_image(manifest, None, ImageUpdate(target))


def test_schema1_repeats_the_name_of_its_destination():
    assert (SCHEMA1.document.name, SCHEMA1.document.tag) == ("a/b", "t")
    other = DockerReference.parse("host.tld/c:u")
    assert embeds_other_reference(SCHEMA1, other)
    assert not embeds_other_reference(SCHEMA1, NAMED)
    assert not embeds_other_reference(SCHEMA1, None)
    assert not embeds_other_reference(OCI, other)
    result = updated_image(SCHEMA1, None, ImageUpdate(named=other))
    renamed = parse_manifest(result.manifest, result.media_type).document
    assert renamed == SCHEMA1.document._replace(name="c", tag="u")


@pytest.mark.parametrize("manifest", [SCHEMA1, UNSIGNED_SCHEMA1])
def test_schema1_with_other_layers_is_signed(manifest):
    result = updated_image(manifest, None, ImageUpdate(layers=(_written(),)))
    assert result.media_type == DOCKER_SCHEMA1_SIGNED
    changed = parse_manifest(result.manifest, "")
    assert changed.document == SCHEMA1.document.with_blobs([_digest(2)])


def test_unsigned_schema1_is_signed_when_that_is_wanted():
    result = updated_image(UNSIGNED_SCHEMA1, None, ImageUpdate(DOCKER_SCHEMA1_SIGNED))
    assert (result.manifest, result.media_type) == (SCHEMA1.data, DOCKER_SCHEMA1_SIGNED)


def test_conversion_from_schema1_follows_the_written_layers():
    written = _written()._replace(diff_id=_digest(7))
    update = ImageUpdate(OCI_MANIFEST, layers=(written._replace(compression="zstd"),), written=(written,))
    result = updated_image(SCHEMA1, None, update)
    assert (_layer(result)["mediaType"], _layer(result)["digest"]) == (OCI_LAYER_ZSTD, str(_digest(2)))
    assert json.loads(result.config)["rootfs"]["diff_ids"] == [str(_digest(7))]


def test_conversion_from_schema1_needs_diff_ids():
    assert needs_diff_ids(SCHEMA1, OCI_MANIFEST)
    assert not needs_diff_ids(SCHEMA1, DOCKER_SCHEMA1)
    assert not needs_diff_ids(DOCKER, OCI_MANIFEST)
    with pytest.raises(UnsupportedError, match="diff ID"):
        updated_image(SCHEMA1, None, ImageUpdate(DOCKER_MANIFEST, written=(_written(),)))


def test_empty_layers_of_schema1_come_along():
    config = json.dumps({"history": [{"empty_layer": True}, {"created_by": "a"}]}).encode()
    result = updated_image(DOCKER, config, ImageUpdate(DOCKER_SCHEMA1))
    assert result.extra_blobs == (EMPTY_LAYER,)
    layers = parse_manifest(result.manifest, "").layers
    assert [layer.descriptor.digest for layer in layers] == [EMPTY_LAYER_DIGEST, _digest(1)]


def test_an_artifact_has_no_image_config():
    with pytest.raises(UnsupportedError, match="unsupported image-specific operation"):
        oci_config(_manifest(OCI_MANIFEST, "odd", "own"), b"{}")
