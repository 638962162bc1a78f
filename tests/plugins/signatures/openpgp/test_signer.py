"""Signing with the user's GnuPG."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from openpgp_keys import EXPIRY, IMAGE, NAME, PASSPHRASE, PAST, requirement, untrusted

from transship.errors import SignatureError
from transship.image.digest import digest_of
from transship.image.reference import DockerReference
from transship.plugin.mechanism import SigningRequest
from transship_openpgp.mechanism import OpenPgp
from transship_openpgp.message import parse_message

DIGEST = digest_of(IMAGE.manifest)


def no_prompt(text):
    raise AssertionError(text)


def open_signer(key, passphrase=None, method="gpg"):
    return OpenPgp().open_signer(SigningRequest(method, key, passphrase, no_prompt))


def sign(key, passphrase=None, name=NAME):
    signer = open_signer(key, passphrase)
    try:
        return signer.sign(IMAGE.manifest, DIGEST, DockerReference.parse(name)).payload
    finally:
        signer.close()


@pytest.fixture(autouse=True)
def _home(gnupg, signatures, monkeypatch):
    monkeypatch.setenv("GNUPGHOME", str(gnupg.home))


def forget_passphrases(gnupg):
    subprocess.run(["gpgconf", "--homedir", gnupg.home, "--reload", "gpg-agent"], check=True)


@pytest.mark.parametrize("name", ["rsa", "ed25519", "nistp256", "subkey", "rsa-subkey"])
def test_what_is_signed_is_accepted(name, keyring):
    verdict = requirement(keyPath=keyring(name)).evaluate(untrusted(sign(f"<{name}@example.com>")))
    assert verdict.accepted, verdict.reason


def test_a_key_is_selected_as_gnupg_selects_it(gnupg):
    primary, subkey = gnupg.fingerprints("subkey")
    selectors = [
        primary,
        "0x" + primary,
        primary[-16:],
        primary.lower(),
        "<subkey@example.com>",
        "=subkey <subkey@example.com>",
    ]
    for selector in [*selectors, subkey, f"{subkey}!"]:
        assert subkey.endswith(parse_message(sign(selector)).key_id), selector


def test_an_empty_passphrase_is_none():
    assert sign("ed25519@example.com", b"")


def test_a_passphrase_opens_a_key(gnupg, keyring):
    forget_passphrases(gnupg)
    signature = sign("passphrase@example.com", PASSPHRASE)
    assert requirement(keyPath=keyring("passphrase")).evaluate(untrusted(signature)).accepted


def test_a_wrong_passphrase_is_an_error_that_does_not_tell_it(gnupg):
    forget_passphrases(gnupg)
    with pytest.raises(SignatureError, match="Bad passphrase") as caught:
        sign("passphrase@example.com", b"battery staple")
    assert "battery" not in str(caught.value)


def test_without_a_passphrase_the_agent_is_asked_and_says_why_not(gnupg, monkeypatch, tmp_path):
    forget_passphrases(gnupg)
    program = tmp_path / "pinentry"
    program.write_text(
        "#!/bin/sh\necho OK\nwhile read line\n"
        'do case "$line" in GETPIN*) echo "ERR 83886179 cancelled";; *) echo OK;; esac; done\n'
    )
    program.chmod(0o755)
    settings = gnupg.home / "gpg-agent.conf"
    settings.write_text(f"pinentry-program {program}\n")
    try:
        forget_passphrases(gnupg)
        with pytest.raises(SignatureError, match="the passphrase was not given"):
            sign("passphrase@example.com")
        program.write_text(program.read_text().replace("ERR 83886179 cancelled", f'D {PASSPHRASE.decode()}"; echo "OK'))
        assert sign("passphrase@example.com")
        program.unlink()
        forget_passphrases(gnupg)
        with pytest.raises(SignatureError, match="cannot ask for its passphrase here"):
            sign("passphrase@example.com")
    finally:
        settings.unlink()
        forget_passphrases(gnupg)


def test_a_passphrase_of_several_lines_is_refused():
    with pytest.raises(SignatureError, match="invalid passphrase: must not contain a line break"):
        open_signer("ed25519@example.com", b"one\ntwo")


def test_the_passphrase_is_on_no_command_line(gnupg, tmp_path, monkeypatch):
    log = tmp_path / "runs"
    program = tmp_path / "gpg"
    program.write_text(f'#!/bin/sh\nPATH="${{PATH#*:}}"\n(echo "$*"; env) >> {log}\nexec gpg "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    sign("passphrase@example.com", PASSPHRASE)
    assert "--sign" in log.read_text()
    assert PASSPHRASE.decode() not in log.read_text()


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("nobody@example.com", 'no secret key "nobody@example.com"'),
        ("", "no key to sign with"),
        ("example.com", "stands for several secret keys"),
        ("--version", 'no secret key "--version"'),
        ("<key-expired@example.com>", "key <key-expired@example.com> cannot sign: it has expired"),
        ("<key-revoked@example.com>", "key <key-revoked@example.com> cannot sign: it is revoked"),
        ("<subkey-expired@example.com>", "key <subkey-expired@example.com> cannot sign"),
        ("certifier@example.com", "key certifier@example.com cannot sign: it is not made for that"),
    ],
)
def test_a_key_that_cannot_sign_is_an_error(key, message):
    with pytest.raises(SignatureError) as caught:
        sign(key)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_public_key_cannot_sign(gnupg, tmp_path_factory, monkeypatch):
    home = tmp_path_factory.mktemp("h", numbered=True)
    home.chmod(0o700)
    monkeypatch.setenv("GNUPGHOME", str(home))
    subprocess.run(
        ["gpg", "--batch", "--quiet", "--no-autostart", "--import"], input=gnupg.export("ed25519"), check=True
    )
    try:
        with pytest.raises(SignatureError, match="no secret key"):
            sign("ed25519@example.com")
    finally:
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)


def test_gpg_is_not_installed(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SignatureError, match="gpg is not on PATH"):
        open_signer("ed25519@example.com")


@pytest.mark.parametrize(
    "settings", ["armor", "textmode", "compress-algo bzip2", "digest-algo SHA512", "charset latin1"]
)
def test_settings_of_the_user_change_nothing_that_counts(settings, gnupg, keyring):
    path = gnupg.home / "gpg.conf"
    path.write_text(settings + "\n")
    try:
        signature = sign("rsa@example.com")
    finally:
        path.unlink()
    assert requirement(keyPath=keyring("rsa")).evaluate(untrusted(signature)).accepted


def test_settings_that_make_something_else_of_it_are_noticed(gnupg):
    path = gnupg.home / "gpg.conf"
    path.write_text("local-user other@example.com\n")
    try:
        with pytest.raises(SignatureError, match=r"look at its gpg\.conf"):
            sign("rsa@example.com")
    finally:
        path.unlink()


def test_a_reference_without_tag_and_digest_is_refused():
    with pytest.raises(SignatureError, match="neither a tag nor a digest"):
        sign("ed25519@example.com", name="registry.example.com/team/app")


def test_a_request_shows_no_passphrase():
    assert "correct" not in repr(SigningRequest("gpg", "key", PASSPHRASE, no_prompt))


def test_nothing_of_it_is_imported_until_it_is_needed():
    code = "import sys, transship_openpgp.mechanism, transship_openpgp.commands; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    ours = {name for name in modules if name.startswith("transship_openpgp.")}
    assert ours == {"transship_openpgp.mechanism", "transship_openpgp.commands"}


def test_an_expired_key_does_not_stand_in_the_way_of_its_successor(gnupg):
    gnupg.generate("again", expiry=EXPIRY, clock=("--faked-system-time", PAST))
    gnupg.generate("again", says=" II")
    assert parse_message(sign("<again@example.com>")).key_id == gnupg.fingerprint("again II")[-16:]
