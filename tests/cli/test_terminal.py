"""Results on a terminal: nothing that an image says can steer it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from transship.cli.application import Application
from transship.image.digest import digest_of
from transship.testing.images import oci_image
from transship.testing.writers import write_oci_layout

pytestmark = pytest.mark.uses("oci")

EVIL = "\x1b[2J \x9b31m \x7f \x07 \u202e \r"
COMMANDS = {
    "inspect": ["inspect", "oci:layout:v1"],
    "a template": ["inspect", "--format", "{{.Labels}} {{.Env}}", "oci:layout:v1"],
    "JSON in a template": ["inspect", "--format", "{{json .Labels}}", "oci:layout:v1"],
    "the raw manifest": ["inspect", "--raw", "oci:layout:v1"],
    "the config": ["inspect", "--config", "oci:layout:v1"],
    "the config in a template": ["inspect", "--config", "--format", "{{.Author}}", "oci:layout:v1"],
    "the raw config": ["inspect", "--config", "--raw", "oci:layout:v1"],
    "verify": ["verify", "oci:layout:v1"],
    "verify, as JSON": ["verify", "--json", "oci:layout:v1"],
    "list-tags": ["list-tags", "oci:layout"],
}


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_oci_layout({"v1": hostile_image(), f"tag{EVIL}": oci_image()}, tmp_path / "layout")


def hostile_image():
    image = oci_image()
    config = json.loads(image.config) | {"author": EVIL, "config": {"Labels": {EVIL: EVIL}, "Env": [f"X={EVIL}"]}}
    data = json.dumps(config, ensure_ascii=False).encode()
    members = json.loads(image.manifest)
    members["config"] |= {"digest": str(digest_of(data)), "size": len(data)}
    members["annotations"] = {"evil": EVIL}
    manifest = json.dumps(members, ensure_ascii=False).encode()
    return replace(image, manifest=manifest, config=data, blobs={**image.blobs, digest_of(data): data})


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_nothing_steers_a_terminal(hostile, on_terminal, arguments):
    text = on_terminal(arguments)
    assert text
    assert all(char.isprintable() or char in "\n\t" for char in text)


def test_json_stays_what_it_is(hostile, on_terminal):
    assert json.loads(on_terminal(COMMANDS["inspect"]))["Labels"] == {EVIL: EVIL}


def test_a_file_gets_every_byte(hostile, capfdbinary):
    for arguments, expected in (
        (["inspect", "--raw", "oci:layout:v1"], hostile_image().manifest),
        (["inspect", "--config", "--raw", "oci:layout:v1"], hostile_image().config),
    ):
        assert Application().run(arguments) == 0
        assert capfdbinary.readouterr().out == expected
