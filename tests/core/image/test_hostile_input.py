"""Whatever the bytes, the answer is a value or an error of one line."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transship.errors import TransshipError
from transship.image.config import parse_config, reencode_config
from transship.image.conversion import ImageUpdate, WrittenLayer, oci_config, updated_image
from transship.image.digest import Digest
from transship.image.identification import guess_media_type, manifest_digest
from transship.image.index import converted_index, edited, parse_index
from transship.image.manifest import parse_manifest
from transship.image.media_types import (
    DOCKER_CONFIG,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA1_SIGNED,
    IMAGE_TYPES,
    INDEX_TYPES,
    OCI_CONFIG,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
)
from transship.image.platform import Platform
from transship.image.schema1 import parse_schema1
from transship.image.schema1_signature import schema1_payload

_DIGEST = "sha256:" + "a" * 64
_WORDS = st.sampled_from(
    [
        *IMAGE_TYPES,
        *INDEX_TYPES,
        OCI_CONFIG,
        DOCKER_CONFIG,
        OCI_LAYER_GZIP,
        DOCKER_LAYER_GZIP,
        _DIGEST,
        "a" * 64,
        "2020-01-01T00:00:00Z",
        "\ud800",
        "e30",
        "a\nb",
    ]
)
_NAMES = st.sampled_from(
    """
    schemaVersion mediaType config layers manifests fsLayers history signatures name tag architecture os size digest
    urls annotations platform blobSum created v1Compatibility protected subject rootfs diff_ids Labels Env Cmd id data
    parent throwaway container_config empty_layer variant docker_version
    """.split()  # noqa: SIM905 - a list of forty strings is harder to read
)
_LEAVES = st.none() | st.booleans() | st.integers(-1, 2) | st.just(1 << 70) | st.just(0.5) | st.text() | _WORDS
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=5), max_leaves=12
)


def _descriptors(*media_types):
    return st.fixed_dictionaries(
        {"mediaType": st.sampled_from(media_types), "digest": st.just(_DIGEST), "size": st.integers(0, 9)},
        optional={"urls": st.just(["u"]), "annotations": st.just({"a": "b"}), "platform": _VALUES, "data": _VALUES},
    )


def _manifests(media_type, config_type, *layer_types):
    return st.fixed_dictionaries(
        {
            "schemaVersion": st.just(2),
            "mediaType": st.just(media_type),
            "config": _descriptors(config_type),
            "layers": st.lists(_descriptors(*layer_types), max_size=3),
        },
        optional={"odd": _VALUES, "subject": _VALUES},
    )


_MANIFESTS = (
    _manifests(OCI_MANIFEST, OCI_CONFIG, OCI_LAYER_GZIP, OCI_LAYER_ZSTD)
    | _manifests(OCI_MANIFEST, "own", "odd")
    | _manifests(DOCKER_MANIFEST, DOCKER_CONFIG, DOCKER_LAYER_GZIP)
)
_CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "created": st.none() | st.just("2020-01-01T00:00:00.10Z"),
        "architecture": st.text(max_size=3),
        "config": st.none() | st.dictionaries(_NAMES, _VALUES, max_size=2),
        "history": st.lists(st.fixed_dictionaries({}, optional={"empty_layer": st.booleans()}), max_size=4),
        "rootfs": _VALUES,
        "odd": _VALUES,
    },
).map(lambda value: json.dumps(value).encode())
_INDEXES = st.fixed_dictionaries(
    {"schemaVersion": st.just(2), "mediaType": st.sampled_from(INDEX_TYPES)},
    optional={"manifests": st.lists(_descriptors(*IMAGE_TYPES), max_size=3), "annotations": _VALUES},
)
_V1_ENTRIES = st.fixed_dictionaries(
    {"id": st.just("a" * 64)},
    optional={"created": st.just("2020-01-01T00:00:00Z"), "docker_version": st.just("1.2"), "config": _VALUES},
)
_SCHEMA1 = st.fixed_dictionaries(
    {
        "schemaVersion": st.just(1),
        "fsLayers": st.just([{"blobSum": _DIGEST}]),
        "history": (_V1_ENTRIES | _VALUES).map(lambda value: [{"v1Compatibility": json.dumps(value)}]),
    },
    optional={"name": st.text(max_size=3), "odd": _VALUES},
)
_DOCUMENTS = (
    _VALUES
    | _MANIFESTS
    | _INDEXES
    | _SCHEMA1
    | st.tuples(_SCHEMA1, _VALUES).map(lambda pair: {**pair[0], "signatures": pair[1]})
).map(lambda value: json.dumps(value).encode())
_BYTES = st.binary(max_size=200) | _DOCUMENTS

_READERS = [
    parse_config,
    reencode_config,
    guess_media_type,
    manifest_digest,
    parse_schema1,
    schema1_payload,
    lambda data: parse_manifest(data, ""),
    lambda data: parse_index(data, ""),
]


@settings(max_examples=150, deadline=None)
@given(_BYTES)
def test_readers_end_in_a_value_or_an_error(data):
    for reader in _READERS:
        _read(reader, data)
    for media_type in (*IMAGE_TYPES, *INDEX_TYPES):
        _read(lambda data, media_type=media_type: parse_manifest(data, media_type), data)
        _read(lambda data, media_type=media_type: parse_index(data, media_type), data)


def _read(reader, data):
    try:
        return reader(data)
    except TransshipError as error:
        _check(str(error))
        return None


def _check(message):
    assert "\n" not in message
    assert len(message) < 500


@settings(max_examples=150, deadline=None)
@given(_MANIFESTS | _SCHEMA1, _CONFIGS | _DOCUMENTS, st.sampled_from(IMAGE_TYPES))
def test_whatever_can_be_read_can_be_converted_or_not(document, config, target):
    with contextlib.suppress(TransshipError):
        manifest = parse_manifest(json.dumps(document).encode(), "")
        _read(lambda config: oci_config(manifest, config), config)
        written = tuple(WrittenLayer(layer.descriptor, diff_id=Digest.parse(_DIGEST)) for layer in manifest.layers)
        result = updated_image(manifest, config, ImageUpdate(target, layers=written, written=written))
        assert parse_manifest(result.manifest, result.media_type).layers is not None


@settings(max_examples=100, deadline=None)
@given(_INDEXES, st.sampled_from(INDEX_TYPES))
def test_whatever_index_can_be_read_can_be_written(document, target):
    with contextlib.suppress(TransshipError):
        index = parse_index(json.dumps(document).encode(), "")
        assert edited(index, {}) == index.data
        converted = converted_index(index, target, Platform("linux", "amd64"))
        assert parse_index(converted.data, target).instances == converted.instances


_DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
_NESTED = b'{"schemaVersion":2,"x":' + b"[" * 500 + b"]" * 500 + b"}"


@pytest.mark.parametrize(
    "data",
    [
        _DEEP,
        _NESTED,
        b'{"schemaVersion":' + b"1" * 5000 + b"}",
        b'{"schemaVersion":1e999}',
        b"\xff" * 10,
        b"{}" * (4 << 20),
        b'{"schemaVersion":2,"config":{"digest":"' + b"a" * 1_000_000 + b":" + b"0" * 1_000_000 + b'"}}',
        b'{"schemaVersion":2,"config":{"digest":"sha256:' + b"0" * 1_000_000 + b'"}}',
        b'{"schemaVersion":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"schemaVersion":1,"fsLayers":' + b"[" + b'{"blobSum":""},' * 10_001 + b"{}]}",
    ],
)
def test_extreme_input_is_an_error_of_one_line(data):
    for reader in _READERS:
        _read(reader, data)
    for media_type in (OCI_MANIFEST, DOCKER_MANIFEST, DOCKER_SCHEMA1_SIGNED):
        _read(lambda data, media_type=media_type: parse_manifest(data, media_type), data)
