"""Tags of a repository."""

from __future__ import annotations

import json

import pytest

from transship.errors import TransportError
from transship.testing.images import oci_image
from transship.testing.registry import Fault
from transship_docker import tags as tags_module
from transship_docker.errors import RegistryError
from transship_docker.transport import DockerTransport

TAGS = "/v2/library/app/tags/list"


@pytest.fixture
def list_tags(make_context):
    def list_tags(registry):
        transport = DockerTransport()
        return transport.list_tags(transport.parse_place(f"//{registry.host}/library/app"), make_context())

    return list_tags


@pytest.fixture(autouse=True)
def _existing(registry):
    registry.put_image("library/app", "v1", oci_image())


def page(*tags, times=None, **headers):
    return Fault(TAGS, body=json.dumps({"name": "library/app", "tags": tags}).encode(), headers=headers, times=times)


@pytest.mark.parametrize("size", [0, 1, 2, 100])
def test_all_pages_are_read(make_registry, list_tags, size):
    registry = make_registry(page_size=size)
    names = [f"v{number}" for number in range(5)]
    for name in names:
        registry.put_image("library/app", name, oci_image())
    assert list_tags(registry) == (f"{registry.host}/library/app", names)


def test_the_registrys_order_is_kept(registry, list_tags):
    registry.add_fault(page("b", "a", "10", "9"))
    assert list_tags(registry).tags == ["b", "a", "10", "9"]


def test_what_is_no_tag_by_design_is_left_out(registry, list_tags):
    registry.add_fault(page("", "sha256:" + "a" * 64, "v1"))
    assert list_tags(registry).tags == ["v1"]


@pytest.mark.parametrize("body", [b'{"tags": null}', b"{}", b'{"tags": []}'])
def test_no_tags(registry, list_tags, body):
    registry.add_fault(Fault(TAGS, body=body))
    assert list_tags(registry).tags == []


@pytest.mark.parametrize(
    ("fault", "phrase"),
    [
        (page("a b"), "registry returned invalid tag"),
        (page("\x1b[2J"), "registry returned invalid tag"),
        (page(3), "no list of tags"),
        (Fault(TAGS, body=b"[]"), "no list of tags"),
        (Fault(TAGS, body=b'{"tags": "v1"}'), "no list of tags"),
        (Fault(TAGS, body=b"no"), "not JSON"),
        (Fault(TAGS, body=b"[" * 200_000), "not JSON"),
        (Fault(TAGS, body=b'{"tags": [' + b"9" * 5000 + b"]}"), "not JSON"),
        (page("v1", Link="<{target}>; rel=next"), "never end"),
        (Fault(TAGS, status=404), "fetching tags list: name unknown"),
        (page("v1", Link="<http://[::1>; rel=next"), "next page is invalid"),
    ],
)
def test_broken_lists_are_errors(registry, list_tags, fault, phrase):
    registry.add_fault(fault)
    with pytest.raises(TransportError, match=phrase):
        list_tags(registry)


def test_endless_pages_end(registry, list_tags, monkeypatch):
    monkeypatch.setattr(tags_module, "_PAGES", 20)
    registry.add_fault(Fault(TAGS, endless_pages=True))
    with pytest.raises(TransportError, match="never end"):
        list_tags(registry)


def test_endless_bodies_end(registry, list_tags, monkeypatch):
    monkeypatch.setattr(tags_module, "PAGE_LIMIT", 1 << 20)
    registry.add_fault(Fault(TAGS, endless=True, headers={"Content-Length": None}))
    with pytest.raises(TransportError, match="exceeded maximum allowed size"):
        list_tags(registry)


def test_the_next_page_is_at_the_same_host(registry, make_registry, list_tags):
    other = make_registry()
    registry.add_fault(Fault(TAGS, times=1, body=b'{"tags": ["a"]}', headers={"Link": f"<{other.url}{TAGS}?n=2>"}))
    registry.add_fault(page("b"))
    assert list_tags(registry).tags == ["a", "b"]
    assert other.requests == []


@pytest.mark.parametrize("start", ["////", "http:////"])
def test_nor_does_a_path_that_begins_like_a_host_lead_to_another(registry, make_registry, list_tags, start):
    other = make_registry()
    registry.add_fault(page("a", times=1, Link=f"<{start}{other.host}{TAGS}>"))
    with pytest.raises(RegistryError):
        list_tags(registry)
    assert registry.requests[-1].path == f"//{other.host}{TAGS}"
    assert other.requests == []


def test_pages_that_are_long_together_are_refused(make_registry, list_tags, monkeypatch):
    registry = make_registry(page_size=2)
    for number in range(20):
        registry.put_image("library/app", f"v{number}", oci_image())
    monkeypatch.setattr(tags_module, "TOTAL_LIMIT", 200)
    with pytest.raises(TransportError, match="exceeded maximum allowed size"):
        list_tags(registry)


def test_too_many_tags_are_refused(registry, list_tags, monkeypatch):
    monkeypatch.setattr(tags_module, "COUNT_LIMIT", 3)
    registry.add_fault(page("a", "b", times=1, Link="<{target}?n=1>"))
    registry.add_fault(page("c", "d"))
    with pytest.raises(TransportError, match="more than 3 tags"):
        list_tags(registry)
