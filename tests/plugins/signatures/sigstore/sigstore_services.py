"""Servers that behave as an OpenID provider, a Fulcio CA and a Rekor log do, and check what they are sent."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import ssl
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from sigstore_authorities import (
    OID_ISSUER,
    OID_ISSUER_DER,
    Authority,
    Log,
    encoded,
    new_key,
    pem,
    sign,
    subject_names,
    utf8_string,
)

from transship.plugin.cancellation import Cancellation


class NoWait(Cancellation):
    """Waits no time, and remembers for how many seconds it was asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)


class Request(NamedTuple):
    method: str
    path: str
    query: dict
    headers: dict
    body: bytes

    def form(self) -> dict:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


class Server:
    """Answers with ``answer(request)``: a status, a body, and headers. ``faults`` are answered before."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.faults: list[tuple] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = Request(self.command, parts.path, query, dict(self.headers), body)
                outer.requests.append(request)
                status, content, *more = outer.faults.pop(0) if outer.faults else outer.answer(request)
                content = json.dumps(content).encode() if not isinstance(content, bytes) else content
                self.send_response(status)
                for name, value in (more[0] if more else {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = _serve  # noqa: N815

            def log_message(self, format, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def use_tls(self, context: ssl.SSLContext) -> None:
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.handle_error = lambda request, address: None
        self.url = self.url.replace("http:", "https:")

    def answer(self, request: Request) -> tuple:
        raise NotImplementedError

    def __enter__(self):
        return self

    def __exit__(self, *exception) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _url_safe(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def make_token(claims: dict, key=None) -> str:
    head = _url_safe(json.dumps({"alg": "ES256"}).encode())
    body = f"{head}.{_url_safe(json.dumps(claims).encode())}"
    return f"{body}.{_url_safe(sign(key, body.encode()) if key else b'none')}"


def read_token(token: str, key) -> dict:
    """The claims, if the provider with ``key`` made them."""
    body, _, signature = token.rpartition(".")
    key.public_key().verify(base64.urlsafe_b64decode(signature + "=="), body.encode(), ec.ECDSA(hashes.SHA256()))
    return json.loads(base64.urlsafe_b64decode(body.partition(".")[2] + "=="))


@dataclass
class _Login:
    challenge: str
    nonce: str = ""
    redirect: str = ""


class Provider(Server):
    """An OpenID provider for one user, who always agrees. ``claims`` and ``document`` change what it says."""

    client_id, client_secret = "transship-test", "client s3cret"

    def __init__(self, email: str = "ann@example.com") -> None:
        super().__init__()
        self.key = new_key()
        self.email = email
        self.claims: dict = {}
        self.document: dict = {}
        self.pending = ["authorization_pending"]
        self.lifetime = 300
        self._logins: dict[str, _Login] = {}

    def token(self, nonce: str = "") -> str:
        claims = {
            "iss": self.url,
            "aud": self.client_id,
            "sub": "user-1",
            "email": self.email,
            "email_verified": True,
            "exp": int(time.time()) + 60,
            **({"nonce": nonce} if nonce else {}),
            **self.claims,
        }
        return make_token({name: value for name, value in claims.items() if value is not None}, self.key)

    def answer(self, request: Request) -> tuple:
        routes = {
            ("GET", "/.well-known/openid-configuration"): self._discovery,
            ("GET", "/auth"): self._authorize,
            ("POST", "/device"): self._device,
            ("POST", "/token"): self._token,
        }
        route = routes.get((request.method, request.path))
        return route(request) if route else (404, b"")

    def _discovery(self, request: Request) -> tuple:
        return 200, {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/auth",
            "token_endpoint": f"{self.url}/token",
            "device_authorization_endpoint": f"{self.url}/device",
            "code_challenge_methods_supported": ["S256", "plain"],
            **self.document,
        }

    def _begin(self, fields: dict, redirect: str) -> str:
        assert fields["client_id"] == self.client_id
        assert fields["code_challenge_method"] == "S256"
        assert "openid" in fields["scope"].split()
        code = secrets.token_urlsafe(8)
        self._logins[code] = _Login(fields["code_challenge"], fields.get("nonce", ""), redirect)
        return code

    def _authorize(self, request: Request) -> tuple:
        redirect = request.query["redirect_uri"]
        fields = {"code": self._begin(request.query, redirect), "state": request.query["state"]}
        return 302, b"", {"Location": f"{redirect}?{urlencode(fields)}"}

    def _device(self, request: Request) -> tuple:
        return 200, {
            "device_code": self._begin(request.form(), ""),
            "user_code": "ABCD-EFGH",
            "verification_uri": f"{self.url}/enter",
            "expires_in": self.lifetime,
            "interval": 1,
        }

    def _token(self, request: Request) -> tuple:
        form = request.form()
        if not hmac.compare_digest(form.get("client_secret", ""), self.client_secret):
            return 401, {"error": "invalid_client"}
        if form["grant_type"].endswith("device_code") and self.pending:
            return 400, {"error": self.pending.pop(0)}
        login = self._logins.pop(form.get("device_code") or form.get("code"), None)
        verifier = _url_safe(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if login is None or verifier != login.challenge or form.get("redirect_uri", "") != login.redirect:
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "a", "token_type": "Bearer", "id_token": self.token(login.nonce)}


class Fulcio(Server):
    """A CA that certifies keys for whom ``provider`` vouches."""

    def __init__(self, provider: Provider, authority: Authority, root: Authority, **changes) -> None:
        super().__init__()
        self.provider, self.authority, self.root, self.changes = provider, authority, root, changes

    def answer(self, request: Request) -> tuple:
        if (request.method, request.path) != ("POST", "/api/v1/signingCert"):
            return 404, b""
        try:
            claims = read_token(request.headers["Authorization"].removeprefix("Bearer "), self.provider.key)
            document = json.loads(request.body)
            key = serialization.load_der_public_key(base64.b64decode(document["publicKey"]["content"]))
            subject = claims.get("email") or claims["sub"]
            proof = base64.b64decode(document["signedEmailAddress"])
            key.verify(proof, subject.encode(), ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, ValueError, KeyError):
            return 400, {"code": 3, "message": "The signature supplied in the request could not be verified"}
        if claims["aud"] != self.provider.client_id or claims["exp"] < time.time():
            return 401, {"code": 16, "message": "There was an error processing the identity token"}
        leaf = self.authority.leaf(key, **self._identity(subject, claims["iss"]), **self.changes)
        return 201, pem(leaf, self.authority.certificate, self.root.certificate)

    def _identity(self, subject: str, issuer: str) -> dict:
        return {
            "names": (subject_names(emails=[subject]), True),
            "issuer": (x509.UnrecognizedExtension(OID_ISSUER, issuer.encode()), False),
            "issuer_der": (x509.UnrecognizedExtension(OID_ISSUER_DER, utf8_string(issuer)), False),
        }


class Rekor(Server):
    """A log that keeps signatures which it verified."""

    def __init__(self) -> None:
        super().__init__()
        self.log = Log()
        self.entries: dict[str, dict] = {}

    def answer(self, request: Request) -> tuple:
        place = "/api/v1/log/entries"
        if request.method == "GET" and request.path.startswith(f"{place}/"):
            uuid = request.path.rpartition("/")[2]
            return (200, {uuid: self.entries[uuid]}) if uuid in self.entries else (404, {"code": 404})
        if (request.method, request.path) != ("POST", place):
            return 404, b""
        document = json.loads(request.body)
        try:
            self._check(document)
        except (InvalidSignature, ValueError, KeyError) as error:
            return 400, {"code": 400, "message": f"invalid entry: {error}"}
        uuid = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
        if uuid in self.entries:
            return 409, {"code": 409, "message": "an equivalent entry already exists"}, {"Location": f"{place}/{uuid}"}
        entry = self.log.entry(document, seconds=int(time.time()))
        promise = encoded(self.log.promise(entry))
        self.entries[uuid] = {**entry, "verification": {"signedEntryTimestamp": promise, "inclusionProof": {}}}
        return 201, {uuid: self.entries[uuid]}

    @staticmethod
    def _check(document: dict) -> None:
        assert (document["kind"], document["apiVersion"]) == ("hashedrekord", "0.0.1")
        spec = document["spec"]
        text = base64.b64decode(spec["signature"]["publicKey"]["content"])
        if b"CERTIFICATE" in text:
            key = x509.load_pem_x509_certificate(text).public_key()
        else:
            key = serialization.load_pem_public_key(text)
        digest = bytes.fromhex(spec["data"]["hash"]["value"])
        signature = base64.b64decode(spec["signature"]["content"])
        key.verify(signature, digest, ec.ECDSA(Prehashed(hashes.SHA256())))
