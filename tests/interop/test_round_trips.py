"""From medium to medium and back an image stays what it was."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import media
import peers
import pytest
from matrix import DOCKER_NAME, NAME, destination_text, transship

from transship.image.config import config_diff_ids
from transship.image.digest import digest_of
from transship.image.manifest import parse_manifest
from transship.image.media_types import DOCKER_MANIFEST, OCI_MANIFEST
from transship.testing.images import (
    Image,
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
from transship.testing.writers import write_dir

pytestmark = pytest.mark.interop

TRANSSHIP = Path(sys.executable).with_name("transship")
PLACES = ("oci", "oci-archive", "docker-archive")
THERE_AND_BACK = (*PLACES, *reversed(PLACES[:-1]), "dir")
WITH_MANIFEST_THERE_AND_BACK = ("oci", "oci-archive", "oci", "dir")

OCI_IMAGES = {
    "gzip": oci_image(),
    "zstd": oci_image(compression="zstd"),
    "uncompressed": oci_image(compression=""),
    "empty layers in history": image_with_empty_layers(),
    "subject and annotations": image_with_subject(),
}
PRESERVED = {
    **OCI_IMAGES,
    "index": oci_index(),
    "artifact": artifact_with_empty_config(),
    "foreign layer": image_with_foreign_layer(OCI_MANIFEST),
}


def copied(source: str, destination: str, *options: str) -> None:
    code, said = transship(["--insecure-policy", "copy", *options, source, destination])
    assert code == 0, said


def carried(image: Image, folder: Path, transports: tuple[str, ...], *options: str) -> media.Stored:
    """Copy ``image`` from a folder through all ``transports`` in turn; what is at the last place."""
    write_dir(image, folder / "0")
    paths = [folder / str(number) for number in range(len(transports) + 1)]
    references = [
        destination_text(transport, path) for transport, path in zip(("dir", *transports), paths, strict=True)
    ]
    for source, destination in pairwise(references):
        copied(source, destination, *options)
    stored = media.read(transports[-1], paths[-1])
    media.check(stored)
    return stored


def config_and_diff_ids(stored: media.Stored):
    manifest = parse_manifest(stored.manifest, "")
    config = stored.blobs[manifest.config.digest.encoded]
    return digest_of(config), config_diff_ids(config)


@pytest.mark.parametrize("name", OCI_IMAGES)
def test_layers_survive_all_media(name, tmp_path):
    image = OCI_IMAGES[name]
    stored = carried(image, tmp_path, THERE_AND_BACK)
    assert config_and_diff_ids(stored)[1] == image.diff_ids


@pytest.mark.parametrize("make", [schema2_image, oci_image])
def test_a_config_that_was_written_anew_once_stays(make, tmp_path):
    once = carried(make(), tmp_path / "once", ("docker-archive", "oci"))
    again = carried(make(), tmp_path / "again", ("docker-archive", "oci", "docker-archive", "oci-archive"))
    assert config_and_diff_ids(again) == config_and_diff_ids(once)


@pytest.mark.parametrize("name", OCI_IMAGES)
@pytest.mark.parametrize("transports", [("oci", "oci-archive", "dir"), ("docker-archive", "dir")], ids=" to ".join)
def test_the_config_keeps_its_bytes(name, transports, tmp_path):
    image = OCI_IMAGES[name]
    assert config_and_diff_ids(carried(image, tmp_path, transports)) == (digest_of(image.config), image.diff_ids)


def test_a_docker_image_keeps_its_config_where_nothing_is_converted(tmp_path):
    image = schema2_image()
    stored = carried(image, tmp_path, ("docker-archive", "dir"))
    assert parse_manifest(stored.manifest, "").media_type == DOCKER_MANIFEST
    assert config_and_diff_ids(stored) == (digest_of(image.config), image.diff_ids)


@pytest.mark.parametrize("name", PRESERVED)
def test_preserved_digests_keep_the_manifest(name, tmp_path):
    image = PRESERVED[name]
    transports = ("oci", "oci-archive") if name == "foreign layer" else WITH_MANIFEST_THERE_AND_BACK
    stored = carried(image, tmp_path, transports, "--preserve-digests", "--all")
    assert stored.manifest == image.manifest
    assert {digest.encoded for digest in image.all_blobs} <= set(stored.blobs)


@pytest.mark.parametrize("make", [schema2_image, docker_list, schema1_image])
def test_preserved_digests_keep_a_docker_manifest_between_folders(make, tmp_path):
    image = make()
    assert carried(image, tmp_path, ("dir", "dir"), "--preserve-digests", "--all").manifest == image.manifest


@pytest.mark.parametrize("name", OCI_IMAGES)
def test_preserved_digests_cannot_go_into_a_docker_archive(name, tmp_path):
    write_dir(OCI_IMAGES[name], tmp_path / "source")
    target = f"docker-archive:{tmp_path / 'target'}:{DOCKER_NAME}"
    code, said = transship(["--insecure-policy", "copy", "--preserve-digests", f"dir:{tmp_path / 'source'}", target])
    assert code == 1
    assert "Instructed to preserve digests" in said
    assert not (tmp_path / "target").exists()


def test_installed_programs_take_turns(tmp_path):
    image = oci_image()
    write_dir(image, tmp_path / "0")
    turns = (
        (TRANSSHIP, f"dir:{tmp_path / '0'}", f"oci-archive:{tmp_path / '1'}:{NAME}"),
        (peers.SKOPEO, f"oci-archive:{tmp_path / '1'}:{NAME}", f"oci:{tmp_path / '2'}:{NAME}"),
        (TRANSSHIP, f"oci:{tmp_path / '2'}:{NAME}", f"dir:{tmp_path / '3'}"),
    )
    for program, source, destination in turns:
        command = [program, "--insecure-policy", "copy", source, destination]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    assert media.read("dir", tmp_path / "3").manifest == image.manifest
