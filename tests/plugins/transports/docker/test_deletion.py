"""Deleting images."""

from __future__ import annotations

import pytest

from transship.errors import NotFoundError, TransportError
from transship.plugin.credentials import Credentials
from transship.testing.images import oci_image, oci_index, schema1_image
from transship.testing.registry import Fault
from transship_docker.transport import DockerTransport


@pytest.fixture
def delete(make_context):
    def delete(name, **settings):
        transport = DockerTransport()
        transport.delete(transport.parse_reference(f"//{name}"), make_context(**settings))

    return delete


@pytest.mark.parametrize("image", [oci_image(), oci_index(), schema1_image()])
def test_all_tags_of_the_manifest_vanish(registry, delete, image):
    for tag in ("v1", "same"):
        registry.put_image("library/app", tag, image)
    delete(f"{registry.host}/library/app:v1")
    assert registry.tags["library/app"] == {}


def test_a_digest_will_do(registry, delete):
    digest = registry.put_image("library/app", "", oci_image())
    delete(f"{registry.host}/library/app@{digest}")
    assert digest not in registry.manifests["library/app"]


def test_what_is_not_there_is_told_without_the_status_of_reading(registry, delete):
    with pytest.raises(TransportError, match=r"Unable to delete .*Image may not exist") as caught:
        delete(f"{registry.host}/library/app:no")
    assert not isinstance(caught.value, NotFoundError)


def test_a_registry_may_not_delete(make_registry, delete):
    registry = make_registry(delete_enabled=False)
    registry.put_image("library/app", "v1", oci_image())
    with pytest.raises(TransportError, match=f"deleting {registry.host}/library/app:v1: "):
        delete(f"{registry.host}/library/app:v1")


@pytest.mark.parametrize("status", [200, 204, 405, 500])
def test_only_accepted_is_success(registry, delete, status):
    registry.put_image("library/app", "v1", oci_image())
    registry.add_fault(Fault("/v2/*", "DELETE", status=status))
    with pytest.raises(TransportError, match="deleting"):
        delete(f"{registry.host}/library/app:v1")


def test_the_token_is_for_everything(make_registry, delete):
    registry = make_registry(auth="bearer", users={"u": "p"})
    registry.put_image("library/app", "v1", oci_image())
    delete(f"{registry.host}/library/app:v1", credentials=Credentials("u", "p"))
    scopes = [request.query["scope"] for request in registry.requests if request.path == "/token"]
    assert scopes == [["repository:library/app:*"]]


def test_signatures_in_files_go_too(registry, delete, lookaside):
    digest = registry.put_image("library/app", "v1", oci_image())
    folder = lookaside / f"library/app@sha256={digest.encoded}"
    folder.mkdir(parents=True)
    for number in (1, 2, 4):
        (folder / f"signature-{number}").write_bytes(b"x")
    delete(f"{registry.host}/library/app:v1", **{"registries.d": str(lookaside.parent / "registries.d")})
    assert [path.name for path in folder.iterdir()] == ["signature-4"]
