from __future__ import annotations

from pathlib import Path

import pytest
from transship_example import TextTransport

from transship.testing import TransportContract


class TestText(TransportContract):
    @pytest.fixture
    def transport(self) -> TextTransport:
        return TextTransport()

    @pytest.fixture
    def reference_text(self, tmp_path: Path) -> str:
        return str(tmp_path / "image.txt")
