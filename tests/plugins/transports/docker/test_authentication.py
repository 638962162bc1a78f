"""The real docker-registry, guarded: with htpasswd, and with tokens that a small service signs."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import peers
import pytest
import trustme
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from transship.image.manifest import parse_manifest
from transship.plugin.credentials import Credentials
from transship.testing.images import oci_image
from transship.testing.writers import write_dir, write_oci_layout
from transship_docker.transport import DockerTransport

pytestmark = pytest.mark.interop

USER, PASSWORD = "user", "hunter2secret"
PASSWORD_HASH = "$2b$05$abcdefghijklmnopqrstuuICrEN/3Yh1z4xPgdXBLa6A3WV8e1sfi"  # noqa: S105 - for this test only
IDENTITY = "identity-long-lived-secret"
SECRETS = [PASSWORD, IDENTITY, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()]
LEEWAY = 60
"""How many seconds after its end docker-registry still takes a token."""


class TokenIssuer:
    """Signs tokens: pulling needs no user below ``public/``. ``life`` is how long they live, ``lives`` the next ones.

    ``tokens`` are those that were given out.
    """

    def __init__(self, folder):
        authority = trustme.CA()
        leaf = authority.issue_cert("issuer.invalid", key_type=trustme.KeyType.ECDSA)
        self._key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
        self._chain = [_der(blob.bytes()) for blob in leaf.cert_chain_pems]
        self.bundle = folder / "roots.pem"
        self.bundle.write_bytes(authority.cert_pem.bytes())
        self.life = 300
        self.lives = []
        self.requests = []
        self.tokens = []
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.answer(self, parse_qs(urlsplit(self.path).query))

            def do_POST(self):
                issuer.answer(self, parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/token"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def answer(self, handler, form):
        self.requests.append((handler.command, form))
        authorization = handler.headers.get("Authorization", "")
        is_user = authorization == f"Basic {SECRETS[-1]}" or form.get("refresh_token") == [IDENTITY]
        self.tokens.append(self._token(form.get("scope", []), is_user=is_user))
        body = json.dumps({"token": self.tokens[-1], "expires_in": 300}).encode()
        handler.send_response(200 if is_user or not authorization else 401)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _token(self, scopes, *, is_user):
        now = int(time.time())
        claims = {
            "iss": "issuer",
            "sub": USER if is_user else "",
            "aud": "registry",
            "nbf": now - 600,
            "iat": now,
            "exp": now + (self.lives.pop(0) if self.lives else self.life),
            "jti": os.urandom(8).hex(),
            "access": [access for scope in scopes if (access := _access(scope, is_user=is_user))],
        }
        signed = f"{_encoded({'typ': 'JWT', 'alg': 'ES256', 'x5c': self._chain})}.{_encoded(claims)}"
        return f"{signed}.{_base64url(self._signature(signed.encode()))}"

    def _signature(self, data):
        r, s = utils.decode_dss_signature(self._key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _der(pem):
    return "".join(pem.decode().split("-----")[2].split())


def _base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _encoded(members):
    return _base64url(json.dumps(members).encode())


def _access(scope, *, is_user):
    kind, name, actions = scope.split(":")
    allowed = actions.split(",") if is_user else ["pull"] if name.startswith("public/") else []
    return {"type": kind, "name": name, "actions": allowed} if allowed else None


@pytest.fixture(scope="module")
def htpasswd(tmp_path_factory, run_registry):
    folder = tmp_path_factory.mktemp("htpasswd")
    (folder / "passwords").write_text(f"{USER}:{PASSWORD_HASH}\n")
    auth = f"auth: {{htpasswd: {{realm: testing, path: {folder / 'passwords'}}}}}"
    with run_registry(folder, auth) as registry:
        _push(registry.host, folder)
        yield registry


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    with contextlib.closing(TokenIssuer(tmp_path_factory.mktemp("issuer"))) as issuer:
        yield issuer


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, issuer, run_registry):
    folder = tmp_path_factory.mktemp("tokens")
    settings = f"realm: '{issuer.url}', service: registry, issuer: issuer, rootcertbundle: {issuer.bundle}"
    with run_registry(folder, f"auth: {{token: {{{settings}}}}}") as registry:
        _push(registry.host, folder)
        yield registry


@pytest.fixture
def run(tmp_path, issuer):
    """Runs transship in an environment without credentials; nothing secret may show."""

    def run(*arguments, auth=None, **environment):
        (tmp_path / "auth.json").write_text(json.dumps(auth or {}))
        known = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}
        command = [sys.executable, "-m", "transship", "--debug", "--insecure-policy", *map(str, arguments)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=known | environment)
        assert "level=debug" in done.stderr
        assert not [secret for secret in [*SECRETS, *issuer.tokens] if secret in done.stderr + done.stdout]
        return done

    return run


def _push(host, folder):
    write_oci_layout({"v": oci_image()}, folder / "image")
    for name in ("public/app", "private/app"):
        command = [peers.SKOPEO, "--insecure-policy", "copy", "-q", "--dest-tls-verify=false"]
        command += [f"--dest-creds={USER}:{PASSWORD}", f"oci:{folder / 'image'}:v", f"docker://{host}/{name}:v1"]
        subprocess.run(command, check=True, capture_output=True)


def _inspect(run, registry, name, *arguments, **settings):
    return run(
        "inspect", "--no-tags", "--tls-verify=false", *arguments, f"docker://{registry.host}/{name}:v1", **settings
    )


def _entry(**members):
    return {"auth": SECRETS[-1], **members}


@pytest.mark.parametrize("kind", ["htpasswd", "guarded"])
def test_the_right_password_opens(request, run, kind):
    done = _inspect(run, request.getfixturevalue(kind), "private/app", f"--creds={USER}:{PASSWORD}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", ["htpasswd", "guarded"])
@pytest.mark.parametrize("arguments", [["--creds=user:wrong"], ["--no-creds"]])
def test_a_wrong_one_or_none_does_not(request, run, kind, arguments):
    done = _inspect(run, request.getfixturevalue(kind), "private/app", *arguments)
    assert done.returncode == 1
    assert "authentication required" in done.stderr or "denied" in done.stderr
    assert done.stderr.count("level=fatal") == 1


def test_everybody_may_read_what_is_public(run, guarded, issuer):
    issuer.requests.clear()
    assert _inspect(run, guarded, "public/app").returncode == 0
    assert [form["scope"] for _, form in issuer.requests] == [["repository:public/app:pull"]]


def test_an_identity_token_is_exchanged(run, guarded, issuer):
    issuer.requests.clear()
    entry = _entry(auth=base64.b64encode(b"00000000-0000-0000-0000-000000000000:").decode(), identitytoken=IDENTITY)
    done = _inspect(run, guarded, "private/app", auth={"auths": {guarded.host: entry}})
    assert done.returncode == 0, done.stderr
    assert [method for method, _ in issuer.requests] == ["POST"]


@pytest.mark.parametrize("key", ["{}", "{}/private", "{}/private/app"])
def test_credentials_may_be_for_a_repository(run, htpasswd, key):
    auths = {key.format(htpasswd.host): _entry(), f"{htpasswd.host}/private/other": {"auth": "d3Jvbmc6d3Jvbmc="}}
    assert _inspect(run, htpasswd, "private/app", auth={"auths": auths}).returncode == 0


def test_credentials_for_another_repository_do_not_help(run, htpasswd):
    auths = {f"{htpasswd.host}/private/other": _entry()}
    assert _inspect(run, htpasswd, "private/app", auth={"auths": auths}).returncode == 1


def test_a_helper_program_is_asked(run, htpasswd, tmp_path):
    helper = tmp_path / "docker-credential-testing"
    answer = json.dumps({"ServerURL": "x", "Username": USER, "Secret": PASSWORD})
    helper.write_text(f"#!/bin/sh\ncat >/dev/null\necho '{answer}'\n")
    helper.chmod(0o755)
    auth = {"credHelpers": {htpasswd.host: "testing"}}
    done = _inspect(run, htpasswd, "private/app", auth=auth, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr


def test_a_token_that_expires_in_the_middle_is_renewed(guarded, issuer, make_context, monkeypatch):
    monkeypatch.setattr(issuer, "life", 1 - LEEWAY)
    transport = DockerTransport()
    reference = transport.parse_reference(f"//{guarded.host}/private/app:v1")
    context = make_context(credentials=Credentials(USER, PASSWORD))
    with contextlib.closing(transport.open_source(reference, context)) as source:
        issuer.requests.clear()
        monkeypatch.undo()
        time.sleep(1.1)
        layer = parse_manifest(*source.get_manifest()).layers[0].descriptor
        with contextlib.closing(source.get_blob(layer)) as content:
            assert sum(map(len, content)) == layer.size
    assert len(issuer.requests) == 1


@pytest.mark.uses("dir")
@pytest.mark.parametrize("direction", ["from", "to"])
def test_a_token_that_expires_in_the_middle_of_a_copy_is_renewed(run, guarded, issuer, tmp_path, direction):
    issuer.lives = [1 - LEEWAY]
    issuer.requests.clear()
    write_dir(oci_image(), tmp_path / "image")
    places = [f"docker://{guarded.host}/private/app:v1", f"dir:{tmp_path / 'copied'}"]
    if direction == "to":
        places = [f"dir:{tmp_path / 'image'}", f"docker://{guarded.host}/private/{tmp_path.name}:v1"]
    options = ["--src-tls-verify=false", "--dest-tls-verify=false", "--no-cache", "--limit-rate=300"]
    start = time.monotonic()
    done = run("copy", *options, *places, auth={"auths": {guarded.host: _entry()}})
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - start > 2
    assert len(issuer.requests) == 2
