"""Signing with keys of Sequoia-PGP's key store."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from openpgp_keys import IMAGE, NAME, PASSPHRASE, requirement, untrusted

from transship.errors import SignatureError
from transship.image.digest import digest_of
from transship.image.reference import DockerReference
from transship.plugin.mechanism import SigningRequest
from transship_openpgp.mechanism import OpenPgp

VECTORS = Path(__file__).parent / "vectors"


def no_prompt(text):
    raise AssertionError(text)


def open_signer(fingerprint, passphrase=None):
    return OpenPgp().open_signer(SigningRequest("sq", fingerprint, passphrase, no_prompt))


def sign(fingerprint, passphrase=None):
    signer = open_signer(fingerprint, passphrase)
    try:
        return signer.sign(IMAGE.manifest, digest_of(IMAGE.manifest), DockerReference.parse(NAME)).payload
    finally:
        signer.close()


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The key store of a user who has no keys in GnuPG, and her temporary folder."""
    for name in ("SEQUOIA_HOME", "XDG_DATA_HOME", "GNUPGHOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".local" / "share" / "sequoia" / "keystore" / "softkeys"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture(scope="module")
def fingerprint():
    """Of the key that Sequoia made."""
    listing = ["gpg", "--no-autostart", "--with-colons", "--import-options=show-only", "--import"]
    lines = subprocess.run([*listing, VECTORS / "sequoia.asc"], capture_output=True, text=True, check=True).stdout
    return next(line.split(":")[9] for line in lines.splitlines() if line.startswith("fpr:"))


@pytest.fixture
def trusted():
    return requirement(keyPath=str(VECTORS / "sequoia.asc"))


@pytest.mark.parametrize("spell", [str, str.lower, lambda text: " ".join([text[:20], text[20:]])])
def test_what_a_key_of_sequoia_signed_is_accepted(spell, store, fingerprint, trusted):
    shutil.copy(VECTORS / "sequoia.secret.asc", store / f"{fingerprint}.asc")
    verdict = trusted.evaluate(untrusted(sign(spell(fingerprint))))
    assert verdict.accepted, verdict.reason
    assert verdict.signatures[0].signer == fingerprint


@pytest.mark.parametrize(
    ("variable", "place"), [("SEQUOIA_HOME", "data/keystore/softkeys"), ("XDG_DATA_HOME", "sequoia/keystore/softkeys")]
)
def test_key_store_is_where_sequoia_has_it(variable, place, store, tmp_path, fingerprint, monkeypatch):
    (tmp_path / "moved" / place).mkdir(parents=True)
    shutil.copy(VECTORS / "sequoia.secret.asc", tmp_path / "moved" / place / "mine.asc")
    monkeypatch.setenv(variable, str(tmp_path / "moved"))
    assert sign(fingerprint)


def test_key_is_found_whatever_its_file_is_called_and_holds(store, fingerprint, gnupg, trusted):
    (store / "a.pgp").write_bytes(b"no key")
    (store / "b.pgp").write_bytes(gnupg.export("other"))
    (store / f"{fingerprint}.pgp").write_bytes((VECTORS / "sequoia.asc").read_bytes())
    (store / "c.pgp.rev").mkdir()
    secrets = gnupg.run("--export-secret-keys", "<rsa@example.com>") + gnupg.run(
        "--export-secret-keys", "<ed25519@example.com>"
    )
    (store / "both.pgp").write_bytes(secrets)
    shutil.copy(VECTORS / "sequoia.secret.asc", store / "z.asc")
    assert trusted.evaluate(untrusted(sign(fingerprint))).accepted
    for name in ("rsa", "ed25519"):
        signed = untrusted(sign(gnupg.fingerprint(name)))
        verdict = requirement(keyPath=write(store.parent / "keys", gnupg.export(name))).evaluate(signed)
        assert verdict.accepted, verdict.reason


def write(path, data):
    path.write_bytes(data)
    return str(path)


def test_passphrase_opens_a_key(store, gnupg, keyring):
    loopback = ("--pinentry-mode=loopback", "--passphrase", PASSPHRASE.decode())
    (store / "p.pgp").write_bytes(gnupg.run(*loopback, "--export-secret-keys", "<passphrase@example.com>"))
    signature = sign(gnupg.fingerprint("passphrase"), PASSPHRASE)
    assert requirement(keyPath=keyring("passphrase")).evaluate(untrusted(signature)).accepted
    with pytest.raises(SignatureError, match=r"(?i)passphrase") as caught:
        sign(gnupg.fingerprint("passphrase"), b"battery staple")
    assert "battery" not in str(caught.value)


@pytest.fixture
def place(monkeypatch):
    """The temporary folder; names of sockets in it must be short."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setattr("tempfile.tempdir", folder)
        yield Path(folder)


def test_nothing_of_the_key_is_left(store, place, fingerprint, tmp_path):
    shutil.copy(VECTORS / "sequoia.secret.asc", store / "mine.asc")
    signer = open_signer(fingerprint)
    assert [path.stat().st_mode & 0o777 for path in place.iterdir()] == [0o700]
    assert agents_in(place)
    signer.close()
    signer.close()
    assert list(place.iterdir()) == []
    assert not (tmp_path / ".gnupg" / "private-keys-v1.d").exists()
    end = time.monotonic() + 10
    while agents_in(place):
        assert time.monotonic() < end
        time.sleep(0.02)


def agents_in(folder):
    """The gpg-agents whose home is below a folder."""
    commands = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            commands += [(entry / "cmdline").read_bytes()] if entry.name.isdigit() else []
    return [command for command in commands if b"gpg-agent" in command and os.fsencode(folder) in command]


def test_nothing_is_left_when_it_fails(store, place):
    with pytest.raises(SignatureError, match="no secret key"):
        open_signer("0" * 40)
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("key", ["", "ABCD", "ann@example.com", "0" * 39, "0" * 64 + "0", "--version", "G" * 40])
def test_only_fingerprints_name_keys(key, store):
    with pytest.raises(SignatureError, match="Sequoia"):
        open_signer(key)


def test_no_folder_that_lies_here_is_the_home_of_who_has_none(store, fingerprint, tmp_path, monkeypatch):
    shutil.copy(VECTORS / "sequoia.secret.asc", store / f"{fingerprint}.asc")
    assert sign(fingerprint)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "~").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 7)
    with pytest.raises(SignatureError, match=r"no secret key .* /\.local/share/sequoia"):
        sign(fingerprint)


def test_without_a_key_store_there_is_no_key(store):
    store.rmdir()
    with pytest.raises(SignatureError, match=r"no secret key .*softkeys"):
        open_signer("0" * 40)


def test_key_that_cannot_sign_is_an_error(store, gnupg, signatures):
    (store / "e.pgp").write_bytes(gnupg.run("--export-secret-keys", "<key-expired@example.com>"))
    with pytest.raises(SignatureError, match="it has expired"):
        open_signer(gnupg.fingerprint("key-expired"))
