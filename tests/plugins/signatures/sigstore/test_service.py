"""Requests to servers."""

from __future__ import annotations

import functools
import socket
import ssl
import threading
import time

import pytest
import trustme
from sigstore_services import Server

from transship.errors import CancelledError, DeadlineExceededError, SignatureError
from transship.plugin.cancellation import Cancellation
from transship_sigstore import service
from transship_sigstore.service import UnreachableError, base_url, is_loopback, require_url

ask = functools.partial(service.ask, cancellation=Cancellation())


class Echo(Server):
    def answer(self, request):
        return 200, {"path": request.path, "headers": request.headers}


@pytest.fixture
def server():
    with Echo() as server:
        yield server


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
def tls_server(server, authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server.use_tls(context)
    return server


def test_server_with_a_trusted_certificate_is_asked(tls_server, authority, monkeypatch, tmp_path):
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert ask("GET", tls_server.url).json()["path"] == "/"


def test_server_with_another_certificate_is_not_asked(tls_server):
    with pytest.raises(UnreachableError):
        ask("POST", tls_server.url, form={"secret": "x"})
    assert not tls_server.requests


def test_nothing_asks_a_proxy_for_this_machine(server, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert ask("GET", server.url).status == 200


def test_answers_are_asked_for_as_they_are(server):
    assert ask("GET", server.url).json()["headers"]["Accept-Encoding"] == "identity"


def test_compressed_answer_is_not_expanded(server):
    server.faults = [(200, b"\x1f\x8b", {"Content-Encoding": "gzip"})]
    assert ask("GET", server.url).body == b"\x1f\x8b"


def test_long_answer_is_refused(server):
    server.faults = [(200, b" " * (1 << 20)), (200, b" " * ((1 << 20) + 1))]
    assert ask("GET", server.url).status == 200
    with pytest.raises(UnreachableError):
        ask("GET", server.url)


HEAD = b"HTTP/1.1 200 OK\r\n"
ENDLESS = {
    "header": (HEAD + b"X: ", b"a"),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body": (HEAD + b"Content-Length: 100000\r\n\r\n", b"a"),
    "chunk extension": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a"),
}


@pytest.fixture
def endless():
    """Starts servers that send ``first``, and then ``more`` again and again; the event is set when nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gone = threading.Event()

        def start(first, more):
            def serve():
                connection, _ = listener.accept()
                with connection:
                    connection.settimeout(0.05)
                    try:
                        connection.sendall(first)
                        while True:
                            connection.sendall(more)
                            try:
                                if not connection.recv(1 << 16):
                                    break
                            except TimeoutError:
                                continue
                    except OSError:
                        pass
                gone.set()

            threading.Thread(target=serve, daemon=True).start()
            return f"http://127.0.0.1:{listener.getsockname()[1]}", gone

        yield start


@pytest.mark.parametrize("kind", ENDLESS)
def test_answer_without_end_is_given_up(endless, monkeypatch, kind):
    monkeypatch.setattr(service, "_DEADLINE", 0.5)
    url, gone = endless(*ENDLESS[kind])
    with pytest.raises(UnreachableError):
        ask("GET", url)
    assert gone.wait(5)


def test_waiting_for_an_answer_can_be_ended(endless):
    url, _ = endless(b"", b"")
    begin = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        service.ask("GET", url, cancellation=Cancellation(0.3))
    cancelled = Cancellation()
    cancelled.cancel()
    with pytest.raises(CancelledError):
        service.ask("GET", url, cancellation=cancelled)
    assert time.monotonic() - begin < 5


def test_secret_that_is_longer_than_what_is_shown_is_not_shown(server):
    secret = "s3cret" * 1000
    server.faults = [(400, f"your token is bad: {secret}".encode())]
    assert "s3cret" not in str(ask("GET", server.url).failure((secret,)))


def test_failure_shows_what_prints_and_no_secret(server):
    server.faults = [(400, b"\x1b[2J your t0ken is bad" + b"x" * 5000)]
    text = str(ask("GET", server.url).failure(("t0ken", "")))
    assert "\x1b" not in text
    assert "t0ken" not in text
    assert len(text) < 400


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:1/x", True),
        ("http://LOCALHOST", True),
        ("http://127.0.0.1", True),
        ("http://127.1.2.3:80/", True),
        ("http://[::1]:8080", True),
        ("http://localhost.example.com", False),
        ("http://example.com/localhost", False),
        ("http://10.0.0.1", False),
        ("http://[::2]", False),
        ("http://2130706433", False),
        ("http://localhost@example.com", False),
    ],
)
def test_this_machine_is_known_by_its_address(url, local):
    assert is_loopback(url) == local


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com",
        "https:",
        "https:///path",
        "https://example.com:0",
        "https://example.com:99999",
        "https://[::1",
        "https://user@example.com",
        "https://example.com/#part",
        "https://example.com/a b",
        "https://example.com/\r\nX: y",
        "https://exämple.com",
        "https://example.com/" + "a" * 10_000,
        "file:///etc/passwd",
        "http://example.com",
        "http://localhost@example.com",
    ],
)
def test_other_addresses_are_refused(url):
    with pytest.raises(SignatureError) as error:
        require_url(url, "url")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_addresses_are_taken_as_they_are():
    assert require_url("https://example.com/token/?policy=x", "url") == "https://example.com/token/?policy=x"
    assert require_url("http://example.com", "url", secret=False) == "http://example.com"
    assert base_url("https://example.com/path//", "url") == "https://example.com/path"
    with pytest.raises(SignatureError):
        base_url("https://example.com/?policy=x", "url")
