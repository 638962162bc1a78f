"""What tags name."""

from __future__ import annotations

import json
import subprocess

import peers
import pytest

from transship.errors import TransportError
from transship.plugin.credentials import Credentials
from transship.testing.images import docker_list, oci_image, oci_index, schema1_image, schema2_image
from transship.testing.registry import Fault
from transship.testing.writers import write_oci_layout
from transship_docker.transport import DockerTransport

NAME = "library/app"
IMAGES = {
    "one": oci_image(),
    "two": schema2_image(),
    "list": docker_list(),
    "index": oci_index(),
    "old": schema1_image(),
}


@pytest.fixture
def list_digests(make_context):
    def list_digests(host, name=NAME, **settings):
        transport = DockerTransport()
        return transport.list_digests(transport.parse_place(f"//{host}/{name}"), make_context(**settings))

    return list_digests


@pytest.fixture
def filled(registry):
    for tag, image in IMAGES.items():
        registry.put_image(NAME, tag, image)
    return registry


def test_each_kind_of_manifest_has_its_digest(filled, list_digests):
    repository, digests = list_digests(filled.host)
    assert repository == f"{filled.host}/{NAME}"
    assert digests == {tag: image.digest for tag, image in IMAGES.items()}
    assert list(digests) == sorted(IMAGES)


def test_no_manifest_is_read_for_it(filled, list_digests):
    list_digests(filled.host)
    asked = [request.method for request in filled.requests if "/manifests/" in request.path]
    assert asked == ["HEAD"] * len(IMAGES)


def test_registry_that_does_not_say_is_read(filled, list_digests):
    filled.add_fault(Fault("/v2/*/manifests/one", "HEAD", status=200, headers={"Content-Length": "10"}))
    assert list_digests(filled.host).digests["one"] == oci_image().digest


def test_tag_that_goes_meanwhile_has_none(filled, list_digests):
    filled.add_fault(Fault("/v2/*/manifests/two", "HEAD", status=404))
    digests = list_digests(filled.host).digests
    assert digests["two"] is None
    assert digests["one"] is not None


def test_refusal_ends_it(filled, list_digests):
    filled.add_fault(Fault("/v2/*/manifests/two", "HEAD", status=403))
    with pytest.raises(TransportError, match=f"asking for the digest of {filled.host}/{NAME}:two"):
        list_digests(filled.host)


def test_many_are_asked_for_with_one_token(make_registry, list_digests):
    registry = make_registry(auth="bearer", users={"u": "p"})
    for number in range(40):
        registry.put_image(NAME, f"v{number}", oci_image())
    digests = list_digests(registry.host, credentials=Credentials("u", "p")).digests
    assert set(digests.values()) == {oci_image().digest}
    assert len([request for request in registry.requests if request.path.startswith("/token")]) == 1


@pytest.mark.interop
def test_real_registry_tells_what_skopeo_put_there(distribution, list_digests, tmp_path):
    images = {"a": oci_image(), "b": oci_index()}
    write_oci_layout(images, tmp_path / "layout")
    name = f"{distribution.host}/digests"
    for tag in images:
        copy = [peers.SKOPEO, "--insecure-policy", "copy", "-q", "--all", "--dest-tls-verify=false"]
        subprocess.run([*copy, f"oci:{tmp_path}/layout:{tag}", f"docker://{name}:{tag}"], check=True)
    digests = list_digests(distribution.host, "digests").digests
    assert digests == {tag: image.digest for tag, image in images.items()}
    listed = subprocess.run(
        [peers.SKOPEO, "list-tags", "--tls-verify=false", f"docker://{name}"], check=True, capture_output=True
    )
    assert list(digests) == json.loads(listed.stdout)["Tags"]
