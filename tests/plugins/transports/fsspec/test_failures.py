"""What users are told when something is wrong, and what they are not told."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from fsspec.config import conf
from fsspec_servers import CREDENTIALS

from transship.errors import TransportError
from transship_fsspec.failures import reporting

SECRET = CREDENTIALS["AWS_SECRET_ACCESS_KEY"]


def _run(*arguments, **environment):
    command = [sys.executable, "-W", "always::ResourceWarning", "-m", "transship", *arguments]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )


def test_package_that_is_missing_is_named(transship_cli):
    outcome = transship_cli("inspect", "fsspec:gcs://bucket/path:v1")
    assert outcome.code == 1
    assert "gcsfs" in outcome.fatal


def test_file_system_that_fsspec_does_not_know_is_an_error(transship_cli):
    outcome = transship_cli("inspect", "fsspec:no-such-thing://bucket/path:v1")
    assert outcome.code == 1
    assert "no-such-thing" in outcome.fatal


@pytest.mark.uses("oci")
def test_bucket_that_is_not_there_is_not_made(s3, images, transship_cli):
    outcome = transship_cli("--insecure-policy", "copy", f"{images}:one", "fsspec:s3://no-such-bucket/path:v1")
    assert outcome.code == 1
    assert "no-such-bucket" in outcome.fatal
    assert not s3.filesystem.exists("no-such-bucket")


def test_configuration_of_fsspec_that_is_broken_is_one_line(tmp_path):
    (tmp_path / "broken.json").write_text("{")
    outcome = _run("inspect", "fsspec:memory://place:v1", FSSPEC_CONFIG_DIR=str(tmp_path))
    assert outcome.returncode == 1
    assert "Traceback" not in outcome.stderr
    assert "fsspec" in outcome.stderr


@pytest.mark.uses("oci")
def test_archive_that_is_there_is_not_touched(images, transship_cli, tmp_path):
    (tmp_path / "of.zip").write_bytes(b"mine")
    destination = f"fsspec:zip://::file://{tmp_path}/of.zip:v1"
    assert transship_cli("--insecure-policy", "copy", f"{images}:one", destination).code == 1
    assert (tmp_path / "of.zip").read_bytes() == b"mine"


@pytest.mark.uses("oci")
def test_nothing_can_be_deleted_from_an_archive(images, transship_cli, tmp_path):
    url = f"fsspec:zip://::file://{tmp_path}/of.zip:v1"
    assert transship_cli("--insecure-policy", "copy", f"{images}:one", url).code == 0
    assert transship_cli("delete", url).code == 1
    assert transship_cli("inspect", url).code == 0


def test_secrets_of_the_configuration_are_left_out_of_errors(monkeypatch):
    monkeypatch.setitem(conf, "s3", {"secret": "open-sesame", "client_kwargs": {"aws_session_token": "abracadabra"}})
    with pytest.raises(TransportError) as caught, reporting("read", "s3://bucket"):
        raise ValueError("open-sesame and abracadabra are not good for https://ann:hocuspocus@host/\nat all")
    told = str(caught.value)
    assert not [word for word in ("sesame", "abra", "hocus", "\n") if word in told]
    assert "at all" in told


@pytest.mark.uses("oci")
def test_commands_end_cleanly_and_tell_no_secrets(s3, images):
    endpoint = {"FSSPEC_S3_ENDPOINT_URL": s3.endpoint}
    done = _run(
        "--debug", "--insecure-policy", "copy", "-q", f"{images}:one", "fsspec:s3://images/clean:v1", **endpoint
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if "level=debug" not in line] == []
    assert SECRET not in done.stderr
    done = _run("--debug", "inspect", "fsspec:s3://images/clean:v2", **endpoint)
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if "level=debug" not in line and "level=fatal" not in line] == []
    assert SECRET not in done.stderr
