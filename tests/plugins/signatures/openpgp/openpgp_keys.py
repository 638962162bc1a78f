"""A GnuPG to make keys and signatures with, and images to sign."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from transship.image.digest import digest_of
from transship.image.reference import DockerReference
from transship.plugin.mechanism import UntrustedImage
from transship.plugin.signature import SIMPLE_SIGNING, Signature
from transship.plugin.signed_payload import make_payload
from transship.plugin.transport import Reference
from transship.testing.images import oci_image
from transship_openpgp.mechanism import OpenPgp

NAME = "registry.example.com/team/app:1.0"
IMAGE = oci_image()
PAST, BEFORE_EXPIRY, EXPIRY = "20200101T000000!", "20200110T000000!", "20200201T000000"
PASSPHRASE = b"correct horse"


@dataclass(frozen=True)
class Gnupg:
    """The folder of one GnuPG. ``earlier``: signatures made before some keys were revoked or changed."""

    home: Path
    earlier: dict[str, bytes] = field(default_factory=dict)

    def run(self, *arguments, data=b"", check=True) -> bytes:
        done = subprocess.run(
            ["gpg", "--homedir", self.home, "--batch", "--no-tty", *arguments],
            input=data,
            capture_output=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
        assert not check or done.returncode == 0, done.stderr.decode()
        return done.stdout

    def generate(self, name, algorithm="ed25519", usage="sign", expiry="never", *, passphrase="", clock=(), says=""):
        options = [*clock, "--pinentry-mode=loopback", "--passphrase", passphrase, "--allow-freeform-uid"]
        self.run(*options, "--quick-gen-key", f"{name}{says} <{name}@example.com>", algorithm, usage, expiry)

    def add_subkey(self, name, algorithm="ed25519", expiry="never", *, clock=()):
        options = [*clock, "--pinentry-mode=loopback", "--passphrase", ""]
        self.run(*options, "--quick-add-key", self.fingerprint(name), algorithm, "sign", expiry)

    def fingerprints(self, name) -> list[str]:
        """Of the primary key, then of its subkeys."""
        selector = name if " " in name else f"<{name}@example.com>"
        listing = self.run("--with-colons", "--with-subkey-fingerprint", "-k", selector).decode()
        return [line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:")]

    def fingerprint(self, name) -> str:
        return self.fingerprints(name)[0]

    def revoke(self, name):
        certificate = self.home / "openpgp-revocs.d" / f"{self.fingerprint(name)}.rev"
        self.run("--import", data=certificate.read_bytes().replace(b":-----", b"-----"))

    def export(self, *names, options=()) -> bytes:
        return self.run(*options, "--export", *(f"<{name}@example.com>" for name in names))

    def sign(self, content, name, *options) -> bytes:
        """The content signed with gpg itself, by the newest key of ``name``."""
        return self.run(*options, "--local-user", f"<{name}@example.com>", "--sign", data=content)

    def edit(self, name, *commands):
        options = ("--command-fd=0", "--pinentry-mode=loopback", "--edit-key", f"{name}@example.com")
        self.run(*options, data="".join(f"{command}\n" for command in commands).encode())

    def close(self):
        subprocess.run(["gpgconf", "--homedir", self.home, "--kill", "all"], check=False, capture_output=True)
        shutil.rmtree(self.home, ignore_errors=True)


def new_gnupg() -> Gnupg:
    return Gnupg(Path(tempfile.mkdtemp(prefix="gnupg-", dir="/tmp")))


def generate_all(people: Gnupg) -> None:
    people.generate("rsa", "rsa2048")
    people.generate("ed25519")
    people.generate("nistp256", "nistp256")
    people.generate("other")
    people.generate("attacker")
    people.generate("passphrase", passphrase=PASSPHRASE.decode())
    people.generate("key-revoked")
    people.generate("certifier")
    past = ("--faked-system-time", PAST)
    people.generate("old", clock=past)
    people.generate("key-expired", expiry=EXPIRY, clock=past)
    people.generate("liar", expiry=EXPIRY, clock=past, says=status_lines(people.fingerprint("ed25519")))
    for name, algorithm in (("subkey", "ed25519"), ("rsa-subkey", "rsa2048"), ("subkey-revoked", "ed25519")):
        people.generate(name, usage="cert")
        people.add_subkey(name, algorithm)
    people.generate("subkey-expired", usage="cert", clock=past)
    people.add_subkey("subkey-expired", expiry=EXPIRY, clock=past)


def status_lines(fingerprint: str) -> str:
    """What gpg would say of a good signature by that key, on lines of their own."""
    return (
        f"\n[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG {fingerprint[-16:]} x\n"
        f"[GNUPG:] VALIDSIG {fingerprint} 2024-01-01 1700000000 0 4 0 22 8 00 {fingerprint}\n"
    )


def payload(reference=NAME, digest=None) -> bytes:
    return make_payload("atomic container signature", reference, digest or digest_of(IMAGE.manifest), timestamp=1)


def untrusted(*signatures: bytes, name=NAME, manifest=IMAGE.manifest, kind=SIMPLE_SIGNING) -> UntrustedImage:
    """The image as a registry offers it, with signatures."""
    named = DockerReference.parse(name) if name else None
    reference = Reference(transport="docker" if name else "dir", text=f"//{name}" if name else "/x", named=named)
    return UntrustedImage(reference, manifest, IMAGE.media_type, lambda: [Signature(kind, s) for s in signatures])


def requirement(**members):
    return OpenPgp().parse_requirement("signedBy", {"keyType": "GPGKeys", **members})


def packet(tag: int, body: bytes) -> bytes:
    """A packet in the new format, its length in five bytes."""
    return bytes([0xC0 | tag, 0xFF]) + len(body).to_bytes(4) + body


def literal(content: bytes, file_name: bytes = b"") -> bytes:
    return packet(11, b"b" + bytes([len(file_name)]) + file_name + bytes(4) + content)


@dataclass(frozen=True)
class Parts:
    """The packets of a signed message that was not compressed, each as it stood there."""

    one_pass: bytes
    literal: bytes
    signature: bytes

    @classmethod
    def of(cls, message: bytes, content: bytes) -> Parts:
        """Cut where the content ends; gpg wrote the first packet with a length of one byte."""
        first = 2 + message[1]
        end = message.index(content) + len(content)
        return cls(message[:first], message[first:end], message[end:])
