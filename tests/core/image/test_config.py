from __future__ import annotations

import json

import pytest

from transship.errors import InvalidManifestError
from transship.image.config import config_diff_ids, parse_config, reencode_config
from transship.image.digest import Digest

HEX = "a" * 64


def _config(**members) -> bytes:
    return json.dumps(members).encode()


def test_a_config_is_read():
    config = parse_config(
        _config(
            created="2020-01-01T00:00:00.50Z",
            architecture="arm64",
            os="linux",
            variant="v8",
            docker_version="24",
            author="me",
            config={"Env": ["A=b"], "Labels": {"b": "2", "a": "1"}, "Cmd": "sh"},
            rootfs={"type": "layers", "diff_ids": [f"sha256:{HEX}"]},
            history=[{"created_by": "x", "empty_layer": True}],
        )
    )
    assert (config.created, config.architecture, config.os) == ("2020-01-01T00:00:00.5Z", "arm64", "linux")
    assert (config.variant, config.docker_version, config.author) == ("v8", "24", "me")
    assert config.env == ("A=b",)
    assert list(config.labels.items()) == [("a", "1"), ("b", "2")]
    assert config.config["Cmd"] == ["sh"]
    assert config.diff_ids == (Digest("sha256", HEX),)
    assert (config.history[0].created_by, config.history[0].empty_layer) == ("x", True)


def test_an_empty_config_says_nothing():
    config = parse_config(b"{}")
    assert (config.created, config.env, config.labels, config.diff_ids, config.history) == (None, None, None, (), ())


def test_members_come_in_the_order_of_oci():
    config = _config(
        history=[], variant="v8", os="linux", **{"os.features": ["x"], "os.version": "10"}, architecture="arm64"
    )
    assert reencode_config(config) == (
        b'{"architecture":"arm64","os":"linux","os.version":"10","os.features":["x"],"variant":"v8",'
        b'"config":{},"rootfs":{"type":"","diff_ids":null}}'
    )


@pytest.mark.parametrize(
    ("time", "written"),
    [
        ("2020-02-29T23:59:59Z", "2020-02-29T23:59:59Z"),
        ("2020-01-01T00:00:00.120000000Z", "2020-01-01T00:00:00.12Z"),
        ("2020-01-01T00:00:00.000Z", "2020-01-01T00:00:00Z"),
        ("2020-01-01T00:00:00.1234567899Z", "2020-01-01T00:00:00.123456789Z"),
        ("2020-01-01T00:00:00+00:00", "2020-01-01T00:00:00Z"),
        ("2020-01-01T00:00:00.5-07:30", "2020-01-01T00:00:00.5-07:30"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_times_are_written_as_go_does(time, written):
    assert json.loads(reencode_config(_config(created=time)))["created"] == written


@pytest.mark.parametrize(
    "members",
    [
        {"created": "yesterday"},
        {"created": "2019-02-29T00:00:00Z"},
        {"created": "2020-01-01T24:00:00Z"},
        {"created": "2020-01-01 00:00:00Z"},
        {"created": "٢٠٢٠-01-01T00:00:00Z"},
        {"created": 1},
        {"architecture": 1},
        {"config": []},
        {"config": {"Env": "A=b"}},
        {"config": {"Labels": {"a": 1}}},
        {"config": {"Volumes": {"/v": 1}}},
        {"rootfs": {"diff_ids": [1]}},
        {"history": {}},
        {"history": [{"empty_layer": "yes"}]},
    ],
)
def test_wrong_types_are_refused(members):
    with pytest.raises(InvalidManifestError):
        reencode_config(_config(**members))
    with pytest.raises(InvalidManifestError):
        parse_config(_config(**members))


@pytest.mark.parametrize("diff_id", ["", "sha256:ab", "md5:" + "a" * 32, "../x"])
def test_diff_ids_are_digests_but_only_when_asked_for(diff_id):
    data = _config(rootfs={"type": "layers", "diff_ids": [diff_id]})
    assert parse_config(data).raw_diff_ids == (diff_id,)
    with pytest.raises(InvalidManifestError):
        config_diff_ids(data)


def test_diff_ids_are_promised_whatever_else_a_config_says():
    data = _config(created="yesterday", rootfs={"type": "layers", "diff_ids": [f"sha256:{HEX}"]})
    assert config_diff_ids(data) == (Digest("sha256", HEX),)


def test_names_match_whatever_their_case():
    assert json.loads(reencode_config(_config(Architecture="amd64")))["architecture"] == "amd64"
