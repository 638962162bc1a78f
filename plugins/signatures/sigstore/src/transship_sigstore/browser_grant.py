"""Logging in with a browser on this machine, which brings the provider's answer back to us (RFC 8252)."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
import webbrowser
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, SimpleQueue
from urllib.parse import parse_qs, urlencode, urlsplit

from transship.errors import SignatureError
from transship.image.quoting import quoted
from transship.plugin.cancellation import Cancellation
from transship_sigstore.oidc import S256, SCOPE, Client, IdToken, Proof, Provider, refused

_PATH = "/auth/callback"
_PATIENCE = 300.0
_PAGE = (
    b"<!DOCTYPE html><html><head><title>transship</title></head>"
    b"<body><p>You are logged in. This page may be closed.</p></body></html>"
)


def log_in(
    provider: Provider,
    client: Client,
    tell: Callable[[str], None],
    ask_user: Callable[[str], bytes],
    open_browser: Callable[[str], bool] = webbrowser.open,
) -> IdToken:
    """Let the user log in with a browser; raise ``SignatureError``.

    Where none can be opened, the user opens one somewhere, and types in the code that it comes to.
    """
    if not provider.authorization_endpoint or not provider.token_endpoint:
        raise SignatureError("oidc: the provider has no authorization or token endpoint")
    proof, nonce = Proof.new(), secrets.token_urlsafe(24)
    with _Callback() as callback:
        address = _address(provider, client, callback, proof, nonce)
        if open_browser(address):
            tell(f"Your browser will now be opened to:\n{address}")
            code = callback.wait(provider.cancellation)
        else:
            tell(f"Go to the following link in a browser:\n\n\t{address}")
            code = ask_user("Enter verification code: ").decode("utf-8", "replace").strip()
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": callback.url,
        "code_verifier": proof.verifier,
    }
    answer = provider.token(client, fields)
    if answer.status != 200:
        raise refused(answer, code, proof.verifier, client.secret)
    return provider.accept(answer, client, nonce=nonce)


def _address(provider: Provider, client: Client, callback: _Callback, proof: Proof, nonce: str) -> str:
    query = {
        "response_type": "code",
        "client_id": client.id,
        "redirect_uri": callback.url,
        "scope": SCOPE,
        "state": callback.state,
        "nonce": nonce,
        "code_challenge": proof.challenge,
        "code_challenge_method": S256,
    }
    separator = "&" if "?" in provider.authorization_endpoint else "?"
    return f"{provider.authorization_endpoint}{separator}{urlencode(query)}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: whoever asks something odd or hangs up is no concern of the user."""


class _Callback:
    """A server for the one request with which the browser comes back."""

    def __init__(self) -> None:
        self.state = secrets.token_urlsafe(24)
        self._answers: SimpleQueue[tuple[str, str]] = SimpleQueue()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    @property
    def url(self) -> str:
        # providers know programs by this name, not by the address
        return f"http://localhost:{self._server.server_address[1]}{_PATH}"

    def wait(self, cancellation: Cancellation) -> str:
        """The code that the provider sent; raise ``SignatureError``."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            cancellation.check()
            try:
                code, error = self._answers.get(timeout=0.25)
            except Empty:
                continue
            if error:
                raise SignatureError(f"error obtaining token: {quoted(error)}")
            return code
        raise SignatureError("nobody logged in with the browser in time")

    def __enter__(self) -> _Callback:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        state, answers = self.state, self._answers

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                fields = parse_qs(parts.query)
                given = fields.get("state", [""])[0]
                if parts.path != _PATH or not hmac.compare_digest(given.encode(), state.encode()):
                    self.send_error(404)  # not our provider's answer: keep waiting for that
                    return
                code, error = fields.get("code", [""])[0], fields.get("error", [""])[0]
                try:
                    self.send_response(200)
                    self.send_header("Content-Type", "text/html; charset=utf-8")
                    self.send_header("Content-Length", str(len(_PAGE)))
                    self.end_headers()
                    self.wfile.write(_PAGE)
                finally:  # a browser that has gone brought its answer all the same
                    answers.put((code, error or ("" if code else "no code")))

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing: requests hold the code."""

        return Handler
