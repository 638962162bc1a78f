"""The mechanism keeps the contract that comes with the core."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from transship_seal import SealMechanism

from transship.plugin.mechanism import SignatureMechanism, SigningRequest
from transship.testing import SignatureMechanismContract


def request(key: Path | str) -> SigningRequest:
    return SigningRequest("key", str(key), None, lambda text: b"")


class TestSeal(SignatureMechanismContract):
    @pytest.fixture
    def mechanism(self) -> SignatureMechanism:
        return SealMechanism()

    @pytest.fixture
    def requirement(self, tmp_path: Path) -> Mapping[str, str]:
        (tmp_path / "seal.key").write_bytes(b"open sesame")
        return {"type": "sealedBy", "keyPath": str(tmp_path / "seal.key")}

    @pytest.fixture
    def signing_request(self, requirement: Mapping[str, str]) -> SigningRequest:
        return request(requirement["keyPath"])

    @pytest.fixture
    def stranger_request(self, tmp_path: Path) -> SigningRequest:
        (tmp_path / "stranger.key").write_bytes(b"open barley")
        return request(tmp_path / "stranger.key")

    @pytest.fixture
    def store_text(self, tmp_path: Path) -> str:
        (tmp_path / "seals").mkdir()
        return str(tmp_path / "seals")
