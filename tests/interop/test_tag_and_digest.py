"""``NAME:TAG@DIGEST`` wherever a registry's image is named."""

from __future__ import annotations

import json

import pytest
from processes import transship
from registries import docker_registry

from transship.testing.images import oci_image, oci_index

pytestmark = pytest.mark.interop

NAME = "team/app"
IMAGE, OTHER, INDEX = oci_image(), oci_image(architecture="arm64"), oci_index()


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with docker_registry(tmp_path_factory.mktemp("registry")) as registry:
        for tag, image in (("v1", IMAGE), ("other", OTHER), ("multi", INDEX)):
            registry.put_image(NAME, tag, image)
        yield registry


@pytest.fixture
def run(registry, tmp_path):
    """Runs a command in which ``{}`` stands for the repository."""

    def run_with(command, *words):
        flags = ["--src-tls-verify=false", "--dest-tls-verify=false"] if command == "copy" else ["--tls-verify=false"]
        named = [word.replace("{}", f"docker://{registry.host}/{NAME}") for word in words]
        return transship(tmp_path, command, *flags, *named)

    return run_with


def tags(run):
    return json.loads(run("list-tags", "--digests", "{}").stdout)["Digests"]


@pytest.mark.parametrize("tag", ["v1", "other", "not-there"])
@pytest.mark.parametrize("flags", [["--format", "{{.Digest}}"], ["--raw"], ["--config"]])
def test_it_is_read_by_the_digest(run, tag, flags):
    found = run("inspect", *flags, f"{{}}:{tag}@{IMAGE.digest}")
    assert (found.code, found.stdout) == (0, run("inspect", *flags, f"{{}}@{IMAGE.digest}").stdout)


@pytest.mark.parametrize("command", [["inspect"], ["inspect", "--raw"], ["copy"]])
def test_digest_that_is_not_there_is_not_found(run, tmp_path, command):
    rest = [f"dir:{tmp_path / 'x'}"] if command == ["copy"] else []
    assert run(*command, f"{{}}:v1@sha256:{'0' * 64}", *rest).code == 2


@pytest.mark.parametrize("target", ["dir:{}/d", "oci:{}/o:a", "oci-archive:{}/o.tar:a", "docker-archive:{}/d.tar:a:b"])
def test_it_is_copied_from(run, tmp_path, target):
    assert run("copy", f"{{}}:other@{IMAGE.digest}", target.replace("{}", str(tmp_path))).code == 0


@pytest.mark.parametrize(("image", "source"), [(IMAGE, "v1"), (INDEX, "multi")], ids=["image", "index"])
def test_it_is_copied_to(run, image, source):
    target = f"to-{source}"
    assert run("copy", "--all", f"{{}}:{source}", f"{{}}:{target}@{image.digest}").code == 0
    assert tags(run)[target] == str(image.digest)


def test_nothing_with_another_digest_is_copied_to_it(run):
    found = run("copy", "{}:v1", f"{{}}:wrong@{OTHER.digest}")
    assert found.code == 1
    assert "would not match destination reference" in found.stderr
    assert "wrong" not in tags(run)


def test_further_tags_may_stand_beside_it(run, registry):
    further = f"{registry.host}/{NAME}:further"
    assert run("copy", "--additional-tag", further, "{}:v1", f"{{}}:first@{IMAGE.digest}").code == 0
    assert tags(run)["first"] == tags(run)["further"] == str(IMAGE.digest)


def test_it_is_deleted_with_all_its_tags(run, registry):
    registry.put_image(NAME, "gone", oci_image(architecture="arm"))
    assert run("delete", f"{{}}:gone@{oci_image(architecture='arm').digest}").code == 0
    assert "gone" not in tags(run)


def test_it_is_no_repository(run):
    found = run("list-tags", f"{{}}:v1@{IMAGE.digest}")
    assert found.code == 1
    assert "No tag or digest allowed in reference" in found.stderr
