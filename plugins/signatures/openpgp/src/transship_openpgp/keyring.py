"""Public keys, and the check that a message was signed with one of them.

GnuPG checks, as the other tools that read these signatures let it do: which algorithms are too weak, what an expired
or revoked key means, which key may sign. PySequoia was tried. It takes a signature of a key that has expired since, and
of a message with several signatures it shows the good ones only, so that nobody can insist on exactly one.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from transship.errors import SignatureError
from transship_openpgp.gnupg import ISOLATED, Outcome, run_gpg
from transship_openpgp.message import parse_message

_KEYBOX = "pubring.kbx"
_SECRET_KEYS_READ = 9  # the field of IMPORT_RES (doc/DETAILS of GnuPG)
_NO_PUBLIC_KEY = "9"  # the reason in ERRSIG (the same)
_KEY, _PRIMARY_KEY = 0, 9  # the fields of VALIDSIG (the same)
_REFUSALS = {
    "BADSIG": "bad signature",
    "EXPSIG": "the signature has expired",
    "EXPKEYSIG": "the key has expired",
    "REVKEYSIG": "the key is revoked",
    "NO_PUBKEY": "No public key",
    "ERRSIG": "it cannot be checked",
    "TRUST_NEVER": "the key is not trusted",
    "NODATA": "no OpenPGP data",
    "UNEXPECTED": "unexpected OpenPGP data",
    "ERROR": "GnuPG failed",
    "FAILURE": "GnuPG failed",
}


@dataclass(frozen=True, slots=True)
class GoodSignature:
    """A signature that holds. ``fingerprint`` is of the key that made it, ``primary`` of the key that this belongs to.

    ``content`` is the signed text. Both fingerprints are in upper case.
    """

    content: bytes
    fingerprint: str
    primary: str

    @property
    def signer(self) -> str:
        """The key in words: ``F``, or ``F of P``."""
        return self.fingerprint if self.fingerprint == self.primary else f"{self.fingerprint} of {self.primary}"


class Keys(Protocol):
    """Keys that signatures are checked with."""

    def verify(self, message: bytes) -> GoodSignature:
        """Check a message of any origin; raise ``SignatureError`` unless it has exactly one signature, a good one."""
        ...


class UserKeys:
    """The keys in the user's own GnuPG, without the user's options or trust."""

    def verify(self, message: bytes) -> GoodSignature:
        """See ``Keys``."""
        with private_folder() as folder:
            return _verified(message, folder, ())


@dataclass(frozen=True, slots=True)
class Keyring:
    """Keys of its own. ``fingerprints`` are those of the primary keys, in upper case; ``keybox`` is GnuPG's file."""

    fingerprints: frozenset[str]
    keybox: bytes

    def verify(self, message: bytes) -> GoodSignature:
        """See ``Keys``; threads may do so at the same time."""
        with private_folder() as folder:
            _write(os.path.join(folder, _KEYBOX), self.keybox)
            return _verified(message, folder, (f"--homedir={folder}",))


def import_keys(sources: Iterable[tuple[str, bytes]]) -> Keyring:
    """Read keyrings, binary or armored, each with the name that errors call it by.

    Raises ``SignatureError`` for one that holds no public key, or secret keys.
    """
    fingerprints: set[str] = set()
    with private_folder() as folder:
        for name, data in sources:
            outcome = run_gpg([*ISOLATED, f"--homedir={folder}", "--import"], data=data)
            if any(result[_SECRET_KEYS_READ:][:1] != ("0",) for result in outcome.all("IMPORT_RES")):
                raise SignatureError(f"{name} holds secret keys; export the public ones with gpg --export")
            imported = {result[-1].upper() for result in outcome.all("IMPORT_OK")}
            if not imported:
                raise SignatureError(f"No public keys imported from {name}")
            fingerprints |= imported
        try:
            with open(os.path.join(folder, _KEYBOX), "rb") as file:
                return Keyring(frozenset(fingerprints), file.read())
        except FileNotFoundError:  # a system-wide common.conf with use-keyboxd
            raise SignatureError("GnuPG is configured to keep public keys in keyboxd, not in files") from None


def private_folder() -> tempfile.TemporaryDirectory[str]:
    """A new folder that nobody else may enter, gone at the end of a ``with``."""
    return tempfile.TemporaryDirectory(prefix="transship-gpg-", ignore_cleanup_errors=True)


def _verified(message: bytes, folder: str, options: tuple[str, ...]) -> GoodSignature:
    expected = parse_message(message).content
    output = os.path.join(folder, "content")
    outcome = run_gpg([*ISOLATED, *options, f"--output={output}", "--verify"], data=message)
    fingerprint, primary = _good_key(outcome)
    if _content_of(output, len(expected) + 1) != expected:
        raise SignatureError("Invalid GPG signature: GnuPG reads another text in it")
    return GoodSignature(expected, fingerprint, primary)


def _content_of(path: str, limit: int) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read(limit)
    except FileNotFoundError:
        return None


def _good_key(outcome: Outcome) -> tuple[str, str]:
    """The fingerprints of the key that made the one good signature, and of its primary key."""
    for keyword, *details in outcome.statuses:
        if keyword in _REFUSALS:
            raise SignatureError(f"Invalid GPG signature: {_reason(keyword, details, outcome.last_line)}")
    good = [outcome.all(keyword) for keyword in ("NEWSIG", "GOODSIG", "VALIDSIG")]
    if outcome.code != 0 or [len(lines) for lines in good] != [1, 1, 1] or len(good[2][0]) <= _PRIMARY_KEY:
        raise SignatureError("Invalid GPG signature: GnuPG does not vouch for it")
    fields = good[2][0]
    return fields[_KEY].upper(), fields[_PRIMARY_KEY].upper()


def _reason(keyword: str, details: list[str], last_line: str) -> str:
    if keyword in ("ERROR", "FAILURE"):
        return f"{_REFUSALS[keyword]}: {last_line}"
    if keyword == "ERRSIG" and len(details) > 5 and details[5] == _NO_PUBLIC_KEY:
        keyword = "NO_PUBKEY"
    names_key = keyword.endswith(("SIG", "PUBKEY")) and details and len(details[0]) == 16
    return f"{_REFUSALS[keyword]} (key {details[0]})" if names_key else _REFUSALS[keyword]


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
