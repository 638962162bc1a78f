"""Talking to a registry: ping, authentication, redirects, patience, bounds."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import ssl
import threading

import pytest
import trustme

from transship.errors import CancelledError, TransportError
from transship.image.reference import DockerReference
from transship.plugin.cancellation import Cancellation
from transship.plugin.context import Context
from transship.plugin.credentials import Credentials
from transship.testing.images import oci_image
from transship.testing.registry import Fault
from transship_docker import network
from transship_docker.access import RegistryAccess
from transship_docker.client import RegistryClient
from transship_docker.errors import NetworkError, RegistryError

USERS = {"user": "secret"}
USER = Credentials("user", "secret")
IDENTITY = Credentials("<token>", identity_token="long-lived")  # noqa: S106 - known to the testing registry only
IMAGE = oci_image()


@pytest.fixture
def connect(make_context):
    clients = []

    def connect(registry, actions="pull", repository="library/app", **settings):
        image = DockerReference(registry if isinstance(registry, str) else registry.host, repository)
        clients.append(RegistryAccess.load(make_context(**settings)).client(image, actions))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def tls_files_in(folder):
    folder.mkdir()
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    chain, key = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(folder / "ca.crt")
    return chain, key


@pytest.fixture
def tls_files(tmp_path):
    """A certificate and its key; ``ca.crt`` beside them is who signed it."""
    return tls_files_in(tmp_path / "tls")


class BothSchemes:
    """One port, where https leads on to ``registry`` and http to nobody; ``plain`` are the heads that came there."""

    def __init__(self, registry: str) -> None:
        self.plain: list[bytes] = []
        self._registry = registry.split(":")
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            if connection.recv(1, socket.MSG_PEEK) != b"\x16":  # no TLS
                self.plain.append(connection.recv(1 << 16))
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection(self._registry) as registry:
                threading.Thread(target=self._forward, args=(registry, connection), daemon=True).start()
                self._forward(connection, registry)

    @staticmethod
    def _forward(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)


def filled(registry):
    registry.put_image("library/app", "v1", IMAGE)
    return registry


def get(client, what="manifests/v1", **settings):
    return client.request("GET", f"/v2/library/app/{what}", **settings)


def blob_path():
    return f"blobs/{next(iter(IMAGE.blobs))}"


def test_every_request_says_who_asks_and_takes_bytes_as_they_are(connect, registry):
    get(connect(filled(registry), user_agent_prefix="tool/1"))
    for request in registry.requests:
        assert request.headers.get("User-Agent").startswith("tool/1 transship/")
        assert request.headers.get("Docker-Distribution-API-Version") == "registry/2.0"
        assert request.headers.get("Accept-Encoding") == "identity"
        assert request.headers.get("Authorization") == ""


def test_http_is_spoken_only_where_verification_is_off(connect, registry):
    with pytest.raises(NetworkError, match="server gave HTTP response to HTTPS client"):
        get(connect(filled(registry), tls_verify="true"))


def test_nobody_there_is_told_at_once(connect, waits):
    with pytest.raises(NetworkError, match=r"pinging container registry 127.0.0.1:1: .*connection refused") as caught:
        get(connect("127.0.0.1:1"))
    assert caught.value.retryable
    assert waits.seconds == []


def test_unknown_hosts_are_named(connect):
    with pytest.raises(NetworkError, match=r"lookup registry.invalid: no such host") as caught:
        get(connect("registry.invalid"))
    assert not caught.value.retryable


def test_ping_happens_once_for_many_threads(connect, registry):
    client = connect(filled(registry))
    threads = [threading.Thread(target=get, args=(client,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [request.path for request in registry.requests].count("/v2/") == 1


@pytest.mark.parametrize("supports", [True, False])
def test_ping_tells_of_the_signatures_extension(connect, make_registry, supports):
    assert connect(make_registry(signatures_extension=supports)).supports_signatures is supports


class TestBasic:
    """User name and password with every request."""

    def test_credentials_open(self, connect, make_registry):
        assert get(connect(filled(make_registry(auth="basic", users=USERS)), credentials=USER)).content

    @pytest.mark.parametrize("wrong", [None, Credentials("user", "wrong"), Credentials("", "secret")])
    def test_wrong_ones_do_not(self, connect, make_registry, wrong):
        with pytest.raises(RegistryError, match=r"authentication required|unauthorized") as caught:
            get(connect(filled(make_registry(auth="basic", users=USERS)), credentials=wrong))
        assert (caught.value.status, caught.value.retryable) == (401, False)

    def test_they_are_kept_from_registries_that_do_not_ask(self, connect, registry):
        get(connect(filled(registry), credentials=USER))
        assert not any(request.headers.get("Authorization") for request in registry.requests)

    def test_a_challenge_that_comes_late_is_heeded(self, connect, make_registry):
        registry = filled(make_registry(auth="basic", users=USERS))
        registry.add_fault(Fault("/v2/", body=b"{}", headers={"WWW-Authenticate": None}, status=200, times=2))
        assert get(connect(registry, credentials=USER)).content


class TestBearer:
    """Tokens."""

    @pytest.fixture
    def make(self, make_registry):
        def make(**behaviour):
            return filled(make_registry(auth="bearer", users=USERS, **behaviour))

        return make

    def tokens_asked(self, registry):
        return [request for request in registry.requests if request.path == "/token"]

    def test_anonymous_tokens(self, connect, make):
        registry = make(anonymous=["pull"])
        assert get(connect(registry)).content
        (asked,) = self.tokens_asked(registry)
        assert asked.headers.get("Authorization") == ""
        assert asked.query["scope"] == ["repository:library/app:pull"]
        assert "account" not in asked.query

    def test_tokens_for_a_user_are_asked_for_once(self, connect, make):
        registry = make()
        client = connect(registry, credentials=USER)
        for _ in range(3):
            get(client)
        (asked,) = self.tokens_asked(registry)
        assert asked.query["account"] == ["user"]
        assert asked.headers.get("Authorization").startswith("Basic ")

    @pytest.mark.parametrize("members", [("token",), ("access_token",)])
    def test_a_token_has_either_name(self, connect, make, members):
        assert get(connect(make(token_members=members), credentials=USER)).content

    def test_wrong_password_is_told(self, connect, make):
        with pytest.raises(RegistryError, match="unable to retrieve auth token: invalid username/password") as caught:
            get(connect(make(), credentials=Credentials("user", "wrong")))
        assert not caught.value.retryable

    def test_a_token_that_expires_unannounced_is_renewed(self, connect, make):
        registry = make()
        client = connect(registry, credentials=USER)
        get(client)
        registry.expire_tokens()
        get(client)
        assert len(self.tokens_asked(registry)) == 2

    def test_a_token_that_is_never_good_is_not_renewed_for_ever(self, connect, make):
        registry = make()
        client = connect(registry, credentials=USER)
        registry.add_fault(Fault("/v2/library/*", status=401))
        with pytest.raises(RegistryError):
            get(client)
        assert len(self.tokens_asked(registry)) == 2

    def test_identity_tokens_are_exchanged(self, connect, make):
        registry = make(identity_tokens={"long-lived": "user"})
        get(connect(registry, credentials=IDENTITY))
        (asked,) = self.tokens_asked(registry)
        assert asked.method == "POST"

    @pytest.mark.parametrize("status", [307, 308])
    @pytest.mark.parametrize("target", ["{elsewhere}/token", "https://localhost:{port}/token", "http://{host}/token"])
    def test_identity_tokens_are_shown_to_no_other_origin(self, connect, make, tls_files, target, status):
        registry = make(identity_tokens={"long-lived": "user"}, tls=tls_files)
        redirect = target.replace("{port}", registry.host.partition(":")[2])
        registry.add_fault(Fault("/token", redirect=redirect, status=status, times=1))
        with pytest.raises(RegistryError, match=f"{status}"):
            get(connect(registry, credentials=IDENTITY))
        assert len(self.tokens_asked(registry)) == 1

    def test_within_the_origin_they_are_posted_again(self, connect, make):
        registry = make(identity_tokens={"long-lived": "user"})
        registry.add_fault(Fault("/token", redirect="/token?again", status=308, times=1))
        assert get(connect(registry, credentials=IDENTITY))
        assert [asked.method for asked in self.tokens_asked(registry)] == ["POST", "POST"]

    def test_a_registry_token_is_used_as_it_is(self, connect, make):
        registry = make()
        given = Credentials(registry_token="given")  # noqa: S106 - worthless
        with pytest.raises(RegistryError):
            get(connect(registry, credentials=given))
        assert registry.requests[-1].headers.get("Authorization") == "Bearer given"
        assert self.tokens_asked(registry) == []

    def test_another_repository_needs_another_token(self, connect, make):
        registry = make()
        registry.put_image("other/app", "v1", IMAGE)
        client = connect(registry, credentials=USER)
        for _ in range(2):
            client.request("GET", "/v2/other/app/manifests/v1", extra_scope="repository:other/app:pull")
        (asked,) = self.tokens_asked(registry)
        assert asked.query["scope"] == ["repository:library/app:pull", "repository:other/app:pull"]

    def test_a_missing_scope_is_asked_for(self, connect, make):
        registry = make()
        more = 'Bearer realm="{url}/token",service="s",error="insufficient_scope",scope="repository:more:pull"'
        registry.add_fault(Fault("/v2/library/*", status=401, headers={"WWW-Authenticate": more}, times=1))
        get(connect(registry, credentials=USER))
        assert self.tokens_asked(registry)[-1].query["scope"][-1] == "repository:more:pull"

    @pytest.mark.parametrize(
        "realm",
        [
            "file:///etc/passwd",
            "http://10.255.255.1/token",
            "http://169.254.169.254/latest",
            "http://user:secret@127.0.0.1/token",
            "gopher://127.0.0.1/",
        ],
    )
    def test_realms_that_lead_elsewhere_are_refused(self, connect, make, realm):
        registry = make()
        registry.add_fault(Fault("/v2/", headers={"WWW-Authenticate": f'Bearer realm="{realm}"'}))
        with pytest.raises(TransportError, match=r"realm|token service") as caught:
            get(connect(registry, credentials=USER))
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize(
        ("fault", "phrase"),
        [
            (Fault("/token", body=b"not json"), "decoding bearer token"),
            (Fault("/token", body=b"[" * 100_000), "decoding bearer token"),
            (Fault("/token", body=b'{"token": 3}'), "holds no token"),
            (Fault("/token", body=b'{"token": "a\\r\\nX: y"}'), "holds no token"),
            (Fault("/token", body=b"{}"), "holds no token"),
            (Fault("/token", endless=True, headers={"Content-Length": None}), "exceeded maximum allowed size"),
            (Fault("/token", status=429), "too many requests to registry"),
            (Fault("/token", status=500), "received unexpected HTTP status: 500"),
            (Fault("/token", redirect="http://169.254.169.254/"), "received unexpected HTTP status: 307"),
            (Fault("/v2/", headers={"WWW-Authenticate": "Bearer"}), "missing realm"),
        ],
    )
    def test_broken_token_services_are_errors(self, connect, make, fault, phrase):
        registry = make()
        registry.add_fault(fault)
        with pytest.raises(TransportError, match=phrase):
            get(connect(registry, credentials=USER))

    def test_a_token_service_that_is_not_there_says_nothing_of_the_image(self, connect, make):
        registry = make()
        registry.add_fault(Fault("/token", status=404))
        with pytest.raises(TransportError, match="received unexpected HTTP status: 404") as caught:
            get(connect(registry, credentials=USER))
        assert not isinstance(caught.value, RegistryError)

    @pytest.mark.parametrize("life", [b"-1", b"1e400", b"NaN", b'"x"', b"null", b"true", b"9" * 400])
    def test_odd_lifetimes_are_survived(self, connect, make, life):
        registry = make(anonymous=["pull"])
        registry.add_fault(Fault("/token", body=b'{"token": "t", "expires_in": ' + life + b"}"))
        with pytest.raises(RegistryError) as caught:
            get(connect(registry))
        assert caught.value.status == 401


class TestRedirects:
    """Being sent elsewhere."""

    @pytest.mark.parametrize("auth", ["basic", "bearer"])
    def test_credentials_stay_with_their_origin(self, connect, make_registry, auth):
        registry = filled(make_registry(auth=auth, users=USERS, blob_redirect=True))
        assert get(connect(registry, credentials=USER), blob_path()).content
        elsewhere = [request for request in registry.requests if request.path.startswith("/storage/")]
        assert [request.headers.get("Authorization") for request in elsewhere] == [""]

    @pytest.mark.parametrize("other", ["{elsewhere}", "https://localhost:{port}", "{plain}"])
    @pytest.mark.parametrize("auth", ["basic", "bearer"])
    def test_another_port_host_or_scheme_is_another_origin(self, connect, make_registry, tls_files, auth, other):
        registry, plain = filled(make_registry(auth=auth, users=USERS, tls=tls_files)), make_registry()
        there = other.replace("{port}", registry.host.partition(":")[2]).replace("{plain}", plain.url)
        registry.add_fault(Fault("/v2/library/*", redirect=f"{there}/elsewhere"))
        with pytest.raises(RegistryError):
            get(connect(registry, credentials=USER))
        arrived = [asked for asked in [*registry.requests, *plain.requests] if asked.path == "/elsewhere"]
        assert [asked.headers.get("Authorization") for asked in arrived] == [""]

    def test_another_scheme_at_the_same_port_is_another_origin(self, connect, make_registry, tls_files):
        registry = filled(make_registry(auth="basic", users=USERS, tls=tls_files))
        with contextlib.closing(BothSchemes(registry.host)) as both:
            registry.add_fault(Fault("/v2/library/*", redirect=f"http://{both.host}/elsewhere"))
            with pytest.raises(RegistryError):
                get(connect(both.host, credentials=USER))
        assert registry.requests[-1].headers.get("Authorization")
        (plain,) = both.plain
        assert plain.startswith(b"GET /elsewhere ")
        assert b"authorization" not in plain.lower()

    def test_they_do_not_come_back_once_they_were_dropped(self, connect, make_registry):
        registry = filled(make_registry(auth="basic", users=USERS))
        registry.add_fault(Fault("/v2/library/app/manifests/v1", redirect="{elsewhere}/hop", times=1))
        registry.add_fault(Fault("/hop", redirect="{url}/v2/library/app/manifests/v1"))
        with pytest.raises(RegistryError):
            get(connect(registry, credentials=USER))
        assert registry.requests[-1].headers.get("Authorization") == ""

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_within_the_origin_they_stay(self, connect, make_registry, status):
        registry = filled(make_registry(auth="basic", users=USERS))
        registry.add_fault(Fault("/v2/library/app/manifests/x", redirect="/v2/library/app/manifests/v1", status=status))
        assert get(connect(registry, credentials=USER), "manifests/x").content == IMAGE.manifest

    def test_loops_end(self, connect, registry):
        registry.add_fault(Fault("/v2/library/*", redirect="{path}"))
        with pytest.raises(NetworkError, match="stopped after 10 redirects"):
            get(connect(registry))
        assert len(registry.requests) == 12

    @pytest.mark.parametrize(
        "target", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://", "http://[::1/", "http://h:x/"]
    )
    def test_only_http_is_followed(self, connect, registry, target):
        registry.add_fault(Fault("/v2/library/*", redirect=target))
        with pytest.raises(NetworkError, match="neither http nor https"):
            get(connect(registry))

    def test_a_body_that_cannot_be_sent_twice_is_not(self, connect, registry):
        registry.add_fault(Fault("/v2/library/*", redirect="{elsewhere}/x"))
        with pytest.raises(RegistryError, match="307"):
            connect(registry).request("PATCH", "/v2/library/app/blobs/uploads/1", content=iter([b"x"]))


class TestPatience:
    """What may pass is tried again, and nothing for ever."""

    @pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 521])
    def test_passing_statuses(self, connect, registry, waits, status):
        registry.add_fault(Fault("/v2/library/*", status=status, times=2))
        assert get(connect(filled(registry))).content
        assert len(waits.seconds) == 2

    def test_ping_is_patient_too(self, connect, registry):
        registry.add_fault(Fault("/v2/", status=503, times=2))
        assert get(connect(filled(registry))).content

    @pytest.mark.parametrize(("status", "requests"), [(404, 1), (401, 1), (501, 1), (503, 4), (429, 5)])
    def test_it_ends(self, connect, registry, status, requests):
        registry.add_fault(Fault("/v2/library/*", status=status))
        with pytest.raises(RegistryError):
            get(connect(registry))
        assert len(registry.requests) == 1 + requests

    def test_lost_answers_are_asked_for_again(self, connect, registry):
        registry.add_fault(Fault("/v2/library/*", drop_response=True, times=2))
        assert get(connect(filled(registry))).content

    @pytest.mark.parametrize("effect", [{"cut_after": 10}, {"headers": {"Content-Length": "99999"}}])
    def test_a_body_that_breaks_off_is_asked_for_again(self, connect, registry, effect):
        registry.add_fault(Fault("/v2/library/*", times=2, **effect))
        assert get(connect(filled(registry))).content == IMAGE.manifest

    def test_a_body_that_always_breaks_off_is_given_up(self, connect, registry):
        registry.add_fault(Fault("/v2/library/*", cut_after=10))
        with pytest.raises(NetworkError, match="EOF"):
            get(connect(filled(registry)))
        assert len(registry.requests) == 1 + 4

    @pytest.mark.parametrize("effect", [{"cut_after": 10}, {"stall_after": 10}])
    def test_a_refusal_that_breaks_off_is_still_a_refusal(self, connect, registry, monkeypatch, effect):
        monkeypatch.setattr(network, "STALL_TIMEOUT", 0.3)
        registry.add_fault(Fault("/v2/library/*", status=403, **effect))
        with pytest.raises(RegistryError, match="403"):
            get(connect(registry))

    @pytest.mark.parametrize(
        "effect", [{"status": 429}, {"status": 503}, {"drop_response": True}, {"cut_after": 10}], ids=str
    )
    @pytest.mark.parametrize("who", [USER, IDENTITY], ids=["password", "identity"])
    def test_the_token_service_is_asked_again(self, connect, make_registry, effect, who):
        registry = filled(make_registry(auth="bearer", users=USERS, identity_tokens={"long-lived": "user"}))
        registry.add_fault(Fault("/token", times=2, **effect))
        assert get(connect(registry, credentials=who)).content

    def test_a_token_service_that_wants_a_pause_gets_it(self, connect, make_registry, waits):
        registry = filled(make_registry(auth="bearer", users=USERS))
        registry.add_fault(Fault("/token", status=429, headers={"Retry-After": "20"}, times=1))
        get(connect(registry, credentials=USER))
        assert [round(seconds) // 20 for seconds in waits.seconds] == [1]

    def test_a_token_service_that_refuses_is_asked_once(self, connect, make_registry):
        registry = make_registry(auth="bearer", users=USERS)
        registry.add_fault(Fault("/token", status=403))
        with pytest.raises(RegistryError):
            get(connect(registry, credentials=USER))
        assert [request.path for request in registry.requests].count("/token") == 1

    def test_what_has_an_effect_is_not_done_twice(self, connect, registry):
        registry.add_fault(Fault("/v2/library/*", drop_response=True))
        with pytest.raises(NetworkError):
            connect(filled(registry)).request("PUT", "/v2/library/app/manifests/v2", content=IMAGE.manifest)
        assert [request.method for request in registry.requests].count("PUT") == 1

    def test_silence_ends(self, connect, registry, monkeypatch):
        monkeypatch.setattr(network, "STALL_TIMEOUT", 0.3)
        registry.add_fault(Fault("/v2/library/*", delay=30))
        with pytest.raises(NetworkError, match="i/o timeout") as caught:
            get(connect(registry))
        assert caught.value.retryable

    def test_a_head_that_trickles_ends(self, connect, registry, monkeypatch):
        monkeypatch.setattr(network, "STALL_TIMEOUT", 0.4)
        registry.add_fault(Fault("/v2/library/*", header_delay=0.3, extra_headers=tuple(("X", "y") for _ in range(50))))
        with pytest.raises(NetworkError, match="i/o timeout"):
            get(connect(filled(registry)))

    def test_cancellation_ends_a_wait_for_the_server(self, registry):
        registry.add_fault(Fault("/v2/library/*", delay=30))
        context = Context(cancellation=Cancellation(), options={"tls-verify": "false"})
        client = RegistryAccess.load(context).client(DockerReference(registry.host, "library/app"), "pull")
        threading.Timer(0.3, context.cancellation.cancel).start()
        with pytest.raises(CancelledError):
            get(client)
        client.close()


class TestBounds:
    """What a registry controls has limits."""

    @pytest.mark.parametrize(
        ("fault", "phrase"),
        [
            (Fault("/v2/library/*", endless=True, headers={"Content-Length": None}), "exceeded maximum allowed size"),
            (Fault("/v2/library/*", status=404, endless=True, headers={"Content-Length": None}), "StatusCode|a fault"),
            (Fault("/v2/library/*", extra_headers=tuple((f"X-{n}", "y" * 1000) for n in range(500))), "malformed"),
            (Fault("/v2/library/*", headers={"Content-Length": "-1"}), "malformed"),
            (Fault("/v2/library/*", headers={"Content-Length": "9" * 400}), "malformed|EOF|exceeded"),
            (Fault("/v2/library/*", cut_after=3), "unexpected EOF|connection reset"),
        ],
    )
    def test_absurd_answers_are_errors(self, connect, registry, fault, phrase):
        registry.add_fault(fault)
        with pytest.raises(TransportError, match=phrase):
            get(connect(filled(registry)))

    def test_bodies_are_not_decoded(self, connect, registry):
        registry.add_fault(Fault("/v2/library/*", gzip=True))
        assert get(connect(filled(registry))).content[:2] == b"\x1f\x8b"


def test_warnings_are_shown_once_and_harmlessly(connect, registry, warnings_shown):
    registry.add_fault(
        Fault("/v2/library/*", extra_headers=(("Warning", '299 - "old \\x1b[0m"'), ("Warning", "199 - other")))
    )
    client = connect(filled(registry))
    get(client)
    get(client)
    assert len(warnings_shown) == 1
    assert warnings_shown[0].startswith("Warning from registry (first encountered at ")


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_debug_tells_of_every_request_and_of_no_secret(make_registry, make_context, auth):
    registry, told = filled(make_registry(auth=auth, users=USERS, blob_redirect=True)), []
    context = dataclasses.replace(make_context(credentials=USER), debug=told.append)
    image = DockerReference(registry.host, "library/app")
    with contextlib.closing(RegistryAccess.load(context).client(image, "pull")) as client:
        get(client, blob_path())
    served = [request for request in registry.requests if request.status]
    assert [line.rpartition(" ")[2] for line in told[-len(served) :]] == [str(request.status) for request in served]
    shown = "".join(told)
    given = [request.headers.get("Authorization").partition(" ")[2] for request in served]
    assert not [secret for secret in ["secret", "?", *filter(None, given)] if secret in shown]


def test_nothing_secret_is_in_a_repr(connect, make_registry):
    client = connect(filled(make_registry(auth="bearer", users=USERS)), credentials=USER)
    get(client)
    assert "secret" not in repr(vars(client))
    assert "secret" not in repr(client)


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_an_answer_that_repeats_secrets_is_not_repeated(connect, make_registry, auth):
    registry = filled(make_registry(auth=auth, users=USERS))
    echo = b'{"errors": [{"code": "DENIED", "message": "user:secret dXNlcjpzZWNyZXQ="}]}'
    registry.add_fault(Fault("/token" if auth == "bearer" else "/v2/library/*", status=401, body=echo))
    with pytest.raises(RegistryError) as caught:
        get(connect(registry, credentials=USER))
    told = f"{caught.value} {caught.value.detail}"
    assert "secret" not in told
    assert "dXNlcjpzZWNyZXQ=" not in told


@pytest.mark.parametrize("proxy", ["gopher://user:secret@h", "http://[::1", "http://h:x"])
def test_a_broken_proxy_is_told_without_its_password(connect, monkeypatch, proxy):
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(NetworkError, match="proxy") as caught:
        get(connect("registry.invalid"))
    assert "secret" not in str(caught.value)


def test_a_proxy_is_asked(connect, registry, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", registry.url)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with pytest.raises(TransportError):
        get(connect("registry.invalid"))


@pytest.mark.parametrize("value", ["\x9b2J", "ä", "a\tb"])
def test_headers_may_hold_what_is_not_ascii(connect, registry, value):
    registry.add_fault(Fault("/v2/library/*", headers={"X-Odd": value}))
    assert get(connect(filled(registry))).headers["x-odd"] == value


def test_closing_twice_is_fine(connect, registry):
    client = connect(filled(registry))
    get(client)
    client.close()
    client.close()


def test_an_untrusted_certificate_is_told_in_known_words(make_registry, make_context, tls_files):
    roots = tls_files[0].parent / "ca.crt"
    registry = filled(make_registry(tls=tls_files))

    def client(tls):
        client = RegistryClient(registry.host, make_context(), repository="library/app", tls=tls)
        return contextlib.closing(client)

    with (
        client(ssl.create_default_context()) as doubtful,
        pytest.raises(NetworkError, match="x509: certificate signed by unknown authority") as caught,
    ):
        get(doubtful)
    assert not caught.value.retryable
    with client(ssl.create_default_context(cafile=str(roots))) as trusting:
        assert get(trusting).content == IMAGE.manifest


def test_https_leads_to_http_only_where_the_user_allows_it(make_registry, make_context, tls_files):
    secure, plain = make_registry(tls=tls_files), make_registry()
    secure.add_fault(Fault("/v2/library/*", redirect=f"{plain.url}/elsewhere"))
    trusting = ssl.create_default_context(cafile=str(tls_files[0].parent / "ca.crt"))
    for insecure, phrase in ((False, "refusing a redirect from https to http"), (True, "no such endpoint")):
        assert plain.requests == []
        client = RegistryClient(secure.host, make_context(), insecure=insecure, tls=trusting)
        with contextlib.closing(client), pytest.raises(TransportError, match=phrase):
            get(client)


@pytest.mark.parametrize("what", ["token", "blob"])
def test_those_whom_a_trusted_registry_names_need_a_trusted_certificate_too(
    make_registry, make_context, tmp_path, what
):
    trusted, other = tls_files_in(tmp_path / "trusted"), tls_files_in(tmp_path / "other")
    registry, stranger = filled(make_registry(tls=trusted)), make_registry(tls=other)
    if what == "token":
        challenge = f'Bearer realm="{stranger.url}/token",service="x"'
        registry.add_fault(Fault("/v2/", status=401, headers={"WWW-Authenticate": challenge}))
    registry.add_fault(Fault("/v2/library/*", redirect=f"{stranger.url}/elsewhere"))
    roots = ssl.create_default_context(cafile=str(trusted[0].parent / "ca.crt"))
    client = RegistryClient(registry.host, make_context(), tls=roots)
    with contextlib.closing(client), pytest.raises(NetworkError, match="signed by unknown authority"):
        get(client)
    assert stranger.requests == []
