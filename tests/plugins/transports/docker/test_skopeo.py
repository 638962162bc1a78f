"""A real registry, and the same done by skopeo."""

from __future__ import annotations

import json
import subprocess
import sys

import peers
import pytest

from transship.testing.images import docker_list, image_with_foreign_layer, oci_image, oci_index, schema2_image
from transship.testing.writers import write_oci_layout

pytestmark = pytest.mark.interop

TRANSSHIP = [sys.executable, "-m", "transship", "--insecure-policy"]
SKOPEO = [peers.SKOPEO, "--insecure-policy"]


def run(command, *arguments):
    return subprocess.run([*command, *map(str, arguments)], check=False, capture_output=True, text=True)


def push(distribution, tmp_path, image, name):
    folder = tmp_path / "pushed"
    write_oci_layout({"v": image}, folder)
    done = run(SKOPEO, "copy", "-q", "--all", "--dest-tls-verify=false", f"oci:{folder}:v", f"docker://{name}")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def repository(distribution, request):
    return f"{distribution.host}/{request.node.name.lower().partition('[')[0].replace('_', '-')}"


@pytest.mark.uses("dir")
@pytest.mark.parametrize("image", [oci_image(), oci_index()], ids=["image", "index"])
def test_copies_are_alike(distribution, repository, tmp_path, image):
    push(distribution, tmp_path, image, f"{repository}:v1")
    for command, folder in ((TRANSSHIP, "ours"), (SKOPEO, "theirs")):
        target = f"dir:{tmp_path / folder}"
        done = run(command, "copy", "--all", "--src-tls-verify=false", f"docker://{repository}:v1", target)
        assert done.returncode == 0, done.stderr
    ours, theirs = (
        {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()} for folder in ("ours", "theirs")
    )
    assert ours == theirs


@pytest.mark.uses("dir")
@pytest.mark.parametrize("scope", ["localhost:{port}", "localhost:{port}/scopes", "LOCALHOST:{port}", "localhost"])
def test_scopes_of_a_policy_are_for_the_host_as_it_is_written(distribution, tmp_path, scope):
    """With its capitals and its port, as what a policy may not say of one name it may not say of others either."""
    port = distribution.host.partition(":")[2]
    push(distribution, tmp_path, oci_image(), f"{distribution.host}/scopes:v1")
    accept, reject = ([{"type": kind}] for kind in ("insecureAcceptAnything", "reject"))
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"default": accept, "transports": {"docker": {scope.format(port=port): reject}}}))
    for host in (f"localhost:{port}", f"LOCALHOST:{port}", f"localhost:0{port}"):
        codes = [
            run(
                [*command[:-1], "--policy", policy],
                "copy",
                "--src-tls-verify=false",
                f"docker://{host}/scopes:v1",
                f"dir:{tmp_path}/{name}",
            ).returncode
            for name, command in (("ours", TRANSSHIP), ("theirs", SKOPEO))
        ]
        is_meant = host == scope.format(port=port).partition("/")[0]
        assert codes == [int(is_meant)] * 2, host


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "--raw", "docker://{}:v1"],
        ["inspect", "--config", "docker://{}:v1"],
        ["inspect", "--format", "{{{{.Name}}}} {{{{.Digest}}}} {{{{.RepoTags}}}}", "docker://{}:v1"],
        ["list-tags", "docker://{}"],
    ],
    ids=["raw", "config", "format", "tags"],
)
def test_answers_are_alike(distribution, repository, tmp_path, arguments):
    push(distribution, tmp_path, oci_image(), f"{repository}:v1")
    filled = [argument.format(repository) for argument in arguments]
    ours, theirs = (run(command, *filled, "--tls-verify=false") for command in (TRANSSHIP, SKOPEO))
    assert (ours.stdout, ours.returncode) == (theirs.stdout, theirs.returncode)
    assert ours.stdout


def test_summaries_are_alike(distribution, repository, tmp_path):
    push(distribution, tmp_path, oci_image(), f"{repository}:v1")
    ours, theirs = (
        json.loads(run(command, "inspect", "--tls-verify=false", f"docker://{repository}:v1").stdout)
        for command in (TRANSSHIP, SKOPEO)
    )
    assert ours.pop("LayersData")  # newer than this skopeo
    theirs.pop("LayersData", None)
    assert ours == theirs


@pytest.mark.parametrize("command", [TRANSSHIP, SKOPEO], ids=["transship", "skopeo"])
def test_deletion_is_alike(distribution, repository, tmp_path, command):
    name = f"{repository}/{command[-2].rpartition('/')[2].replace('.', '')}:v1"
    push(distribution, tmp_path, oci_image(), name)
    done = run(command, "delete", "--tls-verify=false", f"docker://{name}")
    assert (done.stdout, done.returncode) == ("", 0)
    assert run(SKOPEO, "inspect", "--tls-verify=false", f"docker://{name}").returncode == 1
    again = run(command, "delete", "--tls-verify=false", f"docker://{name}")
    assert again.returncode == 1
    assert "Image may not exist or is not stored with a v2 Schema" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "phrase", "code"),
    [
        (["inspect", "docker://{}:no"], "manifest unknown", 2),
        (["list-tags", "docker://{}"], "fetching tags list: ", 1),
        (["list-tags", "docker://{}:v1"], "No tag or digest allowed in reference", 1),
        (["inspect", "docker:x"], "does not start with //", 1),
    ],
)
def test_errors_are_told_in_one_line(distribution, repository, arguments, phrase, code):
    done = run(TRANSSHIP, *(argument.format(repository) for argument in arguments), "--tls-verify=false")
    assert done.returncode == code
    assert phrase in done.stderr
    assert done.stderr.count("\n") == 1


def test_http_needs_verification_to_be_off(distribution, repository):
    for command in (TRANSSHIP, SKOPEO):
        done = run(command, "inspect", f"docker://{repository}:v1")
        assert done.returncode == 1
        assert "http: server gave HTTP response to HTTPS client" in done.stderr


@pytest.mark.uses("dir")
@pytest.mark.parametrize("image", [schema2_image(), docker_list()], ids=["schema2", "list"])
def test_docker_images_come_as_they_are(registry, tmp_path, image):
    registry.put_image("library/app", "v1", image)
    target = tmp_path / "copied"
    done = run(
        TRANSSHIP,
        "copy",
        "--all",
        "--src-tls-verify=false",
        f"docker://{registry.host}/library/app:v1",
        f"dir:{target}",
    )
    assert done.returncode == 0, done.stderr
    assert (target / "manifest.json").read_bytes() == image.manifest


@pytest.mark.uses("dir")
def test_a_foreign_layer_that_nobody_has_is_told(registry, tmp_path):
    registry.put_image("library/app", "v1", image_with_foreign_layer())
    name = f"docker://{registry.host}/library/app:v1"
    done = run(TRANSSHIP, "copy", "--src-tls-verify=false", name, f"dir:{tmp_path / 'x'}")
    assert done.returncode == 1
    assert "failed fetching external blob from all urls" in done.stderr
