"""Each way to go wrong does, as often as it was asked to, and none outlives the registry."""

from __future__ import annotations

import gzip
import http.client
import json
import os
import threading
import time

import pytest

from transship.image.digest import digest_of
from transship.testing.images import oci_image
from transship.testing.registry import Fault, Registry

NAME = "library/app"
BLOB = os.urandom(100_000)
BLOBS = "/v2/*/blobs/*"
PATH = f"/v2/{NAME}/blobs/{digest_of(BLOB)}"


@pytest.fixture(params=["memory", "file"])
def registry(request, tmp_path):
    with Registry() as registry:
        file = tmp_path / "blob"
        file.write_bytes(BLOB)
        registry.put_blob(NAME, BLOB if request.param == "memory" else file)
        registry.put_image(NAME, "v1", oci_image())
        yield registry


@pytest.mark.parametrize(
    ("fault", "statuses"),
    [
        (Fault(BLOBS, status=503, times=2), [503, 503, 200, 200]),
        (Fault(BLOBS, status=500), [500, 500, 500, 500]),
        (Fault(BLOBS, status=502, times=1, after=2), [200, 200, 502, 200]),
        (Fault(BLOBS, "HEAD", status=500), [200, 200, 200, 200]),
        (Fault("/v2/*/manifests/*", status=500), [200, 200, 200, 200]),
        (Fault(BLOBS, status=429, headers={"Retry-After": "3"}, times=1), [429, 200, 200, 200]),
    ],
)
def test_fault_hits_what_it_is_meant_for(registry, client, fault, statuses):
    registry.add_fault(fault)
    responses = [client("GET", PATH) for _ in statuses]
    assert [response.status for response in responses] == statuses
    if 429 in statuses:
        assert responses[0].headers["Retry-After"] == "3"


def test_faults_that_hit_nothing_are_known(registry, client):
    idle, hit = Fault("/v2/other"), Fault(BLOBS)
    registry.add_fault(idle)
    registry.add_fault(hit)
    client("GET", PATH)
    assert registry.idle_faults == [idle]


def test_earliest_fault_comes_first_and_all_can_be_cleared(registry, client):
    registry.add_fault(Fault(status=500, times=1))
    registry.add_fault(Fault(status=502))
    assert [client("GET", PATH).status for _ in range(3)] == [500, 502, 502]
    registry.clear_faults()
    assert client("GET", PATH).data == BLOB


def read_until_cut(client, **headers):
    with pytest.raises(http.client.IncompleteRead) as caught:
        client("GET", PATH, **headers)
    client.close()
    return caught.value.partial


def test_download_is_cut_and_can_go_on(registry, client):
    registry.add_fault(Fault(BLOBS, cut_after=30_000, times=3))
    data = b""
    for _ in range(3):
        data += read_until_cut(client, Range=f"bytes={len(data)}-")
    assert data == BLOB[:90_000]
    assert data + client("GET", PATH, Range="bytes=90000-").data == BLOB
    assert [record.sent for record in registry.requests] == [30_000] * 3 + [10_000]


def test_download_stalls(registry, client):
    registry.add_fault(Fault(BLOBS, stall_after=1000, times=1))
    client.timeout(0.1)
    with pytest.raises(TimeoutError):
        client("GET", PATH)


def test_stall_ends_in_time(registry, client):
    registry.add_fault(Fault(BLOBS, stall_after=1000, seconds=0.1))
    assert client("GET", PATH).data == BLOB


def test_bit_is_flipped_where_it_was_asked_for(registry, client):
    registry.add_fault(Fault(BLOBS, flipped=50_000))
    whole = client("GET", PATH).data
    assert [at for at in range(len(BLOB)) if whole[at] != BLOB[at]] == [50_000]
    assert client("GET", PATH, Range="bytes=50000-50000").data == whole[50_000:50_001]
    assert client("GET", PATH, Range="bytes=50001-").data == BLOB[50_001:]


def test_content_length_too_big(registry, client):
    registry.add_fault(Fault(BLOBS, headers={"Content-Length": "100001"}))
    assert read_until_cut(client) == BLOB


def test_content_length_too_small(registry, client):
    registry.add_fault(Fault(BLOBS, headers={"Content-Length": "99999"}))
    assert client("GET", PATH).data == BLOB[:99_999]


def test_content_length_missing(registry, client):
    registry.add_fault(Fault(BLOBS, headers={"Content-Length": None}))
    response = client("GET", PATH)
    assert "Content-Length" not in response.headers
    assert response.data == BLOB


def test_range_ignored(registry, client):
    registry.add_fault(Fault(BLOBS, ignore_range=True))
    response = client("GET", PATH, Range="bytes=10-")
    assert (response.status, response.data) == (200, BLOB)


def test_content_range_wrong(registry, client):
    registry.add_fault(Fault(BLOBS, headers={"Content-Range": "bytes 5-99999/100000"}))
    response = client("GET", PATH, Range="bytes=10-")
    assert (response.status, response.headers["Content-Range"]) == (206, "bytes 5-99999/100000")
    assert response.data == BLOB[10:]


def test_other_content(registry, client):
    registry.add_fault(Fault(BLOBS, body=b"other"))
    assert client("GET", PATH).data == b"other"


def test_json_cut_short_but_declared_so(registry, client):
    registry.add_fault(Fault("*/manifests/*", truncated=20))
    response = client("GET", f"/v2/{NAME}/manifests/v1")
    assert (response.status, response.data) == (200, oci_image().manifest[:20])


def test_digest_header_wrong_and_doubled(registry, client):
    digest = str(digest_of(b"other"))
    registry.add_fault(Fault("*/manifests/*", headers={"Docker-Content-Digest": digest}, times=1))
    registry.add_fault(Fault("*/manifests/*", extra_headers=(("Docker-Content-Digest", digest),)))
    answers = [client("GET", f"/v2/{NAME}/manifests/v1").headers for _ in range(2)]
    true = str(oci_image().digest)
    assert [answer.get_all("Docker-Content-Digest") for answer in answers] == [[digest], [true, digest]]


def test_extra_headers_come_after_what_was_replaced_or_left_out(registry, client):
    registry.add_fault(Fault(BLOBS, headers={"A": None, "B": "1"}, extra_headers=(("A", "2"), ("B", "3"))))
    headers = client("GET", PATH).headers
    assert (headers.get_all("A"), headers.get_all("B")) == (["2"], ["1", "3"])


@pytest.mark.parametrize(
    ("redirect", "expected"),
    [
        ("http://example.org:1/blob?x={y}", "http://example.org:1/blob?x={y}"),
        ("{url}{target}", "{url}" + PATH + "?a=b"),
        ("https://{host}{path}?{count}", "https://{host}" + PATH + "?1"),
        ("{elsewhere}/x", "{elsewhere}/x"),
        ("file:///etc/passwd", "file:///etc/passwd"),
    ],
)
def test_redirect(registry, client, redirect, expected):
    registry.add_fault(Fault(BLOBS, redirect=redirect))
    response = client("GET", f"{PATH}?a=b")
    for name in ("url", "host", "elsewhere"):
        expected = expected.replace(f"{{{name}}}", getattr(registry, name))
    assert (response.status, response.headers["Location"]) == (307, expected)


def test_redirect_may_have_another_status(registry, client):
    registry.add_fault(Fault(BLOBS, redirect="/x", status=302))
    assert client("GET", PATH).status == 302


def test_body_is_compressed_on_the_way(registry, client):
    registry.add_fault(Fault(BLOBS, gzip=True))
    response = client("GET", PATH)
    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(response.data) == BLOB


def test_body_without_end(registry):
    registry.add_fault(Fault("*/tags/list", endless=True))
    connection = http.client.HTTPConnection(registry.host)
    connection.request("GET", f"/v2/{NAME}/tags/list")
    response = connection.getresponse()
    assert response.read(10_000_000).strip().startswith(b"{")
    response.close()
    connection.close()


def test_pages_without_end(registry, client):
    registry.add_fault(Fault("*/tags/list", endless_pages=True))
    path, tags = f"/v2/{NAME}/tags/list", []
    for _ in range(5):
        response = client("GET", path)
        tags += json.loads(response.data)["tags"]
        path = response.headers["Link"][1:].partition(">")[0]
    assert tags == [f"tag-{number}" for number in range(1, 6)]


def test_pages_in_a_circle(registry, client):
    registry.add_fault(Fault("*/tags/list", headers={"Link": '<{target}>; rel="next"'}))
    path = f"/v2/{NAME}/tags/list?n=1"
    assert client("GET", path).headers["Link"] == f'<{path}>; rel="next"'


def test_headers_come_slowly(registry, client):
    registry.add_fault(Fault(BLOBS, header_delay=0.02))
    before = time.monotonic()
    assert client("GET", PATH).data == BLOB
    assert time.monotonic() - before > 0.1


def test_answer_is_late(registry, client):
    registry.add_fault(Fault(delay=0.1))
    before = time.monotonic()
    assert client("GET", PATH).status == 200
    assert time.monotonic() - before > 0.1


def test_401_without_end(client_of):
    with Registry(auth="bearer", users={"u": "p"}) as registry, client_of(registry) as client:
        registry.add_fault(Fault(BLOBS, status=401))
        for _ in range(3):
            response = client("GET", PATH)
            assert response.status == 401
            assert response.headers["WWW-Authenticate"].startswith("Bearer realm=")


def test_answer_is_lost_though_the_work_was_done(registry, client):
    location = client.upload()
    registry.add_fault(Fault(method="PUT", drop_response=True, times=1))
    with pytest.raises(http.client.RemoteDisconnected):
        client("PUT", f"{location}&digest={digest_of(b'new')}", b"new")
    assert digest_of(b"new") in registry.blobs[NAME]
    assert registry.requests[-1].status == 0


def test_refused_big_request_is_answered_before_it_is_read(registry, client):
    registry.add_fault(Fault(method="PATCH", status=503, times=1))
    location = client.upload()
    assert client("PATCH", location, bytes(200_000)).status == 503
    assert client("PATCH", location, b"x").status == 202


@pytest.mark.parametrize(
    "fault",
    [
        Fault(delay=60),
        Fault(stall_after=10),
        Fault(header_delay=60),
        Fault(endless=True),
        Fault(stall_request_after=10),
    ],
    ids=["delay", "stall", "headers", "endless", "request"],
)
def test_close_ends_every_fault_at_once(client_of, fault):
    registry = Registry()
    registry.put_blob(NAME, BLOB)
    client = client_of(registry)
    location = client.upload()
    registry.add_fault(fault)

    def ask():
        with pytest.raises((http.client.HTTPException, OSError)):
            client("PATCH", location, BLOB) if fault.stall_request_after else client("GET", PATH)

    asking = threading.Thread(target=ask)
    asking.start()
    while len(registry.requests) < 2:
        time.sleep(0.01)
    before = time.monotonic()
    registry.close()
    asking.join(5)
    assert not asking.is_alive()
    assert time.monotonic() - before < 1


def test_nothing_is_left_running():
    before = set(threading.enumerate())
    with Registry() as registry:
        assert registry.elsewhere
        assert len(threading.enumerate()) == len(before) + 2
    assert set(threading.enumerate()) == before
