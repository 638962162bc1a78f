"""The transport keeps the contract of all transports."""

from __future__ import annotations

import pytest

from transship.testing import TransportContract
from transship_docker_archive.transport import DockerArchiveTransport


class TestDockerArchiveTransport(TransportContract):
    keeps_manifests = False

    @pytest.fixture
    def transport(self):
        return DockerArchiveTransport()

    @pytest.fixture
    def reference_text(self, tmp_path):
        return f"{tmp_path / 'app.tar'}:app:1.0"

    @pytest.fixture
    def missing_text(self):
        """A name that is not in an archive is an error like any other, as in Skopeo."""
        return None
