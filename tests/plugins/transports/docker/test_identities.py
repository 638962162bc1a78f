"""Which manifest a tag names, without reading it, and what the images of one run share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from transship.errors import TransportError
from transship.image.media_types import OCI_INDEX, OCI_MANIFEST
from transship.plugin.shared import Shared
from transship.plugin.transport import DigestReader, ManifestIdentity, TagIterator
from transship.testing.images import oci_image, oci_index
from transship.testing.registry import Fault
from transship_docker.transport import DockerTransport

TRANSPORT = DockerTransport()


def reference(registry, name: str = "app:v1"):
    return TRANSPORT.parse_reference(f"//{registry.host}/{name}")


def methods(registry) -> list[str]:
    return [record.method for record in registry.requests if "/manifests/" in record.target]


def test_the_transport_says_that_it_can():
    assert isinstance(TRANSPORT, DigestReader)
    assert isinstance(TRANSPORT, TagIterator)


@pytest.mark.parametrize("for_writing", [False, True])
def test_one_head_request_tells(registry, make_context, for_writing):
    registry.put_image("app", "v1", oci_image())
    found = TRANSPORT.get_digest(reference(registry), make_context(), for_writing=for_writing)
    assert found == ManifestIdentity(oci_image().digest, OCI_MANIFEST)
    assert methods(registry) == ["HEAD"]


def test_a_tag_that_is_not_there(registry, make_context):
    assert TRANSPORT.get_digest(reference(registry), make_context()) is None


@pytest.mark.parametrize("header", [None, "nonsense", "sha256:00"])
def test_a_registry_that_does_not_tell(registry, make_context, header):
    registry.put_image("app", "v1", oci_image())
    registry.add_fault(Fault("/v2/app/manifests/v1", headers={"Docker-Content-Digest": header}))
    assert TRANSPORT.get_digest(reference(registry), make_context()) is None


def test_a_registry_that_refuses_is_an_error(registry, make_context):
    registry.add_fault(Fault("/v2/app/manifests/v1", status=403))
    with pytest.raises(TransportError):
        TRANSPORT.get_digest(reference(registry), make_context())


def test_a_digest_that_is_asked_for_is_compared(registry, make_context):
    registry.put_image("app", "v1", oci_image())
    other = oci_image(architecture="arm64")
    registry.add_fault(Fault("/v2/app/manifests/*", headers={"Docker-Content-Digest": str(other.digest)}))
    name = f"app@{oci_image().digest}"
    assert TRANSPORT.get_digest(reference(registry, name), make_context()) is None


def test_an_index_to_write_must_have_all_its_members(registry, make_registry, make_context):
    registry.put_image("app", "v1", oci_index())
    identity = ManifestIdentity(oci_index().digest, OCI_INDEX)
    assert TRANSPORT.get_digest(reference(registry), make_context(), for_writing=True) == identity
    sparse = make_registry(sparse_indexes=True)
    sparse.put_manifest("app", "v1", oci_index().manifest, OCI_INDEX)
    assert TRANSPORT.get_digest(reference(sparse), make_context(), for_writing=True) is None
    assert TRANSPORT.get_digest(reference(sparse), make_context()) == identity


def test_signatures_are_not_expected_without_a_place_for_them(registry, make_context, tmp_path):
    registry.put_image("app", "v1", oci_image())
    assert not TRANSPORT.may_be_signed(reference(registry), make_context())
    assert methods(registry) == []


@pytest.mark.parametrize(
    "setting", ["use-sigstore-attachments: true", "lookaside: http://127.0.0.1:1/", "lookaside: file://{folder}"]
)
def test_signatures_may_be_where_the_configuration_says(registry, make_context, tmp_path, setting):
    (tmp_path / "lookaside" / "app@sha256=00").mkdir(parents=True)
    (tmp_path / "registries.d").mkdir()
    setting = setting.format(folder=tmp_path / "lookaside")
    (tmp_path / "registries.d" / "x.yaml").write_text(f"docker:\n  {registry.host}:\n    {setting}\n")
    context = make_context(**{"registries.d": str(tmp_path / "registries.d")})
    assert TRANSPORT.may_be_signed(reference(registry), context)


def test_a_folder_without_signatures_of_the_repository_has_none(registry, make_context, tmp_path):
    (tmp_path / "lookaside" / "other@sha256=00").mkdir(parents=True)
    (tmp_path / "registries.d").mkdir()
    (tmp_path / "registries.d" / "x.yaml").write_text(
        f"docker:\n  {registry.host}:\n    lookaside: file://{tmp_path}/lookaside\n"
    )
    context = make_context(**{"registries.d": str(tmp_path / "registries.d")})
    assert not TRANSPORT.may_be_signed(reference(registry), context)


def test_a_registry_with_the_extension_may_have_signatures(make_registry, make_context):
    registry = make_registry(signatures_extension=True)
    assert TRANSPORT.may_be_signed(reference(registry), make_context())


class TestSharing:
    def test_images_of_a_run_share_ping_and_connections(self, registry, make_context):
        for number in range(3):
            registry.put_image(f"app{number}", "v1", oci_image())
        context = replace(make_context(), shared=Shared())
        for number in range(3):
            for _ in range(2):
                source = TRANSPORT.open_source(reference(registry, f"app{number}:v1"), context)
                source.close()
        pings = [record for record in registry.requests if record.target == "/v2/"]
        assert len(pings) == 1
        context.shared.close()

    def test_a_token_serves_all_images_of_a_repository(self, make_registry, make_context):
        registry = make_registry(auth="bearer", users={"me": "secret"}, anonymous=["pull"])
        for number in range(3):
            registry.put_image("app", f"v{number}", oci_image())
        context = replace(make_context(), shared=Shared())
        for number in range(3):
            assert TRANSPORT.get_digest(reference(registry, f"app:v{number}"), context) is not None
        assert len([record for record in registry.requests if record.target.startswith("/token")]) == 1
        context.shared.close()

    def test_an_image_that_stands_alone_closes_its_connections(self, registry, make_context):
        registry.put_image("app", "v1", oci_image())
        for _ in range(2):
            TRANSPORT.open_source(reference(registry), make_context()).close()
        assert len([record for record in registry.requests if record.target == "/v2/"]) == 2

    def test_tags_come_page_by_page(self, make_registry, make_context):
        registry = make_registry(page_size=2)
        for number in range(6):
            registry.put_image("app", f"v{number}", oci_image())
        tags = TRANSPORT.iterate_tags(TRANSPORT.parse_place(f"//{registry.host}/app"), make_context())
        assert next(tags) == "v0"
        assert len([record for record in registry.requests if "/tags/list" in record.target]) == 1
        assert list(tags) == [f"v{number}" for number in range(1, 6)]
