"""The mechanism keeps the contract, with keys in files."""

from __future__ import annotations

import pytest
from sigstore_authorities import public_pem

from transship.plugin.mechanism import SigningRequest
from transship.testing import SignatureMechanismContract
from transship_sigstore.key_envelope import seal
from transship_sigstore.keys import generate_key
from transship_sigstore.mechanism import SigstoreSignatures

PASSPHRASE = b"secret"
KEYS = {name: generate_key() for name in ("signer", "stranger")}
SEALED = {name: seal(key, PASSPHRASE) for name, key in KEYS.items()}


class TestKeys(SignatureMechanismContract):
    @pytest.fixture
    def mechanism(self):
        return SigstoreSignatures()

    @pytest.fixture
    def key(self, tmp_path):
        for name, key in KEYS.items():
            (tmp_path / f"{name}.private").write_bytes(SEALED[name])
            (tmp_path / f"{name}.pub").write_bytes(public_pem(key))
        return lambda name: str(tmp_path / name)

    @pytest.fixture
    def requirement(self, key):
        return {"type": "sigstoreSigned", "keyPath": key("signer.pub")}

    @pytest.fixture
    def signing_request(self, key):
        return SigningRequest("private-key", key("signer.private"), PASSPHRASE, lambda text: b"")

    @pytest.fixture
    def stranger_request(self, key):
        return SigningRequest("private-key", key("stranger.private"), PASSPHRASE, lambda text: b"")
