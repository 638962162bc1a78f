"""Registries that are reached through proxies of several kinds."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import socket
import ssl
import threading

import pytest
import trustme

from transship.errors import TransportError
from transship.image.reference import DockerReference
from transship.testing.images import oci_image
from transship.testing.registry import Fault
from transship_docker import network
from transship_docker.access import RegistryAccess
from transship_docker.errors import NetworkError

IMAGE = oci_image()
USER, PASSWORD = "someone", "pröxy:secret"


class Proxy:
    """Takes connections on loopback and leads them to ``registry``, whoever they are for. ``wanted`` is whom."""

    def __init__(self, registry, *, tls=None):
        self._registry = ("127.0.0.1", int(registry.host.rpartition(":")[2]))
        self._tls = tls
        self.wanted = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=self._socket.accept()[:1], daemon=True).start()

    def _serve(self, client):
        with contextlib.suppress(OSError, EOFError), client:
            if not self._tls:
                self._lead_on(client)
                return
            with self._tls.wrap_socket(client, server_side=True) as secured:
                self._lead_on(secured)

    def _lead_on(self, client):
        if not self.greet(client):
            return
        with socket.create_connection(self._registry) as server:
            back = threading.Thread(target=self._pass_on, args=(server, client), daemon=True)
            back.start()
            self._pass_on(client, server)
            back.join()

    @staticmethod
    def _pass_on(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def greet(self, client):
        """Whether the client may go on."""
        raise NotImplementedError


def exactly(client, count):
    data = b""
    while len(data) < count:
        data += client.recv(count - len(data)) or _ended()
    return data


def _ended():
    raise EOFError


class SocksProxy(Proxy):
    """SOCKS 5; with ``user`` it wants to know who asks, and ``reply`` is what it says of the connection."""

    def __init__(self, registry, *, user=(), reply=b"\x05\x00\x00\x01" + bytes(6)):
        self._user = user
        self._reply = reply
        super().__init__(registry)

    def greet(self, client):
        _, count = exactly(client, 2)
        method = b"\x02" if self._user else b"\x00"
        if method not in exactly(client, count):
            client.sendall(b"\x05\xff")
            return False
        client.sendall(b"\x05" + method)
        if self._user and not self._knows(client):
            return False
        *_, kind = exactly(client, 4)
        size = exactly(client, 1)[0] if kind == 3 else {1: 4, 4: 16}[kind]
        host, port = exactly(client, size), int.from_bytes(exactly(client, 2), "big")
        self.wanted.append((host.decode() if kind == 3 else host, port))
        client.sendall(self._reply)
        return self._reply[1:2] == b"\x00"

    def _knows(self, client):
        given = []
        exactly(client, 1)
        for _ in range(2):
            given.append(exactly(client, exactly(client, 1)[0]).decode())
        is_known = tuple(given) == self._user
        client.sendall(b"\x01\x00" if is_known else b"\x01\x01")
        return is_known


class TunnelProxy(Proxy):
    """CONNECT, as proxies for https know it."""

    def greet(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(1 << 16) or _ended()
        self.wanted.append(head.decode())
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        return True


@pytest.fixture
def open_proxy():
    with contextlib.ExitStack() as stack:
        yield lambda kind, *args, **more: stack.enter_context(contextlib.closing(kind(*args, **more)))


@pytest.fixture
def read(make_context):
    """Reads the manifest of an image."""

    def read(host, **options):
        client = RegistryAccess.load(make_context(**options)).client(DockerReference(host, "library/app"), "pull")
        with contextlib.closing(client):
            return client.request("GET", "/v2/library/app/manifests/v1", headers={"Accept": "*/*"}).content

    return read


@pytest.fixture
def filled(registry):
    registry.put_image("library/app", "v1", IMAGE)
    return registry


class TestSocks:
    """SOCKS 5."""

    @pytest.fixture(params=["socks5", "socks5h"])
    def use(self, request, monkeypatch):
        def use(proxy, user=""):
            monkeypatch.setenv("HTTP_PROXY", f"{request.param}://{user}127.0.0.1:{proxy.port}")

        return use

    def test_it_looks_names_up(self, filled, open_proxy, use, read):
        proxy = open_proxy(SocksProxy, filled)
        use(proxy)
        assert read("registry.invalid:5000") == IMAGE.manifest
        assert ("registry.invalid", 5000) in proxy.wanted

    def test_addresses_are_given_as_such(self, filled, open_proxy, use, read):
        filled.add_fault(Fault("/v2/library/*", redirect="http://[2001:db8::1]:81{target}", times=1))
        proxy = open_proxy(SocksProxy, filled)
        use(proxy)
        assert read("192.0.2.1") == IMAGE.manifest
        assert proxy.wanted[-2:] == [(b"\xc0\0\x02\x01", 80), (b"\x20\x01\x0d\xb8" + bytes(11) + b"\1", 81)]

    def test_it_may_want_to_know_who_asks(self, filled, open_proxy, use, read):
        use(open_proxy(SocksProxy, filled, user=(USER, PASSWORD)), user=f"{USER}:pr%C3%B6xy%3Asecret@")
        assert read("registry.invalid") == IMAGE.manifest

    @pytest.mark.parametrize("user", ["", f"{USER}:wrong-secret@"])
    def test_whom_it_does_not_know_it_refuses(self, filled, open_proxy, use, read, user):
        use(open_proxy(SocksProxy, filled, user=(USER, PASSWORD)), user=user)
        with pytest.raises(NetworkError, match=r"the proxy (wants another authentication|does not accept)") as caught:
            read("registry.invalid")
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize(
        ("reply", "shown"),
        [
            (b"\x05\x05\x00\x01" + bytes(6), "connection refused"),
            (b"\x05\x63\x00\x01" + bytes(6), "unknown error 99"),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak SOCKS 5"),
            (b"\x05\x00\x00\x07" + bytes(6), "unknown kind of address"),
        ],
    )
    def test_what_it_says_is_told(self, filled, open_proxy, use, read, reply, shown):
        use(open_proxy(SocksProxy, filled, reply=reply))
        with pytest.raises(NetworkError, match=shown):
            read("registry.invalid")

    def test_a_name_may_be_its_own(self, filled, open_proxy, use, read):
        use(open_proxy(SocksProxy, filled, reply=b"\x05\x00\x00\x03\x05proxy\x00\x00"))
        assert read("registry.invalid") == IMAGE.manifest


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
def test_a_proxy_that_is_not_there_is_named(read, monkeypatch, scheme):
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://u:secret@127.0.0.1:1")
    with pytest.raises(
        NetworkError, match=r"proxyconnect tcp: dial tcp 127\.0\.0\.1:1: connect: connection refused"
    ) as caught:
        read("registry.invalid", tls_verify="true")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "proxy", ["socks4://127.0.0.1:1", "socks5://", "socks5://u:" + "x" * 300 + "@h", "gopher://h", "http://h:99999"]
)
def test_a_proxy_that_cannot_be_used_is_refused(read, monkeypatch, proxy):
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(NetworkError, match=r"the proxy that the environment names cannot be used: only http://"):
        read("registry.invalid", tls_verify="true")


def test_docker_hub_is_asked_where_it_lives(make_registry, open_proxy, read, monkeypatch, tmp_path):
    authority = trustme.CA()
    folder = tmp_path / ".config/containers/certs.d/docker.io"
    folder.mkdir(parents=True)
    authority.cert_pem.write_to_path(folder / "ca.crt")
    authority.issue_cert("registry-1.docker.io").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    registry = make_registry(tls=[tmp_path / "server.pem"] * 2, auth="basic", users={USER: PASSWORD})
    registry.put_image("library/app", "v1", IMAGE)
    entry = {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
    authfile = tmp_path / "auth.json"
    authfile.write_text(json.dumps({"auths": {"https://index.docker.io/v1/": entry}}))
    proxy = open_proxy(TunnelProxy, registry)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    assert read("docker.io", tls_verify="true", authfile=str(authfile)) == IMAGE.manifest
    assert {head.partition(" HTTP")[0] for head in proxy.wanted} == {"CONNECT registry-1.docker.io:443"}


class TestHttps:
    """Proxies with a certificate of their own."""

    @pytest.fixture
    def authority(self, tmp_path):
        authority = trustme.CA()
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        return authority

    @pytest.fixture
    def proxy(self, authority, filled_tls, open_proxy, monkeypatch):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(tls)
        proxy = open_proxy(TunnelProxy, filled_tls, tls=tls)
        monkeypatch.setenv("HTTPS_PROXY", f"https://u:secret@127.0.0.1:{proxy.port}")
        return proxy

    @pytest.fixture
    def filled_tls(self, authority, make_registry, tmp_path):
        issued = authority.issue_cert("registry.invalid")
        issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
        registry = make_registry(tls=(tmp_path / "server.pem", tmp_path / "server.pem"))
        registry.put_image("library/app", "v1", IMAGE)
        return registry

    def test_it_is_trusted_if_the_machine_does(self, proxy, read, monkeypatch, tmp_path):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert read("registry.invalid", tls_verify="true") == IMAGE.manifest
        assert proxy.wanted[0].startswith("CONNECT registry.invalid:443 ")
        assert base64.b64encode(b"u:secret").decode() in proxy.wanted[0]

    def test_what_the_machine_trusts_is_read_once(self, proxy, make_context, monkeypatch, tmp_path):
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        read_how_often = itertools.count()
        real = network.system_tls_context
        monkeypatch.setattr(network, "system_tls_context", lambda: (next(read_how_often), real())[1])
        registry = DockerReference("registry.invalid", "library/app")
        client = RegistryAccess.load(make_context(tls_verify="true")).client(registry, "pull")
        with contextlib.closing(client), contextlib.ExitStack() as under_way:
            for _ in range(3):
                answer = client.open("GET", "/v2/library/app/manifests/v1", headers={"Accept": "*/*"})
                under_way.enter_context(contextlib.closing(answer))
            assert len(proxy.wanted) == 3
        assert next(read_how_often) == 1

    @pytest.mark.parametrize("verify", ["true", "false"])
    def test_whatever_the_registry_is_worth_it_gets_nothing_without_that(self, proxy, read, verify):
        with pytest.raises(TransportError):
            read("registry.invalid", tls_verify=verify)
        assert proxy.wanted == []
