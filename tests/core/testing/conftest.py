"""A client that asks the testing registry as one would by hand."""

from __future__ import annotations

import http.client
import inspect
import subprocess

import pytest

from transship.testing.registry import Registry


class Client:
    """One connection to the registry, and requests as one would write them by hand."""

    def __init__(self, host, context=None):
        make = http.client.HTTPConnection if context is None else http.client.HTTPSConnection
        self._connection = make(host, timeout=20, **({} if context is None else {"context": context}))

    def __call__(self, method, target, body=None, **headers):
        lines = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request(method, target, body, lines)
        response = self._connection.getresponse()
        response.data = response.read()
        return response

    def upload(self, name="library/app"):
        """Begin an upload; its location."""
        response = self("POST", f"/v2/{name}/blobs/uploads/")
        assert response.status == 202
        return response.headers["Location"]

    def timeout(self, seconds):
        """Wait only that long for the registry."""
        self._connection.timeout = seconds

    def close(self):
        self._connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@pytest.fixture
def client_of():
    """Makes clients of a registry, or of the second origin of one."""
    clients = []

    def make(place, context=None):
        host = place.removeprefix("http://") if isinstance(place, str) else place.host
        clients.append(Client(host, context))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def registry():
    with Registry() as registry:
        yield registry


@pytest.fixture
def client(registry, client_of):
    return client_of(registry)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "registry.crt", folder / "registry.key"
    subject = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command = ["openssl", "req", "-x509", *kind, *subject, "-keyout", key, "-out", cert]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@pytest.fixture
def run_contract():
    """Runs one test of a contract with what it asks for of what is given."""

    def run(contract, test, **given):
        method = getattr(contract(), test)
        method(**{name: given[name] for name in inspect.signature(method).parameters})

    return run
