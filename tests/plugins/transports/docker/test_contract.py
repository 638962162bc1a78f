"""The transport keeps the contract of all transports."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools

import pytest

from transship.plugin.context import Context
from transship.testing import TransportContract
from transship.testing.registry_faults import Fault
from transship_docker.transport import DockerTransport

_numbers = itertools.count()


class TestDockerTransport(TransportContract):
    context = Context(options={"tls-verify": "false"})

    @pytest.fixture(autouse=True)
    def _signatures_of_its_own(self, lookaside, monkeypatch):
        options = {**self.context.options, "registries.d": str(lookaside.parent / "registries.d")}
        monkeypatch.setattr(type(self), "context", dataclasses.replace(self.context, options=options))

    @pytest.fixture
    def transport(self):
        return DockerTransport()

    @pytest.fixture
    def reference_text(self, registry):
        return f"//{registry.host}/library/app-{next(_numbers)}:v1"

    @pytest.fixture
    def elsewhere_text(self, reference_text):
        return reference_text.replace("/library/", "/elsewhere/")

    @pytest.fixture
    def failing_writes(self, registry):
        @contextlib.contextmanager
        def full():
            registry.add_fault(Fault("*/blobs/uploads/*", status=413))
            yield
            registry.clear_faults()

        return full


@pytest.mark.interop
class TestDockerRegistry(TestDockerTransport):
    """The same against a real registry."""

    @pytest.fixture
    def reference_text(self, distribution):
        return f"//{distribution.host}/library/app-{next(_numbers)}:v1"
