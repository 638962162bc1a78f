"""What ``tree`` and ``diff`` say agrees with what a real registry holds and with what skopeo says."""

from __future__ import annotations

import json
import subprocess

import pytest
from registries import docker_registry

from transship.anatomy.parts import Kind
from transship.api import PluginManager, diff, make_context, tree
from transship.image.digest import digest_of
from transship.image.media_types import OCI_CONFIG, OCI_EMPTY, OCI_INDEX, OCI_MANIFEST
from transship.testing.images import Image, docker_list, oci_image, oci_index, schema2_image

pytestmark = pytest.mark.interop

IMAGES = {"oci": oci_image(), "docker": schema2_image(), "index": oci_index(), "list": docker_list()}
BILL = "application/spdx+json"


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with docker_registry(tmp_path_factory.mktemp("storage")) as registry:
        yield registry


@pytest.fixture
def context():
    return make_context(PluginManager(), options={"tls-verify": "false", "no-cache": "true"})


def skopeo(*arguments):
    command = ["/usr/bin/skopeo", *arguments]
    return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)


@pytest.mark.parametrize("kind", IMAGES)
def test_size_is_what_the_registry_stores(tmp_path, context, kind):
    with docker_registry(tmp_path) as registry:
        registry.put_image("app", "v1", IMAGES[kind])
        part = tree(f"docker://{registry.host}/app:v1", context=context)
        stored = {path.parent.name: path.stat().st_size for path in tmp_path.rglob("blobs/sha256/*/*/data")}
    assert part.size == sum(stored.values())
    assert {digest.encoded for digest in part.blobs()} == set(stored)
    assert part.referrers_problem == ""


@pytest.mark.parametrize("kind", IMAGES)
def test_layers_are_those_that_skopeo_inspects(registry, context, kind):
    registry.put_image(kind, "v1", IMAGES[kind])
    name = f"docker://{registry.host}/{kind}:v1"
    part = tree(name, context=context)
    raw = skopeo("inspect", "--tls-verify=false", "--raw", name)
    assert [str(member.digest) for member in part.members] == [each["digest"] for each in raw.get("manifests", [])]
    for image in part.members or [part]:
        platform = image.platform
        flags = ["--override-os", platform.os, "--override-arch", platform.architecture]
        flags += ["--override-variant", platform.variant] if platform.variant else []
        config = skopeo(*flags, "inspect", "--tls-verify=false", "--config", name)
        told = skopeo("inspect", "--tls-verify=false", "--no-tags", f"docker://{registry.host}/{kind}@{image.digest}")
        assert [str(layer.digest) for layer in image.layers] == told["Layers"]
        assert [layer.diff_id for layer in image.layers] == config["rootfs"]["diff_ids"]
        assert [layer.created_by for layer in image.layers] == [step["created_by"] for step in config["history"]]
        manifest = skopeo("inspect", "--tls-verify=false", "--raw", f"docker://{registry.host}/{kind}@{image.digest}")
        assert image.layers_size == sum(layer["size"] for layer in manifest["layers"])


def _manifest(config_type, layer_type, layer, **members):
    blobs = {digest_of(data): data for data in (b"{}", layer)}
    config, described = (
        {"mediaType": media_type, "digest": str(digest_of(data)), "size": len(data)}
        for media_type, data in ((config_type, b"{}"), (layer_type, layer))
    )
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [described], **members}
    return Image(json.dumps(document).encode(), OCI_MANIFEST, blobs)


def test_what_refers_to_an_image_is_found_where_the_registry_itself_does_not_tell(registry, context):
    image = IMAGES["oci"]
    subject = {"mediaType": OCI_MANIFEST, "digest": str(image.digest), "size": len(image.manifest)}
    bill = _manifest(OCI_EMPTY, BILL, b"bill", artifactType=BILL, subject=subject)
    signature_type = "application/vnd.dev.cosign.simplesigning.v1+json"
    attached = _manifest(OCI_CONFIG, signature_type, b"signature")
    listing = {"mediaType": OCI_MANIFEST, "digest": str(bill.digest), "size": len(bill.manifest)}
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [listing]}).encode()
    tag = str(image.digest).replace(":", "-")
    registry.put_image("signed", "v1", image)
    registry.put_image("signed", "bill", bill)
    registry.put_image("signed", tag, Image(index, OCI_INDEX))
    registry.put_image("signed", f"{tag}.sig", attached)
    part = tree(f"docker://{registry.host}/signed:v1", context=context)
    found = [(referrer.tag, referrer.part.kind, referrer.part.artifact_type) for referrer in part.referrers]
    assert found == [("", Kind.ARTIFACT, BILL), (f"{tag}.sig", Kind.ARTIFACT, signature_type)]


def test_bytes_only_in_the_second_are_those_that_a_copy_uploads(tmp_path, context):
    first, second = IMAGES["index"], IMAGES["list"]
    with docker_registry(tmp_path) as registry:
        registry.put_image("app", "v1", first)
        before = sum(path.stat().st_size for path in tmp_path.rglob("blobs/sha256/*/*/data"))
        registry.put_image("app", "v2", second)
        after = sum(path.stat().st_size for path in tmp_path.rglob("blobs/sha256/*/*/data"))
        names = [f"docker://{registry.host}/app:{tag}" for tag in ("v1", "v2")]
        difference = diff(*names, first_context=context, second_context=context)
    assert difference.sizes.only_second == after - before
    assert difference.sizes.only_first + difference.sizes.shared == before
