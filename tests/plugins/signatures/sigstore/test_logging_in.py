"""Logging in with an OpenID provider, on another device and with a browser."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from urllib.parse import parse_qs, urlsplit

import pytest
from sigstore_services import Provider as ProviderServer
from sigstore_services import make_token

from transship.errors import SignatureError
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
    pauses = []

    def log_in(client=CLIENT):
        return device_grant.log_in(Provider.discover(server.url), client, told.append, pauses.append), pauses

    return log_in


@pytest.fixture
def by_browser(server, told):
    def log_in(open_browser=browse, ask=no_question, client=CLIENT):
        return browser_grant.log_in(Provider.discover(server.url), client, told.append, ask, open_browser)

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
        device_grant.log_in(Provider.discover(server.url), CLIENT, told.append, lambda seconds: time.sleep(0.6))
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
        Provider.discover(server.url)
    assert "\x1b" not in str(error.value)


def test_provider_without_device_endpoint_is_told(server, by_device):
    server.document = {"device_authorization_endpoint": ""}
    with pytest.raises(SignatureError):
        by_device()


@pytest.mark.parametrize("status", [301, 302, 404, 500])
def test_discovery_follows_nothing(server, status):
    server.faults = [(status, b"", {"Location": f"{server.url}/.well-known/openid-configuration"})]
    with pytest.raises(SignatureError, match=str(status)):
        Provider.discover(server.url)


@pytest.mark.parametrize(
    "text",
    ["", "a.b", "a.b.c.d", "a.*.c", "a.AAAA.c", "a.e30.c", make_token({"email": "x", "sub": "y"}), "x" * 100_000],
)
def test_token_that_is_none_is_refused(text):
    with pytest.raises(SignatureError) as error:
        IdToken.parse(text)
    assert not text or text not in str(error.value)
    assert "ann" not in repr(IdToken("ann", "x"))
