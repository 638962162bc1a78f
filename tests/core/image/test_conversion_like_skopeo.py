"""Converted images have the bytes, and so the digests, that skopeo gives them."""

from __future__ import annotations

import json
import subprocess

import peers
import pytest

from transship.image.conversion import (
    ImageUpdate,
    WrittenLayer,
    config_diff_ids,
    oci_config,
    updated_image,
)
from transship.image.identification import manifest_digest
from transship.image.manifest import Schema1Manifest
from transship.image.media_types import DOCKER_MANIFEST, DOCKER_SCHEMA1_SIGNED, OCI_MANIFEST

pytestmark = pytest.mark.interop

ODD_CONFIG = {
    "created": "2020-01-02T03:04:05.120000000+02:00",
    "docker_version": "20.10",
    "author": "A <a@b> & é\u2028",
    "container": "abc",
    "number": 1.50e3,
    "config": {
        "Hostname": "h",
        "Healthcheck": {"Test": ["NONE"]},
        "Labels": {"z": "<>&", "a": '\u2028é😀\x7f\x01\t"\\/', "ä": ""},
        "Env": ["A=b"],
        "Volumes": {"/v": {}},
        "ExposedPorts": {"80/tcp": {}, "443/tcp": {}},
        "Cmd": [],
        "Entrypoint": None,
        "OnBuild": None,
        "ArgsEscaped": True,
        "StopSignal": "",
        "WorkingDir": "/",
    },
    "container_config": {"Cmd": ["x"]},
}
HISTORY = [
    {"created": "2020-01-01T00:00:00Z", "created_by": "a"},
    {"created": "2020-01-01T00:00:00.5Z", "created_by": "ENV <x>", "empty_layer": True, "comment": "c"},
    {"created": "2020-01-01T00:00:00.000-00:00", "created_by": "b", "author": "me"},
    {"created_by": "last", "empty_layer": True},
]
EMPTY_BASE = [{"created_by": "label", "empty_layer": True}, {"created_by": "a"}, {"created_by": "b"}]

CONFIGS = [
    pytest.param({}, None, id="plain"),
    pytest.param({"config": None}, [{"created_by": "a"}, {"comment": "b"}], id="null config"),
    pytest.param(ODD_CONFIG, HISTORY, id="odd"),
    pytest.param({"created": "2020-01-02T03:04:05+00:00"}, EMPTY_BASE, id="empty base layer"),
]


@pytest.mark.parametrize(("config", "history"), CONFIGS)
@pytest.mark.parametrize(
    ("source_type", "form", "target_type"),
    [(DOCKER_MANIFEST, "oci", OCI_MANIFEST), (OCI_MANIFEST, "v2s2", DOCKER_MANIFEST)],
)
def test_conversion_between_schema2_and_oci(dir_image, source_type, form, target_type, config, history):
    source = dir_image(source_type, config, history)
    expected = source.converted_by_skopeo(form)
    result = updated_image(source.manifest, source.config_bytes, ImageUpdate(target_type))
    assert result.config == expected.config_bytes
    assert result.manifest == expected.manifest_bytes
    assert result.media_type == target_type


@pytest.mark.parametrize(("config", "history"), CONFIGS)
@pytest.mark.parametrize("source_type", [DOCKER_MANIFEST, OCI_MANIFEST])
def test_conversion_to_schema1(dir_image, source_type, config, history):
    source = dir_image(source_type, config, history)
    expected = source.converted_by_skopeo("v2s1")
    result = updated_image(source.manifest, source.config_bytes, ImageUpdate(DOCKER_SCHEMA1_SIGNED))
    assert manifest_digest(result.manifest) == manifest_digest(expected.manifest_bytes)
    assert result.config is result.config_descriptor is None
    assert bool(result.extra_blobs) == any(layer.is_empty for layer in expected.manifest.layers)


@pytest.mark.parametrize(("config", "history"), CONFIGS)
@pytest.mark.parametrize(("form", "target_type"), [("v2s2", DOCKER_MANIFEST), ("oci", OCI_MANIFEST)])
def test_conversion_from_schema1(dir_image, form, target_type, config, history):
    origin = dir_image(DOCKER_MANIFEST, config, history)
    source = origin.converted_by_skopeo("v2s1")
    expected = source.converted_by_skopeo(form)
    update = ImageUpdate(target_type, written=_written(source, origin))
    result = updated_image(source.manifest, None, update)
    assert result.config == expected.config_bytes
    assert result.manifest == expected.manifest_bytes


def test_schema1_of_an_old_docker_is_converted_through_its_record(dir_image):
    config = {
        "docker_version": "1.7.1",
        "config": {"Cmd": "sh", "Labels": {"b": "1", "a": "<"}},
        "Size": 4,
        "unknown": 1,
    }
    origin = dir_image(DOCKER_MANIFEST, config)
    source = origin.converted_by_skopeo("v2s1")
    expected = source.converted_by_skopeo("v2s2")
    update = ImageUpdate(DOCKER_MANIFEST, written=_written(source, origin))
    assert updated_image(source.manifest, None, update).config == expected.config_bytes


def test_skopeo_reads_schema1_that_was_written_here(dir_image):
    source = dir_image(DOCKER_MANIFEST, ODD_CONFIG, HISTORY)
    target = source.converted_by_skopeo("v2s1")
    result = updated_image(source.manifest, source.config_bytes, ImageUpdate(DOCKER_SCHEMA1_SIGNED))
    (target.path / "manifest.json").write_bytes(result.manifest)
    command = [peers.SKOPEO, "manifest-digest", str(target.path / "manifest.json")]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    assert shown == str(manifest_digest(result.manifest))
    assert target.converted_by_skopeo("oci").manifest.is_image


@pytest.mark.parametrize("source_type", [DOCKER_MANIFEST, OCI_MANIFEST, DOCKER_SCHEMA1_SIGNED])
def test_config_is_shown_as_skopeo_shows_it(dir_image, source_type):
    if source_type == DOCKER_SCHEMA1_SIGNED:
        image, config = dir_image(DOCKER_MANIFEST, ODD_CONFIG, HISTORY).converted_by_skopeo("v2s1"), None
    else:
        image = dir_image(source_type, ODD_CONFIG, HISTORY)
        config = image.config_bytes
    command = [peers.SKOPEO, "inspect", "--config", f"dir:{image.path}"]
    shown = subprocess.run(command, check=True, capture_output=True).stdout
    assert json.loads(oci_config(image.manifest, config)) == json.loads(shown)


def _written(source, origin):
    """What a copy of a schema 1 image knows about its layers: sizes and diff IDs."""
    assert isinstance(source.manifest, Schema1Manifest)
    diff_ids = iter(config_diff_ids(origin.config_bytes))
    return tuple(
        WrittenLayer(
            layer.descriptor._replace(size=(source.path / layer.descriptor.digest.encoded).stat().st_size),
            diff_id=None if layer.is_empty else next(diff_ids),
        )
        for layer in source.manifest.layers
    )
