"""Deleting a tag and nothing else."""

from __future__ import annotations

import subprocess

import peers
import pytest

from transship.errors import InvalidReferenceError, NotFoundError, TransportError, UnsupportedError
from transship.testing.images import oci_image, oci_index, schema1_image
from transship.testing.registry import Fault
from transship.testing.writers import write_oci_layout
from transship_docker.transport import DockerTransport

NAME = "library/app"


@pytest.fixture
def delete_tag(make_context):
    def delete_tag(name, **settings):
        transport = DockerTransport()
        transport.delete_tag(transport.parse_reference(f"//{name}"), make_context(**settings))

    return delete_tag


@pytest.mark.parametrize("image", [oci_image(), oci_index(), schema1_image()], ids=["image", "index", "schema 1"])
@pytest.mark.parametrize("with_digest", [False, True])
def test_other_tags_and_the_manifest_stay(registry, delete_tag, warnings_shown, image, with_digest):
    for tag in ("latest", "same"):
        registry.put_image(NAME, tag, image)
    delete_tag(f"{registry.host}/{NAME}:latest{f'@{image.digest}' if with_digest else ''}")
    assert registry.tags[NAME] == {"same": image.digest}
    assert image.digest in registry.manifests[NAME]
    assert warnings_shown == []


def test_tag_that_names_something_else_stays(registry, delete_tag):
    registry.put_image(NAME, "v1", oci_image())
    with pytest.raises(TransportError, match=f"it names {oci_image().digest}"):
        delete_tag(f"{registry.host}/{NAME}:v1@{oci_index().digest}")
    assert "v1" in registry.tags[NAME]


def test_digest_alone_is_no_tag(registry, delete_tag):
    digest = registry.put_image(NAME, "v1", oci_image())
    with pytest.raises(InvalidReferenceError, match="has no tag"):
        delete_tag(f"{registry.host}/{NAME}@{digest}")


def test_tag_that_is_not_there_is_told_without_the_status_of_reading(registry, delete_tag):
    registry.put_image(NAME, "v1", oci_image())
    with pytest.raises(TransportError, match="there is no such tag") as caught:
        delete_tag(f"{registry.host}/{NAME}:v2")
    assert not isinstance(caught.value, NotFoundError)


def test_registry_that_cannot_keeps_everything(make_registry, delete_tag):
    registry = make_registry(delete_tags=False)
    registry.put_image(NAME, "v1", oci_image())
    with pytest.raises(UnsupportedError, match="cannot delete a tag alone, and has deleted nothing"):
        delete_tag(f"{registry.host}/{NAME}:v1")
    assert "v1" in registry.tags[NAME]
    assert [request.path for request in registry.requests if request.method == "DELETE"] == [f"/v2/{NAME}/manifests/v1"]


@pytest.mark.parametrize("status", [403, 429, 500])
def test_other_refusals_are_told_as_they_are(registry, delete_tag, status):
    registry.put_image(NAME, "v1", oci_image())
    registry.add_fault(Fault("/v2/*", "DELETE", status=status))
    with pytest.raises(TransportError, match=f"deleting the tag {registry.host}/{NAME}:v1: "):
        delete_tag(f"{registry.host}/{NAME}:v1")


def test_registry_that_lets_go_of_the_manifest_too_is_told(registry, delete_tag, warnings_shown):
    digest = registry.put_image(NAME, "v1", oci_image())
    registry.add_fault(Fault("/v2/*", "DELETE", status=202))
    registry.add_fault(Fault(f"/v2/{NAME}/manifests/sha256:*", "HEAD", status=404))
    delete_tag(f"{registry.host}/{NAME}:v1")
    assert [str(digest) in warning for warning in warnings_shown] == [True]


@pytest.mark.interop
def test_real_registry_that_cannot_keeps_everything(distribution, delete_tag, make_context, tmp_path):
    write_oci_layout({"v": oci_image()}, tmp_path / "layout")
    image = f"{distribution.host}/tag-deletion:v1"
    push = [peers.SKOPEO, "--insecure-policy", "copy", "-q", "--dest-tls-verify=false", f"oci:{tmp_path}/layout:v"]
    subprocess.run([*push, f"docker://{image}"], check=True)
    with pytest.raises(UnsupportedError, match="cannot delete a tag alone"):
        delete_tag(image)
    shown = subprocess.run(
        [peers.SKOPEO, "inspect", "--raw", "--tls-verify=false", f"docker://{image}"], check=True, capture_output=True
    )
    assert shown.stdout == oci_image().manifest
