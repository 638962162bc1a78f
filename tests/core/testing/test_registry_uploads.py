"""Uploads are refused for the smallest disorder, and survive a cut."""

from __future__ import annotations

import os
import socket
import time

import pytest

from transship.image.digest import digest_of
from transship.testing.registry import Fault, Registry
from transship.testing.registry_content import MEMORY_LIMIT

NAME = "library/app"
BLOB = os.urandom(3000)
BIG = os.urandom(MEMORY_LIMIT + 12345)
OCTETS = {"Content_Type": "application/octet-stream"}


def chunk(client, location, data, start):
    return client("PATCH", location, data, Content_Range=f"{start}-{start + len(data) - 1}", **OCTETS)


def finish(client, location, data, body=None):
    return client("PUT", f"{location}&digest={digest_of(data)}", body)


@pytest.mark.parametrize("data", [BLOB, BIG, b""], ids=["small", "big", "empty"])
@pytest.mark.parametrize("way", ["patch", "put", "post", "chunked"])
def test_every_way_to_upload(registry, client, data, way):
    if way == "post":
        response = client("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest_of(data)}", data)
    elif way == "put":
        response = finish(client, client.upload(), data, data)
    else:
        pieces = iter([data[:1000], data[1000:]]) if way == "chunked" else data
        response = client("PATCH", client.upload(), pieces)
        assert response.status == 202
        response = finish(client, response.headers["Location"], data)
    assert (response.status, response.headers["Docker-Content-Digest"]) == (201, str(digest_of(data)))
    assert client("GET", response.headers["Location"]).data == data
    assert registry.open_uploads == 0


def test_chunks_in_order(registry, client):
    location = client.upload()
    for start in range(0, 3000, 1000):
        response = chunk(client, location, BLOB[start : start + 1000], start)
        assert (response.status, response.headers["Range"]) == (202, f"0-{start + 999}")
        location = response.headers["Location"]
    assert finish(client, location, BLOB).status == 201
    assert registry.blobs[NAME][digest_of(BLOB)].read() == BLOB


@pytest.mark.parametrize("start", [0, 999, 1001])
def test_chunk_out_of_order_is_refused_with_the_offset(client, start):
    location = chunk(client, client.upload(), BLOB[:1000], 0).headers["Location"]
    response = chunk(client, location, BLOB[start : start + 10], start)
    assert (response.status, response.headers["Range"]) == (416, "0-999")
    assert response.headers["Location"]


@pytest.mark.parametrize(
    ("content_range", "status"), [("0-998", 400), ("bytes 0-999/3000", 416), ("9-0", 416), ("0-", 416)]
)
def test_wrong_content_range_is_refused(client, content_range, status):
    assert client("PATCH", client.upload(), BLOB[:1000], Content_Range=content_range).status == status


def test_only_the_last_chunk_may_be_short(client_of):
    with Registry(min_chunk=1000) as registry, client_of(registry) as client:
        response = client("POST", f"/v2/{NAME}/blobs/uploads/")
        assert response.headers["OCI-Chunk-Min-Length"] == "1000"
        location = chunk(client, response.headers["Location"], BLOB[:1000], 0).headers["Location"]
        location = chunk(client, location, BLOB[1000:1010], 1000).headers["Location"]
        assert chunk(client, location, BLOB[1010:], 1010).status == 400
        assert finish(client, location, BLOB[:1010]).status == 201


def test_wrong_digest_is_refused(registry, client):
    location = client("PATCH", client.upload(), BLOB).headers["Location"]
    assert finish(client, location, BLOB[1:]).status == 400
    assert not registry.blobs[NAME]
    assert registry.open_uploads == 0


@pytest.mark.parametrize("query", ["", "&digest=sha256:short"])
def test_upload_ends_with_a_digest_only(client, query):
    assert client("PUT", client.upload() + query, BLOB).status == 400


def test_location_must_be_used_as_it_was_given(client):
    location = client.upload()
    assert client("PATCH", location.partition("?")[0], BLOB).status == 404
    assert client("PATCH", location.replace(NAME, "library/other"), BLOB).status == 404


def test_upload_can_be_cancelled(registry, client):
    location = client.upload()
    assert client("DELETE", location).status == 204
    assert client("GET", location).status == 404
    assert registry.open_uploads == 0


def test_too_big_upload_is_refused(client_of):
    with Registry(upload_limit=1000) as registry, client_of(registry) as client:
        assert client("PATCH", client.upload(), BLOB).status == 413
        assert client("PATCH", client.upload(), iter([BLOB])).status == 413


def test_locations_can_be_absolute(client_of):
    with Registry(absolute_locations=True) as registry, client_of(registry) as client:
        assert client.upload().startswith(registry.url)


@pytest.mark.parametrize(
    ("options", "query", "status"),
    [
        ({}, "&from=other", 201),
        ({}, "&from=nowhere", 202),
        ({}, "", 202),
        ({"mount_anywhere": True}, "", 201),
        ({"mount": False}, "&from=other", 202),
    ],
)
def test_mount(client_of, options, query, status):
    with Registry(**options) as registry, client_of(registry) as client:
        digest = registry.put_blob("other", BLOB)
        response = client("POST", f"/v2/{NAME}/blobs/uploads/?mount={digest}{query}")
        assert response.status == status
        assert (digest in registry.blobs[NAME]) == (status == 201)
        assert registry.open_uploads == (status == 202)


def test_registry_may_want_two_steps(client_of):
    with Registry(monolithic=False) as registry, client_of(registry) as client:
        response = client("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest_of(BLOB)}", BLOB)
        assert response.status == 202
        assert finish(client, response.headers["Location"], BLOB, BLOB).status == 201


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("data", [BLOB, BIG], ids=["small", "big"])
def test_upload_goes_on_after_a_cut(registry, client_of, client, method, data):
    location = client.upload()
    registry.add_fault(Fault(method=method, drop_request_after=1234, times=1))
    with client_of(registry) as cut, pytest.raises(OSError, match=r"."):
        cut(method, f"{location}&digest={digest_of(data)}", data)
    response = client("GET", location)
    assert (response.status, response.headers["Range"]) == (204, "0-1233")
    location = chunk(client, response.headers["Location"], data[1234:], 1234).headers["Location"]
    assert finish(client, location, data).status == 201


def test_upload_goes_on_after_the_client_vanished(registry, client):
    location = client.upload()
    host, port = registry.host.split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"PATCH {location} HTTP/1.1\r\nHost: {registry.host}\r\nContent-Length: 3000\r\n\r\n"
        connection.sendall(head.encode() + BLOB[:1000])
    deadline = time.monotonic() + 5
    while (offset := client("GET", location).headers["Range"]) != "0-999":
        assert time.monotonic() < deadline, offset
    response = chunk(client, location, BLOB[1000:], 1000)
    assert finish(client, response.headers["Location"], BLOB).status == 201


def test_upload_is_lost_after_a_cut_where_that_is_wanted(client_of):
    with Registry(keeps_cut_uploads=False) as registry, client_of(registry) as client:
        location = client.upload()
        registry.add_fault(Fault(method="PATCH", drop_request_after=1234, times=1))
        with client_of(registry) as cut, pytest.raises(OSError, match=r"."):
            cut("PATCH", location, BLOB)
        assert client("GET", location).status == 404


def test_upload_goes_on_after_a_stall(registry, client_of, client):
    location = client.upload()
    registry.add_fault(Fault(method="PATCH", stall_request_after=1000, times=1))
    stalled = client_of(registry)
    stalled.timeout(0.1)
    with stalled, pytest.raises(TimeoutError):
        stalled("PATCH", location, BLOB)
    stalled.close()
    assert client("GET", location).headers["Range"] == "0-999"
    location = chunk(client, location, BLOB[1000:], 1000).headers["Location"]
    assert finish(client, location, BLOB).status == 201


def test_upload_can_go_on_at_another_origin(client_of):
    with Registry(auth="basic", users={"u": "p"}) as registry, client_of(registry) as client:
        registry.add_fault(Fault("*/uploads/", "POST", headers={"Location": "{elsewhere}{location}"}))
        basic = {"Authorization": "Basic dTpw"}
        location = client("POST", f"/v2/{NAME}/blobs/uploads/", **basic).headers["Location"]
        assert location.startswith(registry.elsewhere)
        other = client_of(registry.elsewhere)
        path = other("PATCH", location.removeprefix(registry.elsewhere), BLOB).headers["Location"]
        assert finish(other, path, BLOB).status == 201
        assert digest_of(BLOB) in registry.blobs[NAME]
