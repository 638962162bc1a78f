"""Listing what refers to a manifest, whatever the registry answers."""

from __future__ import annotations

import json

import pytest

from transship.errors import TransshipError
from transship.image.digest import digest_of
from transship.image.media_types import OCI_INDEX, OCI_MANIFEST
from transship.plugin.transport import Referrer
from transship.testing.images import image_with_subject, oci_image
from transship.testing.registry import Fault
from transship_docker.transport import DockerTransport

NAME = "library/app"
API = f"/v2/{NAME}/referrers/*"
IMAGE = oci_image(architecture="arm64", variant="v8")
REFERRER = image_with_subject()


def entry(data):
    return {"mediaType": OCI_MANIFEST, "digest": str(digest_of(data)), "size": len(data)}


def index(*entries):
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()


def answering(body, status=200, content_type=OCI_INDEX, times=None, **headers):
    return Fault(API, status=status, body=body, headers={"Content-Type": content_type, **headers}, times=times)


def filled(registry):
    registry.put_image(NAME, "v1", IMAGE)
    registry.put_image(NAME, "", REFERRER)
    return registry


@pytest.fixture
def list_referrers(make_context):
    opened = []

    def list_referrers(registry):
        transport = DockerTransport()
        opened.append(transport.open_source(transport.parse_reference(f"//{registry.host}/{NAME}:v1"), make_context()))
        return opened[-1].list_referrers(IMAGE.digest)

    yield list_referrers
    for source in opened:
        source.close()


def with_fallback_tag(registry):
    tag = f"sha256-{IMAGE.digest.encoded}"
    registry.put_manifest(NAME, tag, index(entry(REFERRER.manifest)), OCI_INDEX)
    return registry


def test_the_registry_knows(registry, list_referrers):
    assert list_referrers(filled(registry)) == [Referrer(REFERRER.digest)]


@pytest.mark.parametrize(("status", "content_type"), [(404, ""), (405, ""), (400, ""), (501, ""), (200, "text/html")])
def test_the_fallback_tag_stands_in(registry, list_referrers, status, content_type):
    filled(with_fallback_tag(registry))
    registry.add_fault(answering(b"<html>", status, content_type))
    assert list_referrers(registry) == [Referrer(REFERRER.digest)]


def test_what_is_no_index_stands_in_for_nothing(make_registry, list_referrers):
    registry = filled(make_registry(referrers=False))
    registry.put_image(NAME, f"sha256-{IMAGE.digest.encoded}", REFERRER)
    assert list_referrers(registry) == []


@pytest.mark.parametrize("suffix", [".sig", ".att", ".sbom"])
def test_tags_are_found(registry, list_referrers, suffix):
    tag = f"sha256-{IMAGE.digest.encoded}{suffix}"
    registry.put_image(NAME, tag, REFERRER)
    found = list_referrers(filled(registry))
    assert set(found) == {Referrer(REFERRER.digest), Referrer(REFERRER.digest, tag)}


def test_all_pages_are_read(registry, list_referrers):
    pages = [index(entry(b"first")), index(entry(b"second"))]
    registry.add_fault(answering(pages[0], times=1, Link=f'</v2/{NAME}/referrers/x?n=2>; rel="next"'))
    registry.add_fault(answering(pages[1], times=1))
    assert list_referrers(filled(registry)) == [Referrer(digest_of(b"first")), Referrer(digest_of(b"second"))]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", {}),
        (b"{", {}),
        (b"[]", {}),
        (b"null", {}),
        (b'{"manifests": {}}', {}),
        (b'{"manifests": [1]}', {}),
        (b'{"manifests": [{}]}', {}),
        (b'{"manifests": [{"mediaType": "x", "digest": "sha256:../../x", "size": 1}]}', {}),
        (b'{"manifests": [], "manifests": []}', {}),
        (b"[" * 100_000, {}),
        (b" " * (5 << 20), {}),
        (index(*[entry(b"x")] * 10_001), {}),
        (index(), {"Link": f'</v2/{NAME}/referrers/x>; rel="next"'}),
        (index(), {"Link": "<http://[>"}),
    ],
    ids=str,
)
def test_odd_answers_end_in_one_line(registry, list_referrers, body, headers):
    filled(registry)
    registry.add_fault(answering(body, **headers))
    with pytest.raises(TransshipError) as caught:
        list_referrers(registry)
    assert len(str(caught.value)) < 1000
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("status", [401, 403, 500])
def test_refusal_is_no_empty_list(registry, list_referrers, status):
    filled(with_fallback_tag(registry))
    registry.add_fault(answering(b"", status))
    with pytest.raises(TransshipError, match=f"listing what refers to {IMAGE.digest}"):
        list_referrers(registry)
