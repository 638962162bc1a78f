"""Both ways with skopeo: what one signs the other accepts, and what one refuses the other does."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import peers
import pytest
from openpgp_attacks import ATTACKS, TRUSTED
from openpgp_keys import IMAGE, NAME, PASSPHRASE, payload, requirement, untrusted

from transship.errors import TransshipError
from transship.image.digest import digest_of
from transship.plugin.signature import SIMPLE_SIGNING, Signature
from transship.testing.writers import write_dir

pytestmark = pytest.mark.interop

TRANSSHIP = [sys.executable, "-m", "transship"]
SIGNERS = ("rsa", "ed25519", "nistp256", "subkey", "rsa-subkey", "passphrase")
ENDED = ("key-revoked", "subkey-revoked", "key-expired", "subkey-expired")

# Older releases of Skopeo compare the key that signed with primary keys only.
UNKNOWN_TO_OLD_RELEASES = ("subkey", "rsa-subkey")

# What is no simple signature (containers-signature(5)), or too big, or not quite JSON.
ONLY_SKOPEO_ACCEPTS = (
    "bomb_in_the_text",
    "compressed_twice",
    "says_not_utf8",
    "trailing_bytes_after_compression",
    "trailing_packet",
)


def run(*command, check=True):
    done = subprocess.run([str(part) for part in command], check=False, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.fixture(autouse=True)
def folder(gnupg, signatures, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GNUPGHOME", str(gnupg.home))
    write_dir(IMAGE, tmp_path / "image")
    (tmp_path / "passphrase-file").write_bytes(PASSPHRASE + b"\n")
    return tmp_path


def policy(folder, keys, identity=NAME):
    rule = {"type": "exactReference", "dockerReference": identity}
    signed_by = {"type": "signedBy", "keyType": "GPGKeys", "keyPath": keys, "signedIdentity": rule}
    (folder / "policy.json").write_text(json.dumps({"default": [signed_by]}))
    return folder / "policy.json"


def skopeo_copies(folder, keys, signature):
    """Whether skopeo accepts the image with that signature, and what it says."""
    (folder / "image" / "signature-1").write_bytes(signature)
    command = (peers.SKOPEO, "--policy", policy(folder, keys), "copy", "-q", "dir:image", "dir:copied")
    done = run(*command, check=False)
    return done.returncode == 0, done.stderr


def make_signature(program, name):
    options = ["--passphrase-file", "passphrase-file"] if name == "passphrase" else []
    manifest = "image/manifest.json"
    run(*program, "standalone-sign", *options, manifest, NAME, f"<{name}@example.com>", "-o", "made")
    with open("made", "rb") as file:
        return file.read()


@pytest.mark.parametrize("name", SIGNERS)
def test_skopeo_accepts_what_we_sign(name, folder, gnupg, keyring):
    signature = make_signature(TRANSSHIP, name)
    fingerprint = gnupg.fingerprints(name)[-1]
    shown = run(peers.SKOPEO, "standalone-verify", "image/manifest.json", NAME, fingerprint, "made")
    assert str(digest_of(IMAGE.manifest)) in shown.stdout
    accepted, message = skopeo_copies(folder, keyring(name), signature)
    assert accepted or (name in UNKNOWN_TO_OLD_RELEASES and f"key {fingerprint} is not accepted" in message)


@pytest.mark.parametrize("name", SIGNERS)
def test_we_accept_what_skopeo_signs(name, folder, gnupg, keyring):
    signature = make_signature([peers.SKOPEO], name)
    fingerprint = gnupg.fingerprints(name)[-1]
    shown = run(*TRANSSHIP, "standalone-verify", "image/manifest.json", NAME, fingerprint, "made")
    assert shown.stdout == f"Signature verified using fingerprint {fingerprint}, digest {digest_of(IMAGE.manifest)}\n"
    assert requirement(keyPath=keyring(name)).evaluate(untrusted(signature)).accepted


@pytest.mark.parametrize("name", ENDED)
def test_both_refuse_keys_that_ended(name, folder, gnupg, signatures, keyring):
    keys = keyring(name)
    assert not skopeo_copies(folder, keys, signatures[name])[0]
    assert not requirement(keyPath=keys).evaluate(untrusted(signatures[name])).accepted
    (folder / "made").write_bytes(signatures[name])
    arguments = ("standalone-verify", "image/manifest.json", NAME, gnupg.fingerprints(name)[-1], "made")
    assert [run(*program, *arguments, check=False).returncode for program in ([peers.SKOPEO], TRANSSHIP)] == [1, 1]


@pytest.mark.parametrize("attack", ONLY_SKOPEO_ACCEPTS)
def test_skopeo_accepts_some_signatures_that_we_refuse(attack, folder, gnupg, keyring):
    assert skopeo_copies(folder, keyring(*TRUSTED), ATTACKS[attack](gnupg))[0]


def test_skopeo_refuses_all_others_that_we_refuse(folder, gnupg, keyring):
    """So they are refused for what they are, not because they were made wrongly."""
    built = {attack: ATTACKS[attack](gnupg) for attack in ATTACKS.keys() - set(ONLY_SKOPEO_ACCEPTS)}
    readable = {attack: data for attack, data in built.items() if is_readable(data)}
    for number, data in enumerate(readable.values(), 1):
        (folder / "image" / f"signature-{number}").write_bytes(data)
    keys = policy(folder, keyring(*TRUSTED))
    done = run(peers.SKOPEO, "--policy", keys, "copy", "-q", "dir:image", "dir:copied", check=False)
    assert done.returncode == 1
    assert len(readable) > 50
    assert done.stderr.count("; ") >= len(readable) - 1


def is_readable(data):
    """Whether it can be told from the first byte that it is a simple signature."""
    try:
        return Signature.parse(data).format == SIMPLE_SIGNING
    except TransshipError:
        return False


@pytest.mark.parametrize(
    "options",
    [
        ["--digest-algo=SHA1"],
        ["--digest-algo=SHA512"],
        ["--compress-algo=none"],
        ["--compress-algo=zlib"],
        ["--compress-algo=bzip2"],
        ["--faked-system-time=20300101T000000"],
        ["--set-filename=name"],
        ["--sig-notation=a@example.com=b"],
        ["--textmode"],
    ],
)
def test_both_accept_any_way_in_which_gnupg_signs(options, folder, gnupg, keyring):
    signature = gnupg.sign(payload(), "rsa", *options)
    assert skopeo_copies(folder, keyring("rsa"), signature)[0]
    assert requirement(keyPath=keyring("rsa")).evaluate(untrusted(signature)).accepted


def test_claims_are_shown_as_skopeo_shows_them(folder, signatures):
    (folder / "made").write_bytes(signatures["rsa"])
    command = ("untrusted-signature-dump-without-verification", "made")
    for zone in ("UTC", "Asia/Kolkata"):
        os.environ["TZ"] = zone
        try:
            assert run(*TRANSSHIP, *command).stdout == run(peers.SKOPEO, *command).stdout
        finally:
            del os.environ["TZ"]
