from __future__ import annotations

import json

import pytest

from transship.errors import InvalidManifestError, UnsupportedError
from transship.image.identification import guess_media_type, manifest_digest, normalized_media_type
from transship.image.manifest import parse_manifest
from transship.image.media_types import (
    DOCKER_CONFIG,
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
    OCI_MANIFEST,
)

HEX = "a" * 64
DIGEST = f"sha256:{HEX}"


def _descriptor(media_type, **members):
    return {"mediaType": media_type, "size": 1, "digest": DIGEST, **members}


def _oci(**members):
    whole = {"schemaVersion": 2, "config": _descriptor(OCI_CONFIG), "layers": [_descriptor(OCI_LAYER_GZIP)]}
    return json.dumps(whole | members).encode()


def _docker(**members):
    whole = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": _descriptor(DOCKER_CONFIG),
        "layers": [_descriptor(DOCKER_LAYER_GZIP)],
    }
    return json.dumps(whole | members).encode()


@pytest.mark.parametrize(
    ("document", "media_type"),
    [
        ({"mediaType": DOCKER_LIST}, DOCKER_LIST),
        ({"mediaType": OCI_INDEX, "schemaVersion": 1}, OCI_INDEX),
        ({"mediaType": "other", "schemaVersion": 1}, DOCKER_SCHEMA1),
        ({"schemaVersion": 1, "signatures": []}, DOCKER_SCHEMA1_SIGNED),
        ({"schemaVersion": 1, "signatures": None}, DOCKER_SCHEMA1),
        ({"schemaVersion": 2, "config": {"mediaType": OCI_CONFIG}, "manifests": [{}]}, OCI_MANIFEST),
        ({"schemaVersion": 2, "config": {"mediaType": DOCKER_CONFIG}}, DOCKER_MANIFEST),
        ({"schemaVersion": 2, "manifests": [{}]}, OCI_INDEX),
        ({"schemaVersion": 2, "manifests": [{}], "config": {"mediaType": "own"}}, "own"),
        ({"schemaVersion": 2, "config": {"mediaType": "own"}}, OCI_MANIFEST),
        ({"schemaVersion": 2}, OCI_MANIFEST),
        ({"schemaVersion": "2"}, ""),
        ({"schemaVersion": 2, "config": []}, ""),
        ({"schemaVersion": 3}, ""),
        ({}, ""),
        ([], ""),
    ],
)
def test_the_type_is_guessed_from_the_content(document, media_type):
    assert guess_media_type(json.dumps(document).encode()) == media_type


@pytest.mark.parametrize("data", [b"", b"x", b"\xff", b"[" * 100_000])
def test_what_is_no_json_has_no_type(data):
    assert guess_media_type(data) == ""


@pytest.mark.parametrize("declared", ["", "application/json", "text/plain"])
def test_unknown_types_are_taken_for_signed_schema1(declared):
    assert normalized_media_type(declared) == DOCKER_SCHEMA1_SIGNED


@pytest.mark.parametrize("declared", [OCI_MANIFEST, DOCKER_LIST, DOCKER_SCHEMA1])
def test_known_types_stay(declared):
    assert normalized_media_type(declared) == declared


def test_the_digest_is_of_the_bytes():
    assert str(manifest_digest(b"{}")) == ("sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")
    assert manifest_digest(b"{}", algorithm="sha512").algorithm == "sha512"


@pytest.mark.parametrize(("data", "media_type"), [(_oci(), OCI_MANIFEST), (_docker(), DOCKER_MANIFEST)])
def test_a_manifest_is_read(data, media_type):
    manifest = parse_manifest(data, "")
    assert (manifest.media_type, manifest.data, manifest.is_image) == (media_type, data, True)
    assert manifest == parse_manifest(data, media_type)
    assert [str(layer.descriptor.digest) for layer in manifest.layers] == [DIGEST]
    assert manifest.config.size == 1


@pytest.mark.parametrize("layers", [[], None])
def test_an_image_may_have_no_layers(layers):
    assert parse_manifest(_oci(layers=layers), OCI_MANIFEST).layers == ()


def test_what_a_descriptor_says_is_kept():
    layer = _descriptor(OCI_LAYER, urls=["https://x"], annotations={"a": "b"}, data="e30=", odd=[1])
    descriptor = parse_manifest(_oci(layers=[layer]), "").layers[0].descriptor
    assert (descriptor.urls, descriptor.annotations) == (("https://x",), {"a": "b"})
    assert descriptor.extra == {"data": "e30=", "odd": [1]}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(_oci(manifests=[]), id="manifests"),
        pytest.param(_oci(history=[]), id="history"),
        pytest.param(_oci(Layers=[]), id="layers in another case"),
        pytest.param(_oci(MANIFESTS=[]), id="manifests in another case"),
        pytest.param(_oci(mediaType=DOCKER_MANIFEST), id="another type"),
        pytest.param(_oci(MediaType=DOCKER_MANIFEST), id="another type in another case"),
    ],
)
def test_ambiguous_manifests_are_refused(data):
    with pytest.raises(InvalidManifestError, match="rejecting ambiguous manifest"):
        parse_manifest(data, OCI_MANIFEST)


@pytest.mark.parametrize("media_type", ["", OCI_INDEX, DOCKER_LIST])
def test_an_index_is_no_manifest(media_type):
    data = json.dumps({"schemaVersion": 2, "manifests": [_descriptor(OCI_MANIFEST)]}).encode()
    with pytest.raises(InvalidManifestError, match="manifest list instead of a manifest"):
        parse_manifest(data, media_type)


def test_a_bogus_type_leads_to_schema1():
    with pytest.raises(InvalidManifestError, match="unsupported schema version 2"):
        parse_manifest(_oci(), "text/html")


@pytest.mark.parametrize("make", [_oci, _docker])
@pytest.mark.parametrize(
    "members",
    [
        {"config": None},
        {"config": []},
        {"config": {}},
        {"config": _descriptor(OCI_CONFIG, size=-1)},
        {"config": _descriptor(OCI_CONFIG, size=True)},
        {"config": _descriptor(OCI_CONFIG, size=1.0)},
        {"config": _descriptor(OCI_CONFIG, size="1")},
        {"config": _descriptor(OCI_CONFIG, size=1 << 63)},
        {"config": _descriptor(OCI_CONFIG, size=None)},
        {"config": _descriptor(OCI_CONFIG, digest="sha256:../../x")},
        {"config": _descriptor(OCI_CONFIG, digest=f"sha256:{HEX.upper()}")},
        {"config": _descriptor(OCI_CONFIG, digest=1)},
        {"config": _descriptor(1)},
        {"config": _descriptor(OCI_CONFIG, urls="x")},
        {"config": _descriptor(OCI_CONFIG, urls=[1])},
        {"config": _descriptor(OCI_CONFIG, annotations=[])},
        {"config": _descriptor(OCI_CONFIG, annotations={"a": 1})},
        {"layers": {}},
        {"layers": [1]},
        {"layers": [_descriptor(OCI_LAYER)] * 10_001},
        {"schemaVersion": 1},
        {"schemaVersion": True},
        {"mediaType": 1},
    ],
)
def test_wrong_members_are_refused(make, members):
    media_type = OCI_MANIFEST if make is _oci else DOCKER_MANIFEST
    with pytest.raises(InvalidManifestError) as caught:
        parse_manifest(make(**members), media_type)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("members", [{"artifactType": 1}, {"annotations": []}, {"subject": {}}])
def test_wrong_oci_members_are_refused(members):
    with pytest.raises(InvalidManifestError):
        parse_manifest(_oci(**members), OCI_MANIFEST)


def test_unknown_layer_types_are_for_oci_only():
    with pytest.raises(InvalidManifestError, match="unsupported docker v2s2 media type"):
        parse_manifest(_docker(layers=[_descriptor("odd")]), "")
    manifest = parse_manifest(_oci(layers=[_descriptor("odd")]), "")
    assert not manifest.can_change_compression("odd")


@pytest.mark.parametrize(
    ("data", "media_type", "can"),
    [
        (_oci(), OCI_LAYER, True),
        (_oci(), DOCKER_LAYER_GZIP, False),
        (_oci(), OCI_LAYER + "+encrypted", False),
        (_oci(), "", False),
        (_oci(config=_descriptor("own")), OCI_LAYER, False),
        (_docker(), DOCKER_LAYER_GZIP, True),
        (_docker(), DOCKER_LAYER_ZSTD, False),
    ],
)
def test_only_known_layers_of_images_are_recompressed(data, media_type, can):
    assert parse_manifest(data, "").can_change_compression(media_type) is can


@pytest.mark.parametrize(
    ("members", "phrase"),
    [
        ({"config": _descriptor("own")}, 'on artifact with type "own"'),
        ({"config": _descriptor("own"), "artifactType": "kind"}, 'on artifact with type "kind"'),
        ({"config": _descriptor(DOCKER_CONFIG)}, "invalid mixed OCI image with Docker v2s2 config"),
    ],
)
def test_an_artifact_is_no_image(members, phrase):
    manifest = parse_manifest(_oci(**members), OCI_MANIFEST)
    assert not manifest.is_image
    with pytest.raises(UnsupportedError, match=phrase):
        manifest.require_image()


def test_an_image_is_one():
    parse_manifest(_oci(artifactType="kind"), "").require_image()
    parse_manifest(_docker(), "").require_image()
