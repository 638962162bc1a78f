"""Ways round a policy: none of them leads anywhere."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from openpgp_attacks import ATTACKS, TRUSTED
from openpgp_keys import IMAGE, NAME, new_gnupg, payload, requirement, untrusted

from transship.errors import SignatureError
from transship.testing.images import schema2_image
from transship_openpgp.keyring import UserKeys


@pytest.mark.parametrize("attack", ATTACKS)
def test_signature_is_refused(attack, gnupg, signatures, keyring):
    signature = ATTACKS[attack](gnupg)
    start = time.monotonic()
    verdict = requirement(keyPath=keyring(*TRUSTED)).evaluate(untrusted(signature))
    assert not verdict.accepted
    assert verdict.reason
    assert "\n" not in verdict.reason
    assert time.monotonic() - start < 5


def test_without_the_attacks_the_same_keyring_accepts(signatures, keyring):
    assert requirement(keyPath=keyring(*TRUSTED)).evaluate(untrusted(signatures["ed25519"])).accepted


def test_no_byte_that_counts_can_be_changed(gnupg, signatures, keyring):
    message = gnupg.sign(payload(), "ed25519", "-z0")
    signed_by = requirement(keyPath=keyring("ed25519"))
    accepted = 0
    for position in range(0, len(message), 4):
        changed = message[:position] + bytes([message[position] ^ 0x01]) + message[position + 1 :]
        verdict = signed_by.evaluate(untrusted(changed))
        accepted += verdict.accepted
        assert not verdict.accepted or verdict.signatures[0].identity == NAME
    assert accepted < 10  # dates and hints that nothing depends on


@pytest.mark.parametrize(
    ("name", "manifest"),
    [
        ("registry.example.com/team/app:2.0", IMAGE.manifest),
        ("registry.example.com/team/app", IMAGE.manifest),
        ("registry.example.com/team/app/more:1.0", IMAGE.manifest),
        ("registry.example.com:443/team/app:1.0", IMAGE.manifest),
        ("localhost/team/app:1.0", IMAGE.manifest),
        ("", IMAGE.manifest),
        (NAME, schema2_image().manifest),
        (NAME, IMAGE.manifest + b" "),
        (NAME, b""),
    ],
)
def test_a_good_signature_does_not_count_for_another_image(name, manifest, signatures, keyring):
    signed_by = requirement(keyPath=keyring("ed25519"))
    assert not signed_by.evaluate(untrusted(signatures["ed25519"], name=name, manifest=manifest)).accepted


class TestKeyrings:
    """What is wrong with the keys refuses the image, and never hangs."""

    @pytest.fixture
    def good(self, signatures):
        return untrusted(signatures["ed25519"])

    @pytest.mark.parametrize(
        "data", [b"", b"\n", b"rubbish", b"\x98\x33", b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n", bytes(1000)]
    )
    def test_without_keys(self, data, good, keyring):
        verdict = requirement(keyPath=keyring(data=data)).evaluate(good)
        assert not verdict.accepted
        assert "No public keys imported" in verdict.reason

    def test_truncated(self, good, keyring, gnupg):
        whole = gnupg.export("ed25519")
        assert not requirement(keyPath=keyring(data=whole[: len(whole) // 2])).evaluate(good).accepted

    def test_with_secret_keys(self, good, keyring, gnupg):
        secret = gnupg.run("--export-secret-keys", gnupg.fingerprint("ed25519"))
        verdict = requirement(keyPath=keyring(data=secret)).evaluate(good)
        assert not verdict.accepted
        assert "secret keys" in verdict.reason

    def test_that_is_a_signature_or_a_revocation(self, good, keyring, signatures, gnupg):
        certificate = (gnupg.home / "openpgp-revocs.d" / f"{gnupg.fingerprint('ed25519')}.rev").read_bytes()
        for data in (signatures["ed25519"], certificate.replace(b":-----", b"-----")):
            assert not requirement(keyPath=keyring(data=data)).evaluate(good).accepted

    def test_with_the_revocation_of_its_key(self, good, keyring, gnupg):
        certificate = (gnupg.home / "openpgp-revocs.d" / f"{gnupg.fingerprint('ed25519')}.rev").read_bytes()
        revocation = keyring(data=certificate.replace(b":-----", b"-----"), file="revocation")
        verdict = requirement(keyPaths=[keyring("ed25519", "rsa"), revocation]).evaluate(good)
        assert not verdict.accepted

    @pytest.mark.parametrize("broken", ["missing", "folder", "fifo", "device", "rubbish", "zero\0byte"])
    def test_one_of_several_is_unusable(self, broken, good, keyring, tmp_path):
        path = tmp_path / broken
        if broken == "folder":
            path.mkdir()
        elif broken == "fifo":
            os.mkfifo(path)
        elif broken == "device":
            path = Path("/dev/zero")
        elif broken == "rubbish":
            path.write_bytes(b"rubbish")
        verdict = requirement(keyPaths=[keyring("ed25519"), str(path)]).evaluate(good)
        assert not verdict.accepted
        assert str(path) in verdict.reason


class TestSurroundings:
    """What the user's GnuPG, its settings and the environment say does not matter."""

    @pytest.fixture
    def attacked(self, signatures):
        return untrusted(signatures["attacker"])

    @pytest.fixture
    def hostile_home(self, gnupg, signatures):
        """A folder in which the attacker's key is trusted without limits, by every setting there is."""
        hostile = new_gnupg()
        hostile.run("--import", data=gnupg.export("attacker"))
        fingerprint = gnupg.fingerprint("attacker")
        hostile.run("--import-ownertrust", data=f"{fingerprint}:6:\n".encode())
        keys = hostile.home / "attacker.gpg"
        keys.write_bytes(gnupg.export("attacker"))
        settings = f"keyring {keys}\ntrusted-key {fingerprint}\nauto-key-retrieve\nverbose\nskip-verify\n"
        for name in ("gpg.conf", "gpg.conf-2", "gpg.conf-2.2", "options"):
            (hostile.home / name).write_text(settings)
        yield hostile.home
        hostile.close()

    @pytest.mark.parametrize("variable", ["GNUPGHOME", "HOME"])
    def test_users_keyring_and_options(self, variable, hostile_home, attacked, keyring, monkeypatch, tmp_path):
        if variable == "HOME":
            (tmp_path / ".gnupg").symlink_to(hostile_home)
            hostile_home = tmp_path
        monkeypatch.setenv(variable, str(hostile_home))
        before = {path: path.stat().st_mtime_ns for path in Path(hostile_home).iterdir()}
        verdict = requirement(keyPath=keyring("ed25519")).evaluate(attacked)
        assert not verdict.accepted
        assert "No public key" in verdict.reason
        assert {path: path.stat().st_mtime_ns for path in Path(hostile_home).iterdir() if path in before} == before

    def test_options_of_a_user_whose_own_keys_are_asked(self, hostile_home, gnupg, signatures, monkeypatch):
        monkeypatch.setenv("GNUPGHOME", str(hostile_home))
        with pytest.raises(SignatureError, match="No public key"):
            UserKeys().verify(signatures["ed25519"])
        assert UserKeys().verify(signatures["attacker"]).primary == gnupg.fingerprint("attacker")

    def test_gpg_is_missing(self, signatures, keyring, monkeypatch, tmp_path):
        path = keyring("ed25519")
        monkeypatch.setenv("PATH", str(tmp_path))
        verdict = requirement(keyPath=path).evaluate(untrusted(signatures["ed25519"]))
        assert not verdict.accepted
        assert "gpg is not on PATH" in verdict.reason

    @pytest.mark.parametrize("path", ["", ".", "bin"])
    def test_gpg_in_the_current_folder(self, path, signatures, keyring, monkeypatch, tmp_path):
        keys = keyring("ed25519")
        place = tmp_path / path
        place.mkdir(exist_ok=True)
        (place / "gpg").write_text("#!/bin/sh\ntouch was-run\n")
        (place / "gpg").chmod(0o755)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PATH", path)
        assert not requirement(keyPath=keys).evaluate(untrusted(signatures["ed25519"])).accepted
        assert not (tmp_path / "was-run").exists()

    @pytest.mark.parametrize(
        "script",
        [
            "exit 0",
            "exit 2",
            "kill -9 $$",
            "echo '[GNUPG:] VALIDSIG A 1 1 0 4 0 1 8 00 A'",
            "echo '[GNUPG:] IMPORT_OK 1 A'; echo '[GNUPG:] IMPORT_RES 1 0 1 0 0 0 0 0 0 0 0 0 0 0 0'",
            "echo '[GNUPG:] IMPORT_OK'; echo '[GNUPG:] IMPORT_RES'; echo '[GNUPG:]'; echo '[GNUPG:] '",
            "head -c 200000 /dev/urandom",
        ],
    )
    def test_gpg_is_broken(self, script, signatures, keyring, monkeypatch, tmp_path):
        keys = keyring("ed25519")
        (tmp_path / "gpg").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "gpg").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        verdict = requirement(keyPath=keys).evaluate(untrusted(signatures["ed25519"]))
        assert not verdict.accepted

    @pytest.mark.parametrize(
        "lines",
        [
            ["VALIDSIG A 1 1 0 4 0 1 8 00 A"],
            ["NEWSIG", "GOODSIG A", "VALIDSIG"],
            ["NEWSIG", "GOODSIG A", "VALIDSIG A 1 1 0 4 0 1 8 00 A"],  # and no text
            ["NEWSIG", "GOODSIG A", "VALIDSIG A 1 1 0 4 0 1 8 00 A"] * 2,
            ["NEWSIG", "GOODSIG A", "VALIDSIG A 1 1 0 4 0 1 8 00 A", "EXPKEYSIG"],
        ],
    )
    def test_gpg_says_less_or_more_than_that_a_signature_is_good(
        self, lines, signatures, keyring, monkeypatch, tmp_path
    ):
        signed_by = requirement(keyPath=keyring("ed25519"))
        assert signed_by.evaluate(untrusted(signatures["ed25519"])).accepted
        (tmp_path / "said").write_text("".join(f"[GNUPG:] {line}\n" for line in lines))
        (tmp_path / "gpg").write_text(f"#!/bin/sh\ncat {tmp_path}/said\n")
        (tmp_path / "gpg").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        assert not signed_by.evaluate(untrusted(signatures["ed25519"])).accepted

    def test_gpg_hangs(self, signatures, keyring, monkeypatch, tmp_path):
        keys = keyring("ed25519")
        (tmp_path / "gpg").write_text("#!/bin/sh\nexec sleep 600\n")
        (tmp_path / "gpg").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        monkeypatch.setattr("transship_openpgp.gnupg.TIMEOUT", 0.2)
        start = time.monotonic()
        verdict = requirement(keyPath=keys).evaluate(untrusted(signatures["ed25519"]))
        assert "no answer within" in verdict.reason
        assert time.monotonic() - start < 5
