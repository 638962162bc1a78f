"""Keys of people who do not exist, made once, and what they signed."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from openpgp_keys import BEFORE_EXPIRY, PASSPHRASE, generate_all, new_gnupg, payload


@pytest.fixture(scope="session")
def gnupg():
    """Keys of all kinds. Those called ``…-revoked`` and ``…-expired`` signed while they could."""
    if shutil.which("gpg") is None and os.environ.get("CI") != "true":
        pytest.skip("gpg is not installed")
    people = new_gnupg()
    try:
        generate_all(people)
        yield people
    finally:
        people.close()


@pytest.fixture(scope="session")
def signatures(gnupg):
    """A signature of each key over the image under its name, made by gpg itself; then keys are revoked."""
    content = payload()
    made = {name: gnupg.sign(content, name) for name in ("rsa", "ed25519", "nistp256", "other", "attacker")}
    made |= {
        name: gnupg.sign(content, name)
        for name in ("subkey", "rsa-subkey", "key-revoked", "subkey-revoked", "certifier")
    }
    clock = ("--faked-system-time", BEFORE_EXPIRY)
    made |= {name: gnupg.sign(content, name, *clock) for name in ("key-expired", "subkey-expired")}
    loopback = ("--pinentry-mode=loopback", "--passphrase", PASSPHRASE.decode())
    made["passphrase"] = gnupg.sign(content, "passphrase", *loopback)
    gnupg.revoke("key-revoked")
    gnupg.edit("subkey-revoked", "key 1", "revkey", "y", "0", "", "y", "save")
    gnupg.edit("certifier", "change-usage", "S", "Q", "save")
    gnupg.earlier.update(made)
    return made


@pytest.fixture
def keyring(gnupg, signatures, tmp_path):
    """Writes the public keys of some people, as they are known after all signatures were made, to a file."""

    def write(*names, file="keys.gpg", data=None):
        path = tmp_path / file
        path.write_bytes(gnupg.export(*names) if data is None else data)
        return str(path)

    return write
