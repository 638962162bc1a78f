"""The mechanism keeps the contract."""

from __future__ import annotations

import pytest

from transship.plugin.mechanism import SigningRequest
from transship.testing import SignatureMechanismContract
from transship_openpgp.mechanism import OpenPgp


class TestOpenPgp(SignatureMechanismContract):
    @pytest.fixture(autouse=True)
    def _home(self, gnupg, monkeypatch):
        monkeypatch.setenv("GNUPGHOME", str(gnupg.home))

    @pytest.fixture
    def mechanism(self):
        return OpenPgp()

    @pytest.fixture
    def requirement(self, keyring):
        return {"type": "signedBy", "keyType": "GPGKeys", "keyPath": keyring("ed25519")}

    @pytest.fixture
    def signing_request(self):
        return SigningRequest("gpg", "<ed25519@example.com>", None, lambda text: b"")

    @pytest.fixture
    def stranger_request(self):
        return SigningRequest("gpg", "<attacker@example.com>", None, lambda text: b"")
