from __future__ import annotations

import base64
import json

import pytest

from transship.errors import InvalidManifestError, UnsupportedError
from transship.image.digest import Digest, digest_of
from transship.image.identification import manifest_digest
from transship.image.manifest import parse_manifest
from transship.image.media_types import DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED, OCI_MANIFEST
from transship.image.schema1 import EMPTY_LAYER, EMPTY_LAYER_DIGEST, parse_schema1
from transship.image.schema1_conversion import schema1_from_schema2
from transship.image.schema1_signature import schema1_payload


def _blob(number):
    return f"sha256:{number:064x}"


def _entry(number, parent=None, **members):
    ids = {"id": f"{number:064x}"} | ({} if parent is None else {"parent": f"{parent:064x}"})
    return {"v1Compatibility": json.dumps(ids | members)}


def _manifest(entries, blobs=None, **members):
    return json.dumps(
        {
            "name": "a/b",
            "tag": "t",
            "architecture": "amd64",
            "fsLayers": [{"blobSum": blob} for blob in blobs or [_blob(9 - n) for n in range(len(entries))]],
            "history": entries,
            "schemaVersion": 1,
            **members,
        }
    ).encode()


CHAIN = [_entry(3, 2, throwaway=True), _entry(2, 1), _entry(1)]


def test_the_empty_layer_is_the_well_known_one():
    assert digest_of(EMPTY_LAYER) == EMPTY_LAYER_DIGEST
    assert len(EMPTY_LAYER) == 32


def test_layers_are_base_first():
    manifest = parse_manifest(_manifest(CHAIN), "")
    assert manifest.media_type == DOCKER_SCHEMA1
    assert manifest.config is None
    assert [str(layer.descriptor.digest) for layer in manifest.layers] == [_blob(7), _blob(8), _blob(9)]
    assert [layer.is_empty for layer in manifest.layers] == [False, False, True]
    assert {(layer.descriptor.size, layer.descriptor.media_type) for layer in manifest.layers} == {(-1, "")}
    assert manifest.can_change_compression("")
    assert (manifest.document.name, manifest.document.tag) == ("a/b", "t")


def test_of_repeated_entries_the_lower_is_kept():
    entries = [_entry(2, 1), _entry(1), _entry(1)]
    layers = parse_manifest(_manifest(entries), "").layers
    assert [str(layer.descriptor.digest) for layer in layers] == [_blob(7), _blob(9)]


@pytest.mark.parametrize(
    ("data", "phrase"),
    [
        (_manifest([]), "no FSLayers in manifest"),
        (_manifest(CHAIN, [_blob(1)]), "length of history not equal to number of layers"),
        (_manifest([_entry(3, 1), _entry(2, 1), _entry(1)]), "Invalid parent ID. Expected"),
        (_manifest([_entry(2), _entry(1)]), "Invalid parent ID. Expected"),
        (_manifest([_entry(2, 1), _entry(1, 7)]), "Invalid parent ID in the base layer"),
        (_manifest([_entry(1, 2), _entry(2, 1), _entry(1)]), "appears multiple times"),
        (_manifest([{"v1Compatibility": '{"id":"x"}'}]), "is invalid"),
        (_manifest([{"v1Compatibility": "{"}]), "invalid JSON"),
        (_manifest([{"v1Compatibility": 1}]), "expected a string"),
        (_manifest([_entry(1, created="soon")]), "RFC 3339"),
        (_manifest([_entry(1)], ["../x"]), "invalid checksum digest"),
        (_manifest([_entry(1)], [None]), "blobSum"),
        (_manifest([_entry(1)], history=1), "expected an array"),
        (_manifest([_entry(1)], schemaVersion=2), "unsupported schema version 2"),
        (_manifest([_entry(1)], schemaVersion=1.0), "unsupported schema version"),
        (_manifest([_entry(1)], layers=[]), "rejecting ambiguous manifest"),
        (_manifest([_entry(1)], mediaType=OCI_MANIFEST), "rejecting ambiguous manifest"),
        (_manifest([_entry(1)], name=1), "expected a string"),
    ],
)
def test_wrong_manifests_are_refused(data, phrase):
    with pytest.raises(InvalidManifestError, match=phrase):
        parse_manifest(data, DOCKER_SCHEMA1)


def test_a_signed_manifest_is_known_by_its_payload():
    document = parse_schema1(_manifest(CHAIN))
    signed = document.signed()
    assert parse_manifest(signed, "").media_type == DOCKER_SCHEMA1_SIGNED
    assert parse_schema1(signed) == document
    assert schema1_payload(signed) == document.payload()
    for declared in ("", DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED, "text/plain"):
        assert manifest_digest(signed, declared) == digest_of(document.payload())
    assert manifest_digest(signed, OCI_MANIFEST) == digest_of(signed)
    assert document.signed() == signed


def test_unknown_members_survive():
    assert json.loads(parse_schema1(_manifest(CHAIN, odd=[1])).payload())["odd"] == [1]


def _protected(**members):
    return base64.urlsafe_b64encode(json.dumps(members).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "signatures",
    [
        [],
        {},
        [1],
        [{}],
        [{"protected": 1}],
        [{"protected": "é"}],
        [{"protected": "a"}],
        [{"protected": _protected(formatLength=0, formatTail="fQ")}],
        [{"protected": _protected(formatLength=10**9, formatTail="fQ")}],
        [{"protected": _protected(formatLength=True, formatTail="fQ")}],
        [{"protected": _protected(formatLength=1, formatTail="fQ")}],
        [{"protected": _protected(formatLength=1)}],
        [
            {"protected": _protected(formatLength=1, formatTail="fQ")},
            {"protected": _protected(formatLength=2, formatTail="fQ")},
        ],
    ],
)
def test_signatures_that_make_no_sense_are_refused(signatures):
    data = _manifest(CHAIN, signatures=signatures)
    with pytest.raises(InvalidManifestError):
        parse_manifest(data, "")
    with pytest.raises(InvalidManifestError):
        manifest_digest(data)


def test_what_is_signed_must_be_what_is_said():
    signed = parse_schema1(_manifest(CHAIN)).signed()
    with pytest.raises(InvalidManifestError, match="what is signed"):
        schema1_payload(signed.replace(b'"signatures":', b'"more":1,"signatures":'))


LAYERS = [Digest.parse(_blob(1)), Digest.parse(_blob(2))]


@pytest.mark.parametrize("history", [[{}], [{}, {}, {}]])
def test_history_must_explain_the_layers(history):
    config = json.dumps({"history": history}).encode()
    with pytest.raises(InvalidManifestError, match="Invalid image configuration"):
        schema1_from_schema2(LAYERS, config, name="", tag="")


@pytest.mark.parametrize("config", [b"{}", b'{"history":[]}', b'{"history":null}'])
def test_schema1_needs_a_history(config):
    with pytest.raises(UnsupportedError, match="0 history entries"):
        schema1_from_schema2(LAYERS, config, name="", tag="")


def test_made_documents_are_valid():
    config = json.dumps({"architecture": "arm", "history": [{"empty_layer": True}, {}, {}]}).encode()
    document = schema1_from_schema2(LAYERS, config, name="a", tag="t")
    assert parse_schema1(document.signed()) == document
