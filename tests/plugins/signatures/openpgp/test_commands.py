"""standalone-sign, standalone-verify and untrusted-signature-dump-without-verification, as their users see them."""

from __future__ import annotations

import json
import os
import stat

import pytest
from openpgp_keys import IMAGE, NAME, PASSPHRASE, payload

from transship import __version__
from transship.image.digest import digest_of
from transship.plugin.signed_payload import make_payload
from transship.testing.images import schema1_image, schema2_image

DIGEST = digest_of(IMAGE.manifest)


@pytest.fixture
def run(transship_cli):
    """As it is called here."""
    return transship_cli


@pytest.fixture(autouse=True)
def folder(gnupg, signatures, monkeypatch, tmp_path):
    """The current folder, with a manifest and signatures in it; the user is the one who has all the keys."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GNUPGHOME", str(gnupg.home))
    (tmp_path / "manifest.json").write_bytes(IMAGE.manifest)
    (tmp_path / "keys.gpg").write_bytes(gnupg.export("ed25519", "subkey"))
    for name, signature in signatures.items():
        (tmp_path / name).write_bytes(signature)
    return tmp_path


class TestSign:
    def test_what_is_signed_verifies(self, run, gnupg, folder):
        fingerprint = gnupg.fingerprint("ed25519")
        signed = run("standalone-sign", "manifest.json", NAME, fingerprint, "-o", "signature")
        assert (signed.code, signed.out, signed.err, signed.files) == (0, "", "", ("signature",))
        shown = run("standalone-verify", "manifest.json", NAME, fingerprint, "signature")
        assert shown.out == f"Signature verified using fingerprint {fingerprint}, digest {DIGEST}\n"
        assert stat.S_IMODE((folder / "signature").stat().st_mode) == 0o644

    def test_the_first_line_of_a_file_is_the_passphrase(self, run, folder):
        (folder / "passphrase-file").write_bytes(PASSPHRASE + b"\nnot this\n")
        arguments = ("manifest.json", NAME, "<passphrase@example.com>", "--output=signature")
        assert run("standalone-sign", *arguments, "--passphrase-file", "passphrase-file").code == 0

    def test_the_reference_is_signed_as_it_stands(self, run):
        run("standalone-sign", "manifest.json", "busybox", "<ed25519@example.com>", "-o", "signature")
        shown = run("untrusted-signature-dump-without-verification", "signature")
        assert json.loads(shown.out)["UntrustedDockerReference"] == "busybox"

    def test_a_signed_schema1_manifest_is_known_by_its_payload(self, run, folder):
        image = schema1_image()
        (folder / "old.json").write_bytes(image.manifest)
        run("standalone-sign", "old.json", NAME, "<ed25519@example.com>", "-o", "signature")
        shown = run("untrusted-signature-dump-without-verification", "signature")
        assert json.loads(shown.out)["UntrustedDockerManifestDigest"] == str(image.digest)
        assert run("standalone-verify", "old.json", NAME, "any", "signature", "--public-key-file", "keys.gpg").code == 0

    def test_the_signature_may_go_to_a_pipe(self, run, folder):
        os.mkfifo(folder / "fifo")
        reader = os.open(folder / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        try:
            assert run("standalone-sign", "manifest.json", NAME, "<ed25519@example.com>", "-o", "fifo").code == 0
            assert os.read(reader, 1)
        finally:
            os.close(reader)
        assert stat.S_ISFIFO((folder / "fifo").stat().st_mode)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ("", "Usage: transship standalone-sign manifest docker-reference key-fingerprint -o signature"),
            ("manifest.json name KEY", "Usage: transship standalone-sign manifest docker-reference"),
            ("manifest.json name -o x", "Usage: transship standalone-sign manifest docker-reference"),
            ("nope name KEY -o x", "Error reading nope: open nope: no such file or directory"),
            ("manifest.json name nobody -o x", 'Error creating signature: no secret key "nobody"'),
            ("manifest.json name KEY -o no/x", "Error writing signature to no/x: open no/x: no such file or directory"),
            ("manifest.json name KEY -o .", "Error writing signature to .: open .: is a directory"),
            ("manifest.json name KEY -o x --passphrase-file nope", "open nope: no such file or directory"),
            ("/dev/zero name KEY -o x", "Error reading /dev/zero: exceeded maximum allowed size"),
            ("manifest.json name KEY -o x --armor", "unknown flag: --armor"),
        ],
    )
    def test_what_is_wrong_is_told(self, run, arguments, message, folder):
        shown = run("standalone-sign", *arguments.replace("KEY", "<ed25519@example.com>").split())
        assert shown.code == 1
        assert message in shown.fatal
        assert not (folder / "x").exists()

    def test_an_image_without_a_name_is_not_signed(self, run, folder):
        shown = run("standalone-sign", "manifest.json", "", "<ed25519@example.com>", "-o", "x")
        assert (shown.code, (folder / "x").exists()) == (1, False)


class TestVerify:
    @pytest.mark.parametrize("name", ["ed25519", "subkey", "rsa"])
    def test_either_fingerprint_is_enough(self, run, gnupg, name):
        for fingerprint in {gnupg.fingerprints(name)[0], gnupg.fingerprints(name)[-1]}:
            trusted = f"{gnupg.fingerprint('other')},{fingerprint.lower()}"
            shown = run("standalone-verify", "manifest.json", NAME, trusted, name)
            assert shown.out == f"Signature verified using fingerprint {fingerprint}, digest {DIGEST}\n"

    def test_references_are_compared_in_full(self, run, gnupg, folder):
        fingerprint = gnupg.fingerprint("ed25519")
        (folder / "short").write_bytes(gnupg.sign(payload("busybox:1"), "ed25519"))
        assert run("standalone-verify", "manifest.json", "docker.io/library/busybox:1", fingerprint, "short").code == 0

    def test_any_key_of_a_file_is_trusted(self, run, gnupg, monkeypatch, tmp_path):
        monkeypatch.setenv("GNUPGHOME", str(tmp_path / "nowhere"))
        arguments = ("standalone-verify", "manifest.json", NAME, "any")
        shown = run(*arguments, "ed25519", "--public-key-file", "keys.gpg")
        assert shown.out.split()[4] == f"{gnupg.fingerprint('ed25519')},"
        shown = run(*arguments, "other", "--public-key-file=keys.gpg")
        assert shown.fatal.startswith("Error verifying signature: Invalid GPG signature: No public key")
        assert not (tmp_path / "nowhere").exists()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ("", "Usage: transship standalone-verify manifest docker-reference key-fingerprint signature"),
            ("manifest.json NAME any ed25519", "Cannot use any fingerprint without a public key file"),
            ("nope NAME KEY ed25519", "Error reading manifest from nope: open nope: no such file or directory"),
            ("manifest.json NAME KEY nope", "Error reading signature from nope: open nope: no such file or directory"),
            ("manifest.json NAME KEY other", "Error verifying signature: Signature by OTHER does not match expected "),
            (
                "manifest.json NAME any,KEY other",
                "Error verifying signature: Signature by OTHER does not match expected",
            ),
            (
                "manifest.json NAME KEY,FFFF other",
                "Error verifying signature: Signature by OTHER does not match expected",
            ),
            (
                "manifest.json example.com/app:2 KEY ed25519",
                f'Error verifying signature: Docker reference "{NAME}" does not match "example.com/app:2"',
            ),
            (
                "manifest.json registry.example.com/team/app KEY ed25519",
                f'Error verifying signature: Docker reference "{NAME}" does not match "registry.example.com/team/app"',
            ),
            (
                "other.json NAME KEY ed25519",
                f'Error verifying signature: Signature for docker digest "{DIGEST}" does not match',
            ),
            ("manifest.json Not:A:Reference KEY ed25519", "Error verifying signature: invalid reference format"),
            ("manifest.json NAME KEY manifest.json", "Error verifying signature: Invalid GPG signature: not a binary"),
            (
                "manifest.json NAME KEY key-revoked",
                "Error verifying signature: Invalid GPG signature: the key is revoked",
            ),
            (
                "manifest.json NAME KEY ed25519 --public-key-file nope",
                "Error reading public keys from nope: open nope: ",
            ),
            (
                "manifest.json NAME KEY ed25519 --public-key-file manifest.json",
                "Error initializing GPG: No public keys",
            ),
        ],
    )
    def test_what_is_wrong_is_told(self, run, gnupg, folder, arguments, message):
        (folder / "other.json").write_bytes(schema2_image().manifest)
        words = {"NAME": NAME, "KEY": gnupg.fingerprint("ed25519"), "OTHER": gnupg.fingerprint("other")}
        for word, meant in words.items():
            arguments, message = arguments.replace(word, meant), message.replace(word, meant)
        shown = run("standalone-verify", *arguments.split())
        assert (shown.code, shown.out) == (1, "")
        assert shown.fatal.startswith(message)

    def test_a_user_without_gnupg_has_no_keys_and_gets_no_folder(self, run, gnupg, monkeypatch, tmp_path):
        monkeypatch.setenv("GNUPGHOME", str(tmp_path / "nowhere"))
        shown = run("standalone-verify", "manifest.json", NAME, gnupg.fingerprint("ed25519"), "ed25519")
        assert "No public key" in shown.fatal
        assert not (tmp_path / "nowhere").exists()


class TestDump:
    def test_all_claims_are_shown(self, run, gnupg, folder, monkeypatch):
        monkeypatch.setenv("TZ", "UTC")
        content = make_payload("atomic container signature", NAME, DIGEST, timestamp=1_700_000_000)
        (folder / "claims").write_bytes(gnupg.sign(content, "attacker"))
        shown = run("untrusted-signature-dump-without-verification", "claims")
        assert json.loads(shown.out) == {
            "UntrustedDockerManifestDigest": str(DIGEST),
            "UntrustedDockerReference": NAME,
            "UntrustedCreatorID": f"transship {__version__}",
            "UntrustedTimestamp": "2023-11-14T22:13:20Z",
            "UntrustedShortKeyIdentifier": gnupg.fingerprint("attacker")[-16:],
        }

    def test_what_is_not_said_is_null(self, run, gnupg, folder):
        document = json.loads(payload())
        document["optional"] = {}
        (folder / "claims").write_bytes(gnupg.sign(json.dumps(document).encode(), "ed25519"))
        shown = json.loads(run("untrusted-signature-dump-without-verification", "claims").out)
        assert (shown["UntrustedCreatorID"], shown["UntrustedTimestamp"]) == (None, None)

    def test_nothing_steers_a_terminal(self, run, gnupg, folder):
        document = json.loads(payload())
        document["optional"]["creator"] = "\x1b[31m\x9b31m\x7f"
        (folder / "claims").write_bytes(gnupg.sign(json.dumps(document).encode(), "ed25519"))
        shown = run("untrusted-signature-dump-without-verification", "claims").out
        assert not set(shown) & set("\x1b\x9b\x7f")
        assert json.loads(shown)["UntrustedCreatorID"] == "\x1b[31m\x9b31m\x7f"

    def test_gpg_is_not_needed(self, run, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        assert run("untrusted-signature-dump-without-verification", "ed25519").code == 0

    @pytest.mark.parametrize(
        ("argument", "message"),
        [
            ("", "Usage: transship untrusted-signature-dump-without-verification signature"),
            ("nope", "Error reading untrusted signature from nope: open nope: no such file or directory"),
            ("manifest.json", "Error decoding untrusted signature: "),
            ("far", "Error decoding untrusted signature: Field optional.timestamp"),
        ],
    )
    def test_what_is_wrong_is_told(self, run, gnupg, folder, argument, message):
        far = payload().replace(b'"timestamp":1', b'"timestamp":' + b"9" * 30)
        (folder / "far").write_bytes(gnupg.sign(far, "ed25519"))
        shown = run("untrusted-signature-dump-without-verification", *argument.split())
        assert shown.code == 1
        assert shown.fatal.startswith(message)

    def test_the_command_is_hidden(self, run):
        shown = run("--help").out
        assert "standalone-verify" in shown
        assert "untrusted" not in shown
