"""Logging in with an OpenID provider, on another device and with a browser."""

from __future__ import annotations

import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from urllib.parse import parse_qs, urlsplit

import pytest
from sigstore_services import NoWait, make_token
from sigstore_services import Provider as ProviderServer

from transship.errors import DeadlineExceededError, SignatureError
from transship.plugin.cancellation import Cancellation
from transship_sigstore import browser_grant, device_grant
from transship_sigstore.oidc import Client, IdToken, Provider

CLIENT = Client(ProviderServer.client_id, ProviderServer.client_secret)


@pytest.fixture
def server():
    with ProviderServer() as server:
        yield server


@pytest.fixture
def told():
    return []


def discover(server, cancellation=None) -> Provider:
    return Provider.discover(server.url, cancellation or Cancellation())


def no_question(text: str) -> bytes:
    raise AssertionError(f"asked for {text}")


def browse(url: str) -> bool:
    """A browser, in a thread of its own."""

    def visit():
        # what it comes to is the page of the program, which ends it
        with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - to the test's own servers
            response.read()

    threading.Thread(target=visit, daemon=True).start()
    return True


@pytest.fixture
def by_device(server, told):
    def log_in(client=CLIENT):
        cancellation = NoWait()
        return device_grant.log_in(discover(server, cancellation), client, told.append), cancellation.pauses

    return log_in


@pytest.fixture
def by_browser(server, told):
    def log_in(open_browser=browse, ask=no_question, client=CLIENT, cancellation=None):
        return browser_grant.log_in(discover(server, cancellation), client, told.append, ask, open_browser)

    return log_in


def test_user_logs_in_on_another_device(server, by_device, told):
    server.pending = ["authorization_pending", "slow_down", "authorization_pending"]
    token, pauses = by_device()
    assert token.subject == server.email
    assert any("ABCD-EFGH" in line and f"{server.url}/enter" in line for line in told)
    assert pauses == [1, 1, 6, 6]


@pytest.mark.parametrize("reason", ["access_denied", "expired_token", "something\x1b[2J"])
def test_refusal_on_another_device_is_told(server, by_device, reason):
    server.pending = [reason]
    with pytest.raises(SignatureError) as error:
        by_device()
    assert "\x1b" not in str(error.value)


def test_code_that_nobody_enters_expires(server, told):
    server.pending, server.lifetime = ["authorization_pending"] * 9, 1
    with pytest.raises(SignatureError):
        device_grant.log_in(discover(server), CLIENT, told.append)
    assert 1 <= len(server.pending) < 9


def test_user_logs_in_with_a_browser(by_browser, server, told):
    token = by_browser()
    assert token.subject == server.email
    (line,) = told
    address = parse_qs(urlsplit(line.splitlines()[-1]).query)
    assert address["code_challenge_method"] == ["S256"]
    assert address["redirect_uri"][0].startswith("http://localhost:")
    assert CLIENT.secret not in line


def test_user_without_browser_types_the_code(by_browser, told):
    def ask(text):
        url = told[-1].split()[-1]
        request = urllib.request.Request(url)  # noqa: S310 - to the test's own servers
        opener = urllib.request.build_opener(_NoRedirect)
        with pytest.raises(urllib.error.HTTPError) as answer:
            opener.open(request, timeout=10)
        answer.value.close()
        return parse_qs(urlsplit(answer.value.headers["Location"]).query)["code"][0].encode() + b"\n"

    assert by_browser(open_browser=lambda url: False, ask=ask).subject == "ann@example.com"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args, **kwargs):
        return None


def test_wrong_state_is_not_taken_for_an_answer(by_browser):
    statuses = []

    def open_browser(url):
        redirect = parse_qs(urlsplit(url).query)["redirect_uri"][0]
        for wrong in (f"{redirect}?code=x", f"{redirect}?code=x&state=guess", redirect.replace("/auth/", "/other/")):
            with pytest.raises(urllib.error.HTTPError) as answer:
                urllib.request.urlopen(wrong, timeout=10)  # noqa: S310 - to the test's own servers
            statuses.append(answer.value.code)
            answer.value.close()
        return browse(url)

    assert by_browser(open_browser).subject
    assert statuses == [404, 404, 404]


@pytest.mark.parametrize(
    "line", [b"GET //[ HTTP/1.1", b"POST /auth/callback HTTP/1.1", b"\xff\xfe", b"GET /\xff?state=\xff HTTP/1.1"]
)
def test_odd_request_is_not_taken_for_an_answer_and_not_told(by_browser, capfd, line):
    def open_browser(url):
        port = urlsplit(parse_qs(urlsplit(url).query)["redirect_uri"][0]).port
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(line + b"\r\n\r\n")
            connection.recv(1)
        return browse(url)

    assert by_browser(open_browser).subject
    assert capfd.readouterr() == ("", "")


def test_browser_that_hangs_up_brought_its_answer(by_browser, capfd):
    def open_browser(url):
        opener = urllib.request.build_opener(_NoRedirect)
        with pytest.raises(urllib.error.HTTPError) as answer:
            opener.open(url, timeout=10)
        answer.value.close()
        callback = urlsplit(answer.value.headers["Location"])
        with socket.create_connection(("127.0.0.1", callback.port), timeout=10) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(f"GET {callback.path}?{callback.query} HTTP/1.1\r\n\r\n".encode())
        return True

    assert by_browser(open_browser).subject
    assert capfd.readouterr() == ("", "")


def test_waiting_for_the_browser_can_be_ended(by_browser):
    begin = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        by_browser(lambda url: True, cancellation=Cancellation(0.5))
    assert time.monotonic() - begin < 5


def test_waiting_for_another_device_can_be_ended(server, told):
    server.pending = ["authorization_pending"] * 9
    begin = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        device_grant.log_in(discover(server, Cancellation(0.5)), CLIENT, told.append)
    assert time.monotonic() - begin < 5


def test_refusal_in_the_browser_is_told(by_browser):
    def open_browser(url):
        query = parse_qs(urlsplit(url).query)
        return browse(f"{query['redirect_uri'][0]}?error=access_denied&state={query['state'][0]}")

    with pytest.raises(SignatureError, match="access_denied"):
        by_browser(open_browser)


def test_wrong_client_secret_is_refused_and_not_shown(by_device, by_browser):
    client = Client(CLIENT.id, "wr0ng")
    for log_in in (by_device, by_browser):
        with pytest.raises(SignatureError, match="invalid_client") as error:
            log_in(client=client)
        assert "wr0ng" not in str(error.value)
    assert "wr0ng" not in repr(client)


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example"},
        {"aud": "somebody-else"},
        {"aud": ["somebody-else"]},
        {"aud": None},
        {"exp": int(time.time()) - 1},
        {"exp": "later"},
        {"email_verified": False},
        {"email_verified": None},
        {"email": None, "sub": None},
        {"nonce": "another"},
    ],
    ids=str,
)
def test_token_for_others_is_refused(server, by_browser, claims):
    server.claims = claims
    with pytest.raises(SignatureError):
        by_browser()


def test_user_without_address_is_the_providers_word(server, by_browser):
    server.claims = {"email": None, "email_verified": None, "aud": ["other", CLIENT.id]}
    assert by_browser().subject == "user-1"


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"code_challenge_methods_supported": ["plain"]},
        {"code_challenge_methods_supported": None},
        {"code_challenge_methods_supported": 5},
        {"code_challenge_methods_supported": "S256"},
        {"token_endpoint": "https://["},
        {"token_endpoint": None},
        {"token_endpoint": "http://evil.example/token"},
        {"token_endpoint": 1},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"device_authorization_endpoint": "http://evil.example/"},
        {"token_endpoint": "https://example.com/\x1b[2J"},
    ],
    ids=str,
)
def test_provider_that_is_odd_is_refused(server, document):
    server.document = document
    with pytest.raises(SignatureError) as error:
        discover(server)
    assert "\x1b" not in str(error.value)


def test_provider_without_device_endpoint_is_told(server, by_device):
    server.document = {"device_authorization_endpoint": ""}
    with pytest.raises(SignatureError):
        by_device()


@pytest.mark.parametrize("status", [301, 302, 404, 500])
def test_discovery_follows_nothing(server, status):
    server.faults = [(status, b"", {"Location": f"{server.url}/.well-known/openid-configuration"})]
    with pytest.raises(SignatureError, match=str(status)):
        discover(server)


SOME = make_token({"sub": "ann"})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.b",
        "a.b.c.d",
        SOME + "\n",
        SOME + "\r\nX: y",
        SOME + "\xe9",
        "Bearer " + SOME,
        "a.*.c",
        "a.AAAA.c",
        "a.e30.c",
        make_token({"email": "x", "sub": "y"}),
        "x" * 100_000,
    ],
    ids=range(12),
)
def test_token_that_is_none_is_refused(text):
    with pytest.raises(SignatureError) as error:
        IdToken.parse(text)
    assert not text or text not in str(error.value)
    assert "ann" not in repr(IdToken("ann", "x"))
