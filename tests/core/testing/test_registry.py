"""The testing registry keeps to the distribution specification, and skopeo gets along with it."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import time

import peers
import pytest

from transship.image.digest import Digest, digest_of
from transship.image.media_types import DOCKER_MANIFEST, DOCKER_SCHEMA1_SIGNED, OCI_INDEX, OCI_MANIFEST
from transship.testing.images import (
    image_with_foreign_layer,
    image_with_subject,
    oci_image,
    oci_index,
    schema1_image,
    schema2_image,
)
from transship.testing.registry import Registry
from transship.testing.writers import write_oci_layout

BLOB = bytes(range(256)) * 8
MISSING = digest_of(b"missing")
NAME = "library/app"


def error_code(response):
    return json.loads(response.data)["errors"][0]["code"]


def push(client, image, reference="v1", name=NAME):
    for instance in image.instances:
        push(client, instance, str(instance.digest), name)
    for digest, data in image.blobs.items():
        assert client("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", data).status == 201
    return client("PUT", f"/v2/{name}/manifests/{reference}", image.manifest, Content_Type=image.media_type)


def test_ping_says_which_protocol(client):
    response = client("GET", "/v2/")
    assert (response.status, response.data) == (200, b"{}")
    assert response.headers["Docker-Distribution-Api-Version"] == "registry/2.0"


@pytest.mark.parametrize("image", [oci_image(), schema2_image(), oci_index(), schema1_image(tag="v1")])
def test_what_was_pushed_is_there(registry, client, image):
    response = push(client, image)
    assert (response.status, response.headers["Docker-Content-Digest"]) == (201, str(image.digest))
    for reference in ("v1", image.digest):
        answer = client("GET", f"/v2/{NAME}/manifests/{reference}")
        assert (answer.data, answer.headers["Content-Type"]) == (image.manifest, image.media_type)
    assert registry.tags[NAME] == {"v1": image.digest}
    assert set(registry.blobs[NAME]) == set(image.all_blobs)
    assert all(content.read() == image.all_blobs[digest] for digest, content in registry.blobs[NAME].items())


def test_head_tells_sizes_without_a_body(registry, client):
    image = oci_image()
    registry.put_image(NAME, "v1", image)
    response = client("HEAD", f"/v2/{NAME}/manifests/v1")
    assert (response.status, response.data) == (200, b"")
    assert response.headers["Content-Length"] == str(len(image.manifest))
    digest = registry.put_blob(NAME, BLOB)
    assert client("HEAD", f"/v2/{NAME}/blobs/{digest}").headers["Content-Length"] == str(len(BLOB))


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", f"/v2/{NAME}/blobs/{MISSING}", 404, "BLOB_UNKNOWN"),
        ("GET", f"/v2/{NAME}/blobs/sha256:short", 400, "DIGEST_INVALID"),
        ("GET", f"/v2/{NAME}/manifests/v2", 404, "MANIFEST_UNKNOWN"),
        ("GET", f"/v2/{NAME}/manifests/{MISSING}", 404, "MANIFEST_UNKNOWN"),
        ("GET", "/v2/other/manifests/v1", 404, "NAME_UNKNOWN"),
        ("GET", "/v2/other/tags/list", 404, "NAME_UNKNOWN"),
        ("GET", "/v2/UPPER/tags/list", 400, "NAME_INVALID"),
        ("GET", f"/v2/{NAME}/tags/list?n=-1", 400, "PAGINATION_NUMBER_INVALID"),
        ("GET", f"/v2/{NAME}/blobs/uploads/unknown", 404, "BLOB_UPLOAD_UNKNOWN"),
        ("PUT", f"/v2/{NAME}/blobs/{MISSING}", 405, "UNSUPPORTED"),
        ("DELETE", f"/v2/{NAME}/blobs/{MISSING}", 404, "BLOB_UNKNOWN"),
        ("GET", "/elsewhere", 404, "UNSUPPORTED"),
        ("GET", f"/storage/{MISSING}", 404, "UNSUPPORTED"),
    ],
)
def test_refusals_say_what_the_specification_wants(registry, client, method, path, status, code):
    registry.put_image(NAME, "v1", oci_image())
    response = client(method, path)
    assert (response.status, error_code(response)) == (status, code)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"Content_Type": DOCKER_MANIFEST}, "MANIFEST_INVALID"),
        ({"Content_Type": "text/plain"}, "MANIFEST_INVALID"),
        ({"reference": str(MISSING)}, "DIGEST_INVALID"),
        ({"reference": "-tag"}, "TAG_INVALID"),
        ({"body": b"{"}, "MANIFEST_INVALID"),
        ({"body": b"[" * 100_000}, "MANIFEST_INVALID"),
        ({"body": oci_image(compression="zstd").manifest}, "MANIFEST_BLOB_UNKNOWN"),
        ({"body": oci_index().manifest, "Content_Type": OCI_INDEX}, "MANIFEST_BLOB_UNKNOWN"),
        ({"body": schema1_image(tag="other").manifest, "Content_Type": DOCKER_SCHEMA1_SIGNED}, "MANIFEST_INVALID"),
    ],
)
def test_wrong_manifest_is_refused(registry, client, change, code):
    image = oci_image()
    assert push(client, image).status == 201
    wanted = {"reference": "v2", "body": image.manifest, "Content_Type": OCI_MANIFEST, **change}
    response = client("PUT", f"/v2/{NAME}/manifests/{wanted.pop('reference')}", **wanted)
    assert (response.status, error_code(response)) == (400, code)
    assert registry.tags[NAME] == {"v1": image.digest}


def test_too_big_manifest_is_refused(client):
    response = client("PUT", f"/v2/{NAME}/manifests/v1", b" " * (5 << 20), Content_Type=OCI_MANIFEST)
    assert response.status == 413


def test_foreign_layers_need_not_be_there(client):
    assert push(client, image_with_foreign_layer()).status == 201


def test_manifest_of_a_type_that_is_not_accepted_is_not_found(registry, client):
    registry.put_image(NAME, "v1", oci_image())
    assert client("GET", f"/v2/{NAME}/manifests/v1", Accept=DOCKER_MANIFEST).status == 404
    assert client("GET", f"/v2/{NAME}/manifests/v1", Accept=f"{DOCKER_MANIFEST}, {OCI_MANIFEST}").status == 200


@pytest.mark.parametrize(
    ("options", "image", "status"),
    [
        ({"schema1": False}, schema1_image(tag="v1"), 400),
        ({"manifest_types": [DOCKER_MANIFEST]}, oci_image(), 400),
        ({"manifest_types": [DOCKER_MANIFEST]}, schema2_image(), 201),
    ],
)
def test_accepted_manifest_types_can_be_chosen(options, image, status, client_of):
    with Registry(**options) as registry, client_of(registry) as client:
        assert push(client, image).status == status


def test_sparse_index_is_accepted_where_that_is_wanted(client_of):
    with Registry(sparse_indexes=True) as registry, client_of(registry) as client:
        answer = client("PUT", f"/v2/{NAME}/manifests/v1", oci_index().manifest, Content_Type=OCI_INDEX)
        assert answer.status == 201


@pytest.mark.parametrize(
    ("value", "status", "expected", "content_range"),
    [
        ("bytes=10-19", 206, BLOB[10:20], f"bytes 10-19/{len(BLOB)}"),
        ("bytes=2000-", 206, BLOB[2000:], f"bytes 2000-2047/{len(BLOB)}"),
        ("bytes=-8", 206, BLOB[-8:], f"bytes 2040-2047/{len(BLOB)}"),
        ("bytes=2040-9999", 206, BLOB[2040:], f"bytes 2040-2047/{len(BLOB)}"),
        ("bytes=0-1,4-5", 200, BLOB, None),
        ("lines=1-2", 200, BLOB, None),
    ],
)
def test_range_of_a_blob(registry, client, tmp_path, value, status, expected, content_range):
    file = tmp_path / "blob"
    file.write_bytes(BLOB)
    for name, data in (("memory", BLOB), ("file", file)):
        digest = registry.put_blob(name, data)
        response = client("GET", f"/v2/{name}/blobs/{digest}", Range=value)
        assert (response.status, response.data) == (status, expected)
        assert response.headers["Content-Range"] == content_range


def test_range_behind_the_end_is_refused(registry, client):
    digest = registry.put_blob(NAME, BLOB)
    response = client("GET", f"/v2/{NAME}/blobs/{digest}", Range=f"bytes={len(BLOB)}-")
    assert (response.status, response.headers["Content-Range"]) == (416, f"bytes */{len(BLOB)}")


def test_blob_redirect_leads_to_a_storage_that_wants_no_credentials(client_of):
    with Registry(blob_redirect=True) as registry, client_of(registry) as client:
        digest = registry.put_blob(NAME, BLOB)
        response = client("GET", f"/v2/{NAME}/blobs/{digest}")
        location = response.headers["Location"]
        assert response.status == 307
        assert location.startswith(f"{registry.elsewhere}/storage/")
        path = location.removeprefix(registry.elsewhere)
        storage = client_of(registry.elsewhere)
        assert storage("GET", path, Range="bytes=2-3").data == BLOB[2:4]
        assert storage("GET", path, Authorization="Basic eDp5").status == 400
        assert storage("GET", path.partition("?")[0]).status == 403
        assert storage("GET", "/v2/").status == 404
        assert registry.requests[-1].origin == registry.elsewhere.removeprefix("http://")


def listed(client, path, member):
    pages = []
    while path:
        response = client("GET", path)
        pages.append(json.loads(response.data)[member])
        link = response.headers["Link"]
        path = link and link[1:].partition(">")[0]
    return pages


@pytest.mark.parametrize(
    ("page_size", "query", "pages"),
    [
        (0, "", [["a", "b", "c", "d", "e"]]),
        (2, "", [["a", "b"], ["c", "d"], ["e"]]),
        (0, "?n=3", [["a", "b", "c"], ["d", "e"]]),
        (2, "?n=3", [["a", "b"], ["c", "d"], ["e"]]),
        (0, "?last=c", [["d", "e"]]),
        (0, "?n=0", [[]]),
        (5, "", [["a", "b", "c", "d", "e"]]),
    ],
)
def test_tags_come_in_pages(page_size, query, pages, client_of):
    with Registry(page_size=page_size) as registry, client_of(registry) as client:
        for tag in "ecadb":
            registry.put_image(NAME, tag, oci_image())
        assert listed(client, f"/v2/{NAME}/tags/list{query}", "tags") == pages


def test_catalog_lists_repositories(registry, client):
    registry.put_image("b", "v1", oci_image())
    registry.put_image("a/c", "v1", oci_image())
    assert listed(client, "/v2/_catalog?n=1", "repositories") == [["a/c"], ["b"]]


def test_deleting_a_manifest_takes_its_tags_along(registry, client):
    image = oci_image()
    for tag in ("v1", "v2"):
        registry.put_image(NAME, tag, image)
    registry.put_image(NAME, "other", schema2_image())
    assert client("DELETE", f"/v2/{NAME}/manifests/{image.digest}").status == 202
    assert set(registry.tags[NAME]) == {"other"}
    assert client("DELETE", f"/v2/{NAME}/manifests/{image.digest}").status == 404


def test_deleting_a_tag_leaves_the_manifest(registry, client):
    image = oci_image()
    for tag in ("v1", "v2"):
        registry.put_image(NAME, tag, image)
    assert client("DELETE", f"/v2/{NAME}/manifests/v1").status == 202
    assert registry.tags[NAME] == {"v2": image.digest}


def test_blob_can_be_deleted(registry, client):
    digest = registry.put_blob(NAME, BLOB)
    assert client("DELETE", f"/v2/{NAME}/blobs/{digest}").status == 202
    assert digest not in registry.blobs[NAME]


@pytest.mark.parametrize(
    ("options", "tag", "digest"),
    [({"delete_enabled": False}, 405, 405), ({"delete_tags": False}, 405, 202)],
)
def test_deleting_can_be_disabled(options, tag, digest, client_of):
    image = oci_image()
    with Registry(**options) as registry, client_of(registry) as client:
        registry.put_image(NAME, "v1", image)
        assert client("DELETE", f"/v2/{NAME}/manifests/v1").status == tag
        assert client("DELETE", f"/v2/{NAME}/manifests/{image.digest}").status == digest


def test_referrers_are_listed_and_filtered(client):
    image = image_with_subject()
    subject = json.loads(image.manifest)["subject"]["digest"]
    assert push(client, image).headers["OCI-Subject"] == subject
    [[descriptor]] = listed(client, f"/v2/{NAME}/referrers/{subject}", "manifests")
    assert descriptor["digest"] == str(image.digest)
    assert descriptor["artifactType"] == "application/vnd.oci.image.config.v1+json"
    assert descriptor["annotations"]["org.example.kind"] == "test"
    answer = client("GET", f"/v2/{NAME}/referrers/{subject}?artifactType=text/plain")
    assert json.loads(answer.data)["manifests"] == []
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"
    assert listed(client, f"/v2/{NAME}/referrers/{MISSING}", "manifests") == [[]]


def test_registry_without_referrers_does_not_know_the_api(client_of):
    with Registry(referrers=False) as registry, client_of(registry) as client:
        assert "OCI-Subject" not in push(client, image_with_subject()).headers
        assert client("GET", f"/v2/{NAME}/referrers/{MISSING}").status == 404


def signature(digest, name="0" * 32):
    return json.dumps({"schemaVersion": 2, "name": f"{digest}@{name}", "type": "atomic", "content": "AAEC"})


def test_signatures_extension_keeps_signatures(client_of):
    with Registry(signatures_extension=True) as registry, client_of(registry) as client:
        digest = registry.put_image(NAME, "v1", oci_image())
        path = f"/extensions/v2/{NAME}/signatures/{digest}"
        assert client("GET", "/v2/").headers["X-Registry-Supports-Signatures"] == "1"
        assert json.loads(client("GET", path).data) == {"signatures": []}
        assert client("PUT", path, signature(digest)).status == 201
        assert client("PUT", path, signature(digest)).status == 409
        assert client("PUT", path, signature(MISSING)).status == 400
        assert client("PUT", path, b"[]").status == 400
        assert json.loads(client("GET", path).data)["signatures"] == [json.loads(signature(digest))]
        assert registry.signatures[NAME][digest] == {f"{digest}@{'0' * 32}": b"\0\1\2"}


def test_extension_is_announced_to_who_is_not_known_yet(client_of):
    with Registry(signatures_extension=True, auth="basic", users={"u": "p"}) as registry:
        response = client_of(registry)("GET", "/v2/")
        assert (response.status, response.headers["X-Registry-Supports-Signatures"]) == (401, "1")


def test_extension_is_unknown_where_it_is_off(client):
    assert "X-Registry-Supports-Signatures" not in client("GET", "/v2/").headers
    assert client("GET", f"/extensions/v2/{NAME}/signatures/{MISSING}").status == 404


def test_requests_are_logged(registry, client):
    client("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest_of(BLOB)}", BLOB, User_Agent="me")
    [record] = registry.requests
    assert (record.method, record.path, record.status) == ("POST", f"/v2/{NAME}/blobs/uploads/", 201)
    assert record.query == {"digest": [str(digest_of(BLOB))]}
    assert (record.headers.get("user-agent"), record.received) == ("me", len(BLOB))
    assert record.body == BLOB
    registry.forget_requests()
    assert registry.requests == []


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 300 + b"\r\n",
    ],
)
def test_what_is_no_http_is_refused(registry, raw):
    host, port = registry.host.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(raw)
        assert connection.makefile("rb").readline().startswith(b"HTTP/1.1 400 ")


def test_close_does_not_wait_for_idle_clients_and_leaves_nothing(tmp_path, monkeypatch, client_of):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    registry = Registry()
    client = client_of(registry)
    client("PATCH", client.upload(), os.urandom(8 << 20))
    assert list(tmp_path.rglob("*"))
    before = time.monotonic()
    registry.close()
    registry.close()
    client.close()
    assert time.monotonic() - before < 1
    assert list(tmp_path.iterdir()) == []


def test_tls(certificate, client_of):
    with Registry(tls=certificate, blob_redirect=True) as registry:
        digest = registry.put_blob(NAME, BLOB)
        context = ssl.create_default_context(cafile=certificate[0])
        with client_of(registry, context) as client:
            assert registry.url.startswith("https://")
            assert client("GET", "/v2/").status == 200
            response = client("GET", f"/v2/{NAME}/blobs/{digest}")
            assert response.headers["Location"].startswith("https://")
        with client_of(registry, ssl.create_default_context()) as client, pytest.raises(ssl.SSLError):
            client("GET", "/v2/")


def test_client_certificate_can_be_required(certificate, client_of):
    context = ssl.create_default_context(cafile=certificate[0])
    with Registry(tls=certificate, client_ca=certificate[0]) as registry:
        with client_of(registry, context) as client, pytest.raises(OSError, match=r"."):
            client("GET", "/v2/")
        context.load_cert_chain(*certificate)
        with client_of(registry, context) as client:
            assert client("GET", "/v2/").status == 200


def skopeo(*arguments):
    done = subprocess.run([peers.SKOPEO, "--insecure-policy", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.interop
@pytest.mark.parametrize(
    "image", [oci_image(), oci_index(), oci_image(compression="zstd")], ids=["image", "index", "zstd"]
)
def test_skopeo_pushes_pulls_lists_and_deletes(tmp_path, registry, image):
    write_oci_layout({"v1": image}, tmp_path / "layout")
    place = f"docker://{registry.host}/{NAME}:v1"
    skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{tmp_path}/layout:v1", place)
    assert registry.tags[NAME] == {"v1": image.digest}
    assert set(registry.blobs[NAME]) == set(image.all_blobs)
    skopeo("copy", "--all", "--src-tls-verify=false", place, f"dir:{tmp_path}/dir")
    assert (tmp_path / "dir" / "manifest.json").read_bytes() == image.manifest
    listing = json.loads(skopeo("list-tags", "--tls-verify=false", place.removesuffix(":v1")))
    assert listing["Tags"] == ["v1"]
    skopeo("delete", "--tls-verify=false", place)
    assert registry.tags[NAME] == {}


@pytest.mark.interop
def test_skopeo_copies_between_repositories_with_a_redirect_and_tls(tmp_path, certificate):
    (tmp_path / "ca.crt").write_bytes(certificate[0].read_bytes())
    image = schema2_image()
    with Registry(tls=certificate, blob_redirect=True) as registry:
        registry.put_image("one", "v1", image)
        skopeo(
            "copy",
            f"--src-cert-dir={tmp_path}",
            f"--dest-cert-dir={tmp_path}",
            f"docker://{registry.host}/one:v1",
            f"docker://{registry.host}/two:v1",
        )
        assert registry.tags["two"] == {"v1": image.digest}


@pytest.mark.interop
def test_skopeo_falls_back_when_oci_is_refused(tmp_path):
    write_oci_layout({"v1": oci_image()}, tmp_path / "layout")
    with Registry(manifest_types=[DOCKER_MANIFEST]) as registry:
        place = f"docker://{registry.host}/{NAME}:v1"
        skopeo("copy", "--dest-tls-verify=false", f"oci:{tmp_path}/layout:v1", place)
        [manifest] = registry.manifests[NAME].values()
        assert manifest.media_type == DOCKER_MANIFEST


def test_digest_of_another_algorithm_is_checked(registry, client):
    digest = digest_of(BLOB, "sha512")
    assert client("POST", f"/v2/{NAME}/blobs/uploads/?digest={digest}", BLOB).status == 201
    assert registry.blobs[NAME][digest].read() == BLOB
    wrong = Digest("sha512", "0" * 128)
    assert client("POST", f"/v2/{NAME}/blobs/uploads/?digest={wrong}", BLOB).status == 400
