"""The transport keeps the contract of all transports."""

from __future__ import annotations

import pytest

from transship.testing import TransportContract
from transship_oci_archive.transport import OciArchiveTransport


class TestOciArchiveTransport(TransportContract):
    @pytest.fixture
    def transport(self):
        return OciArchiveTransport()

    @pytest.fixture
    def reference_text(self, tmp_path):
        return f"{tmp_path / 'app.tar'}:app"
