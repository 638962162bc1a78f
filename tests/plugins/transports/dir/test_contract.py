"""The transport keeps the contract of all transports."""

from __future__ import annotations

import pytest

from transship.testing import TransportContract
from transship_dir.transport import DirTransport


class TestDirTransport(TransportContract):
    @pytest.fixture
    def transport(self):
        return DirTransport()

    @pytest.fixture
    def reference_text(self, tmp_path):
        return str(tmp_path / "image")
