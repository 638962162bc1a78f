"""``signedBy``: how it is written, and whose signatures it takes."""

from __future__ import annotations

import base64
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from openpgp_keys import NAME, payload, requirement, untrusted

from transship.errors import PolicyError
from transship.testing.images import schema2_image

KEYS = "a2V5cw=="
ACCEPTED = ("rsa", "ed25519", "nistp256", "passphrase", "subkey", "rsa-subkey")
REFUSED = ("key-revoked", "subkey-revoked", "key-expired", "subkey-expired")


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_signature_of_a_key_in_the_keyring_is_accepted(name, keyring, signatures, gnupg):
    verdict = requirement(keyPath=keyring(name)).evaluate(untrusted(signatures[name]))
    assert verdict.accepted, verdict.reason
    (signature,) = verdict.signatures
    assert (signature.signer, signature.identity) == (gnupg.fingerprint(name), NAME)


@pytest.mark.parametrize("name", REFUSED)
def test_a_key_that_ended_vouches_for_nothing_it_ever_signed(name, keyring, signatures):
    verdict = requirement(keyPath=keyring(name)).evaluate(untrusted(signatures[name]))
    assert not verdict.accepted
    assert "expired" in verdict.reason or "revoked" in verdict.reason


def test_keys_may_be_armored_or_in_the_policy_or_in_several_files(keyring, signatures, gnupg):
    armored = gnupg.export("ed25519", options=["--armor"])
    image = untrusted(signatures["ed25519"])
    assert requirement(keyPath=keyring(data=armored)).evaluate(image).accepted
    assert requirement(keyData=base64.b64encode(armored).decode()).evaluate(image).accepted
    paths = [keyring("rsa", file="a"), keyring("ed25519", file="b")]
    assert requirement(keyPaths=paths).evaluate(image).accepted
    assert requirement(keyPath=keyring("rsa", "ed25519", "other")).evaluate(image).accepted


def test_reasons_come_in_the_order_of_the_signatures(keyring, signatures, gnupg):
    other = gnupg.sign(payload(digest=schema2_image().digest), "ed25519")
    verdict = requirement(keyPath=keyring("ed25519")).evaluate(untrusted(signatures["attacker"], other))
    assert verdict.reason.startswith("None of the signatures were accepted, reasons: Invalid GPG signature: No public")
    assert verdict.reason.endswith(f"; Signature for digest {schema2_image().digest} does not match")


def test_the_digest_is_judged_before_the_name(keyring, gnupg):
    wrong = gnupg.sign(payload("example.com/other:2", schema2_image().digest), "ed25519")
    verdict = requirement(keyPath=keyring("ed25519")).evaluate(untrusted(wrong))
    assert "Signature for digest" in verdict.reason
    (signature,) = verdict.signatures
    assert (signature.signer, signature.identity) == (gnupg.fingerprint("ed25519"), "example.com/other:2")


def test_key_that_was_not_imported_vouches_for_nothing(keyring, signatures):
    """GnuPG has no other keys to check with; should it ever find some, they do not count."""
    signed_by, image = requirement(keyPath=keyring("ed25519")), untrusted(signatures["ed25519"])
    assert signed_by.evaluate(image).accepted
    cache = signed_by._cache
    cache.keyring = replace(cache.keyring, fingerprints=frozenset({"0" * 40}))
    verdict = signed_by.evaluate(image)
    assert not verdict.accepted
    assert verdict.signatures[0].identity == ""


@pytest.mark.parametrize("content", [b"", b"{}", payload().replace(b"atomic", b"cosign")])
def test_a_good_signature_of_something_else_names_no_image(content, keyring, gnupg):
    verdict = requirement(keyPath=keyring("ed25519")).evaluate(untrusted(gnupg.sign(content, "ed25519")))
    assert not verdict.accepted
    (signature,) = verdict.signatures
    assert (signature.signer, signature.identity) == (gnupg.fingerprint("ed25519"), "")


@pytest.mark.parametrize("name", ["missing", "", "a\0b", "file/below"])
def test_keys_that_cannot_be_read_refuse_and_are_named(name, tmp_path, signatures):
    (tmp_path / "file").touch()
    path = f"{tmp_path}/{name}"
    verdict = requirement(keyPath=path).evaluate(untrusted(signatures["ed25519"]))
    assert not verdict.accepted
    assert verdict.reason.startswith(f"open {path}")


@pytest.mark.parametrize("key_type", ["signedByGPGKeys", "X509Certificates", "signedByX509CAs"])
def test_other_types_of_keys_are_known_and_refuse_every_signature(key_type, signatures):
    signed_by = requirement(keyType=key_type, keyData=KEYS)
    assert signed_by.evaluate(untrusted()).reason == "A signature was required, but no signature exists"
    verdict = signed_by.evaluate(untrusted(signatures["ed25519"]))
    assert not verdict.accepted
    assert verdict.reason == f'Unimplemented "keyType" value "{key_type}"'


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"keyType": "KEYS", "keyData": KEYS}, 'Unrecognized keyType value "KEYS"'),
        ({"keyType": "", "keyData": KEYS}, 'invalid keyType ""'),
        ({"keyType": 1, "keyData": KEYS}, '"keyType" must be a string'),
        ({}, "Exactly one of keyPath, keyPaths and keyData must be specified, none of them present"),
        ({"keyPath": "a", "keyData": KEYS}, "specified, more than one present"),
        ({"keyPath": "a", "keyPaths": ["a"]}, "specified, more than one present"),
        ({"keyPath": ""}, "keyPath"),
        ({"keyPath": None}, "keyPath"),
        ({"keyPath": ["a"]}, "keyPath"),
        ({"keyPaths": []}, "keyPaths"),
        ({"keyPaths": "a"}, "keyPaths"),
        ({"keyPaths": [""]}, "keyPaths"),
        ({"keyPaths": ["a", 1]}, "keyPaths"),
        ({"keyData": ""}, "keyData"),
        ({"keyData": "%%%"}, "keyData"),
        ({"keyDatas": [KEYS]}, "none of them present"),
        ({"keyData": KEYS, "keydata": KEYS}, 'Unknown key "keydata"'),
        ({"keyData": KEYS, "signedIdentity": {"type": "matchAnything"}}, "matchAnything"),
        ({"keyData": KEYS, "signedIdentity": None}, "signedIdentity"),
    ],
)
def test_a_wrong_requirement_is_an_error(members, message):
    with pytest.raises(PolicyError, match=message.replace("(", r"\(")):
        requirement(**members)


def test_keys_are_read_when_an_image_is_judged_and_what_changes_counts_at_once(keyring, signatures):
    path = keyring("other")
    signed_by = requirement(keyPath=path)
    image = untrusted(signatures["ed25519"])
    assert not signed_by.evaluate(image).accepted
    keyring("ed25519")
    assert signed_by.evaluate(image).accepted
    os.unlink(path)
    assert not signed_by.evaluate(image).accepted


@pytest.fixture
def gpg_runs(tmp_path, monkeypatch):
    """The command lines of all runs of gpg."""
    log = tmp_path / "runs"
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "gpg"
    program.write_text(f'#!/bin/sh\nPATH="${{PATH#*:}}"\necho "$*" >> {log}\nexec gpg "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return lambda: log.read_text().splitlines()


def test_threads_share_one_import_of_the_keyring(keyring, signatures, gpg_runs):
    signed_by = requirement(keyPath=keyring("rsa", "ed25519"))
    images = [untrusted(signatures[name]) for name in ("rsa", "ed25519", "attacker")] * 10
    with ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(signed_by.evaluate, images))
    assert [verdict.accepted for verdict in verdicts] == [True, True, False] * 10
    assert sum("--import" in run for run in gpg_runs()) == 1
    assert sum("--verify" in run for run in gpg_runs()) == len(images)


def test_folders_are_private_and_gone_afterwards(keyring, signatures, tmp_path, monkeypatch):
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    modes = []
    real = os.mkdir

    def mkdir(path, mode=0o777, **options):
        real(path, mode, **options)
        modes.append(stat.S_IMODE(os.stat(path).st_mode))

    monkeypatch.setattr(os, "mkdir", mkdir)
    signed_by = requirement(keyPath=keyring("ed25519"))
    assert signed_by.evaluate(untrusted(signatures["ed25519"])).accepted
    assert not signed_by.evaluate(untrusted(b"\x90rubbish", signatures["attacker"])).accepted
    assert len(modes) >= 3
    assert set(modes) == {0o700}
    assert list(place.iterdir()) == []
