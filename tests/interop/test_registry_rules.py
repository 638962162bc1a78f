"""Flags of one side mean nothing to the other, and the time that the user gives ends every wait."""

from __future__ import annotations

import json
import os

import pytest
from processes import transship

from transship.testing.images import oci_image
from transship.testing.registry import Fault, Registry
from transship.testing.writers import write_dir

pytestmark = pytest.mark.interop

USERS = {"user": "hunter2secret"}


@pytest.fixture
def registries():
    with Registry(auth="basic", users=USERS) as one, Registry(auth="basic", users=USERS) as other:
        one.put_image("app", "v1", oci_image())
        yield one, other


def images(registries):
    return [f"docker://{registry.host}/app:v1" for registry in registries]


@pytest.mark.parametrize("side", ["src", "dest"])
def test_insecure_is_the_side_that_was_named(tmp_path, registries, side):
    flags = [f"--{each}-creds=user:hunter2secret" for each in ("src", "dest")]
    done = transship(tmp_path, "copy", f"--{side}-tls-verify=false", *flags, *images(registries))
    spared = registries[0 if side == "dest" else 1]
    assert done.code == 1
    assert "server gave HTTP response to HTTPS client" in done.stderr
    assert spared.requests == []


@pytest.mark.parametrize("side", ["src", "dest"])
def test_credentials_are_for_the_side_that_was_named(tmp_path, registries, side):
    flags = ["--src-tls-verify=false", "--dest-tls-verify=false", f"--{side}-creds=user:hunter2secret"]
    done = transship(tmp_path, "copy", *flags, *images(registries), XDG_CACHE_HOME=str(tmp_path))
    spared = registries[0 if side == "dest" else 1]
    assert done.code == 1
    assert not [request for request in spared.requests if request.headers.get("Authorization")]


@pytest.mark.parametrize(
    "fault", [Fault("/v2/", delay=60), Fault("/v2/app/manifests/*", stall_after=10), Fault("/v2/app/blobs/*", delay=60)]
)
def test_command_timeout_ends_what_waits_for_a_registry(tmp_path, fault):
    with Registry() as registry:
        registry.put_image("app", "v1", oci_image())
        registry.add_fault(fault)
        image = f"docker://{registry.host}/app:v1"
        arguments = ["--command-timeout=1500ms", "copy", "--src-tls-verify=false", image, f"dir:{tmp_path}/copied"]
        done = transship(tmp_path, *arguments)
        assert registry.idle_faults == []
    assert (done.code, done.stderr.count("\n")) == (1, 1)
    assert done.seconds < 20
    assert not (tmp_path / "copied").exists()


def test_command_timeout_ends_what_waits_for_a_helper_program(tmp_path):
    helper = tmp_path / "docker-credential-slow"
    helper.write_text("#!/bin/sh\nexec sleep 60\n")
    helper.chmod(0o755)
    write_dir(oci_image(), tmp_path / "image")
    with Registry(auth="basic", users=USERS) as registry:
        (tmp_path / "auth.json").write_text(json.dumps({"credHelpers": {registry.host: "slow"}}))
        target = f"docker://{registry.host}/app:v1"
        arguments = ["--command-timeout=1500ms", "copy", "--dest-tls-verify=false", f"dir:{tmp_path}/image", target]
        path = f"{tmp_path}:{os.environ['PATH']}"
        done = transship(tmp_path, *arguments, PATH=path, REGISTRY_AUTH_FILE=str(tmp_path / "auth.json"))
    assert (done.code, done.stderr.count("\n")) == (1, 1)
    assert done.seconds < 20
