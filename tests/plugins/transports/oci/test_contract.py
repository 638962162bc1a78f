"""The transport keeps the contract of all transports."""

from __future__ import annotations

import pytest

from transship.testing import TransportContract
from transship_oci.transport import OciTransport


class TestOciTransport(TransportContract):
    @pytest.fixture
    def transport(self):
        return OciTransport()

    @pytest.fixture
    def reference_text(self, tmp_path):
        return f"{tmp_path / 'layout'}:app"
