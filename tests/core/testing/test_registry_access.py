"""Who may do what: Basic, Bearer, scopes, tokens that expire."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from urllib.parse import urlencode

import peers
import pytest

from transship.testing.images import oci_image
from transship.testing.registry import Registry
from transship.testing.writers import write_oci_layout

NAME = "library/app"
USERS = {"user": "p:ä", "reader": "r"}


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


GOOD = basic("user", USERS["user"])


def token(client, *scopes, headers=GOOD, **query):
    parameters = [*query.items(), *(("scope", scope) for scope in scopes)]
    response = client("GET", f"/token?{urlencode(parameters)}", **headers)
    return json.loads(response.data)["token"]


def form(client, **fields):
    fields = {"client_id": "test", **fields}
    return client("POST", "/token", urlencode(fields), Content_Type="application/x-www-form-urlencoded")


@pytest.fixture
def registry():
    with Registry(auth="bearer", users=USERS, identity_tokens={"identity": "user"}) as registry:
        registry.put_image(NAME, "v1", oci_image())
        registry.put_image("other", "v1", oci_image())
        yield registry


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (GOOD, 200),
        ({}, 401),
        (basic("user", "wrong"), 401),
        (basic("nobody", ""), 401),
        ({"Authorization": "Basic ???"}, 401),
        ({"Authorization": "Bearer abc"}, 401),
    ],
)
@pytest.mark.parametrize("path", ["/v2/", f"/v2/{NAME}/tags/list"])
def test_basic(client_of, headers, status, path):
    with Registry(auth="basic", users=USERS) as registry, client_of(registry) as client:
        registry.put_image(NAME, "v1", oci_image())
        response = client("GET", path, **headers)
        assert response.status == status
        assert response.headers.get("WWW-Authenticate", "").startswith("Basic ") == (status == 401)


def test_anonymous_may_only_do_what_was_said(client_of):
    with Registry(auth="basic", users=USERS, anonymous=["pull"]) as registry, client_of(registry) as client:
        registry.put_image(NAME, "v1", oci_image())
        assert client("GET", f"/v2/{NAME}/tags/list").status == 200
        assert client("POST", f"/v2/{NAME}/blobs/uploads/").status == 401
        assert client("POST", f"/v2/{NAME}/blobs/uploads/", **GOOD).status == 202


def test_users_may_only_do_what_is_allowed(client_of):
    def allowed(user, repository, action):
        return user == "user" or (user, action) == ("reader", "pull")

    with Registry(auth="basic", users=USERS, allowed=allowed) as registry, client_of(registry) as client:
        assert client("POST", f"/v2/{NAME}/blobs/uploads/", **basic("reader", "r")).status == 403
        assert client("POST", f"/v2/{NAME}/blobs/uploads/", **GOOD).status == 202


def test_challenge_names_realm_service_and_scope(registry, client):
    assert client("GET", "/v2/").headers["WWW-Authenticate"] == (
        f'Bearer realm="{registry.url}/token",service="{registry.host}"'
    )
    challenge = client("POST", f"/v2/{NAME}/blobs/uploads/?mount=sha256:{'0' * 64}&from=other").headers
    assert 'scope="repository:library/app:pull,push repository:other:pull"' in challenge["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("scopes", "method", "path", "status"),
    [
        ([], "GET", "/v2/", 200),
        ([], "GET", f"/v2/{NAME}/tags/list", 401),
        ([f"repository:{NAME}:pull"], "GET", f"/v2/{NAME}/tags/list", 200),
        ([f"repository:{NAME}:pull"], "GET", "/v2/other/tags/list", 401),
        ([f"repository:{NAME}:pull"], "POST", f"/v2/{NAME}/blobs/uploads/", 401),
        ([f"repository:{NAME}:pull,push"], "POST", f"/v2/{NAME}/blobs/uploads/", 202),
        ([f"repository:{NAME}:*"], "DELETE", f"/v2/{NAME}/manifests/v1", 202),
        ([f"repository:{NAME}:pull,push"], "DELETE", f"/v2/{NAME}/manifests/v1", 401),
        ([f"repository:{NAME}:pull", "repository:other:pull"], "GET", "/v2/other/tags/list", 200),
        ([f"repository:{NAME}:pull repository:other:pull"], "GET", "/v2/other/tags/list", 200),
    ],
)
def test_token_opens_what_its_scope_says(client, scopes, method, path, status):
    response = client(method, path, **bearer(token(client, *scopes)))
    assert response.status == status
    if status == 401:
        assert 'error="insufficient_scope"' in response.headers["WWW-Authenticate"]


def test_scope_is_granted_only_to_who_may(client_of):
    with Registry(auth="bearer", users=USERS, anonymous=["pull"]) as registry, client_of(registry) as client:
        scope = f"repository:{NAME}:pull,push"
        anonymous = bearer(token(client, scope, headers={}))
        assert client("GET", f"/v2/{NAME}/manifests/v1", **anonymous).status == 404
        assert client("POST", f"/v2/{NAME}/blobs/uploads/", **anonymous).status == 401


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        ("", basic("user", "wrong"), 401),
        ("account=other", GOOD, 401),
        ("service=other", GOOD, 400),
        ("scope=everything", GOOD, 400),
        ("account=user", GOOD, 200),
    ],
)
def test_token_requests_are_checked(client, query, headers, status):
    assert client("GET", f"/token?{query}", **headers).status == status


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"grant_type": "refresh_token", "refresh_token": "identity"}, 200),
        ({"grant_type": "refresh_token", "refresh_token": "wrong"}, 401),
        ({"grant_type": "refresh_token"}, 401),
        ({"grant_type": "password", "username": "user", "password": USERS["user"]}, 200),
        ({"grant_type": "password", "username": "user", "password": "wrong"}, 401),
        ({"grant_type": "other"}, 400),
        ({"grant_type": "refresh_token", "refresh_token": "identity", "client_id": ""}, 400),
    ],
)
def test_token_by_post(registry, client, fields, status):
    response = form(client, service=registry.host, scope=f"repository:{NAME}:pull", **fields)
    assert response.status == status
    if response.status == 200:
        headers = bearer(json.loads(response.data)["access_token"])
        assert client("GET", f"/v2/{NAME}/tags/list", **headers).status == 200


@pytest.mark.parametrize("way", ["get", "post"])
def test_identity_token_is_handed_out_when_asked_for(client, way):
    if way == "get":
        answer = client("GET", "/token?offline_token=true", **GOOD)
    else:
        answer = form(client, grant_type="password", username="user", password=USERS["user"], access_type="offline")
    identity = json.loads(answer.data)["refresh_token"]
    assert form(client, grant_type="refresh_token", refresh_token=identity).status == 200


def test_tokens_really_expire(client_of):
    with Registry(auth="bearer", users=USERS, token_lifetime=0.05, claimed_lifetime=300) as registry:
        client = client_of(registry)
        response = client("GET", "/token", **GOOD)
        assert json.loads(response.data)["expires_in"] == 300
        headers = bearer(json.loads(response.data)["token"])
        time.sleep(0.06)
        response = client("GET", "/v2/", **headers)
        assert response.status == 401
        assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]


def test_tokens_can_be_made_worthless(registry, client):
    headers = bearer(token(client))
    assert client("GET", "/v2/", **headers).status == 200
    registry.expire_tokens()
    assert client("GET", "/v2/", **headers).status == 401


@pytest.mark.parametrize("members", [["token"], ["access_token"]])
def test_token_comes_under_the_names_that_are_wanted(client_of, members):
    with Registry(auth="bearer", users=USERS, token_members=members) as registry:
        answer = json.loads(client_of(registry)("GET", "/token", **GOOD).data)
        assert set(answer) == {*members, "expires_in", "issued_at"}


@pytest.mark.interop
@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_skopeo_shows_its_credentials(tmp_path, auth):
    image = oci_image()
    write_oci_layout({"v1": image}, tmp_path / "layout")
    with Registry(auth=auth, users={"user": "secret"}) as registry:
        place = f"docker://{registry.host}/{NAME}:v1"
        copy = [
            peers.SKOPEO,
            "--insecure-policy",
            "copy",
            "--dest-tls-verify=false",
            f"oci:{tmp_path}/layout:v1",
            place,
        ]
        assert subprocess.run([*copy, "--dest-creds=user:wrong"], capture_output=True, check=False).returncode
        assert not registry.tags[NAME]
        subprocess.run([*copy, "--dest-creds=user:secret"], capture_output=True, check=True)
        assert registry.tags[NAME] == {"v1": image.digest}
        delete = [peers.SKOPEO, "delete", "--tls-verify=false", "--creds=user:secret", place]
        subprocess.run(delete, capture_output=True, check=True)
        assert not registry.tags[NAME]


@pytest.mark.interop
def test_skopeo_uses_an_identity_token(tmp_path):
    with Registry(auth="bearer", users=USERS, identity_tokens={"identity": "user"}) as registry:
        registry.put_image(NAME, "v1", oci_image())
        authfile = tmp_path / "auth.json"
        entry = {"auth": base64.b64encode(b"x:").decode(), "identitytoken": "identity"}
        authfile.write_text(json.dumps({"auths": {registry.host: entry}}))
        arguments = ["--tls-verify=false", f"--authfile={authfile}", f"docker://{registry.host}/{NAME}"]
        done = subprocess.run([peers.SKOPEO, "list-tags", *arguments], capture_output=True, check=True)
        assert json.loads(done.stdout)["Tags"] == ["v1"]
        assert [record.method for record in registry.requests if record.path == "/token"] == ["POST"]
