"""Signing with a secret key of the user's GnuPG."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from transship.errors import SignatureError
from transship.image.digest import Digest
from transship.image.reference import DockerReference
from transship.plugin.mechanism import Signer
from transship.plugin.signature import SIMPLE_SIGNING, Signature
from transship.plugin.signed_payload import make_payload
from transship_openpgp.gnupg import Outcome, run_gpg
from transship_openpgp.keyring import private_folder
from transship_openpgp.message import parse_message
from transship_openpgp.requirement import PAYLOAD_TYPE

USER_TIMEOUT = 900.0
"""Seconds that the user has to answer gpg-agent."""

_VALIDITY, _FINGERPRINT, _CAPABILITIES = 1, 9, 11  # fields of a listing with colons (doc/DETAILS of GnuPG)
_VALIDITIES = {"r": "it is revoked", "e": "it has expired", "d": "it is disabled", "i": "it is invalid"}
_NOT_THERE = "9"  # the reason in INV_SGNR (the same)
_CANNOT_ASK = "gpg-agent cannot ask for its passphrase here; give it in a file, or set GPG_TTY"
_FAILURES = {  # of libgpg-error
    11: "Bad passphrase",
    85: _CANNOT_ASK,  # no pinentry
    99: "the passphrase was not given",
    0x8000 + 102: _CANNOT_ASK,  # no terminal
}
_FAILURE_CODE = 0xFFFF  # the rest of the number is the program that failed


class GpgSigner(Signer):
    """Signs with the one secret key that ``key`` selects, in any way that GnuPG knows.

    ``passphrase`` empty: gpg-agent asks where need be. ``home`` is the folder of another GnuPG than the user's.
    Raises ``SignatureError`` for a key that is not there.
    """

    description = "Signing image using simple signing"

    _closed = False
    _passphrase = b""

    def __init__(self, key: str, passphrase: bytes = b"", *, home: str = "") -> None:
        if b"\n" in passphrase:
            raise SignatureError("invalid passphrase: must not contain a line break")
        self._key = key
        self._place = (f"--homedir={home}",) if home else ()
        self._user = _select(key, self._place)
        self._passphrase = passphrase

    def sign(self, manifest: bytes, digest: Digest, identity: DockerReference) -> Signature:
        """See ``Signer``."""
        if not (identity.tag or identity.digest):
            raise SignatureError(f"reference {identity} can’t be signed, it has neither a tag nor a digest")  # noqa: RUF001
        return Signature(SIMPLE_SIGNING, self.sign_as(str(identity), digest))

    def sign_as(self, reference: str, digest: Digest) -> bytes:
        """The signed message that says that the image with ``digest`` is called ``reference``, as it stands."""
        if not reference:
            raise SignatureError("unexpected empty signature content")
        if self._closed:
            raise SignatureError("the signer was closed")
        content = make_payload(PAYLOAD_TYPE, reference, digest)
        with private_folder() as folder:
            message = self._signed(content, folder)
        if not _is_signature_of(content, message):
            raise SignatureError(f"signing with key {self._key}: gpg made something else of it; look at its gpg.conf")
        return message

    def close(self) -> None:
        """See ``Signer``."""
        self._closed = True
        self._passphrase = b""

    def _signed(self, content: bytes, folder: str) -> bytes:
        text, message = os.path.join(folder, "text"), os.path.join(folder, "message")
        with open(text, "wb") as file:
            file.write(content)
        loopback = ["--pinentry-mode=loopback", "--passphrase-fd=0"] if self._passphrase else []
        outcome = run_gpg(
            [
                *self._place,
                *loopback,
                "--no-armor",
                "--no-textmode",
                f"--local-user={self._user}",
                f"--output={message}",
                "--sign",
                text,
            ],
            data=self._passphrase,
            timeout=None if self._passphrase else USER_TIMEOUT,
            locale="",
        )
        if outcome.code != 0:
            raise SignatureError(f"signing with key {self._key}: {_reason(outcome)}")
        with open(message, "rb") as file:
            return file.read()


def _is_signature_of(content: bytes, message: bytes) -> bool:
    try:
        return parse_message(message).content == content
    except SignatureError:
        return False


def _select(key: str, place: Sequence[str]) -> str:
    """What stands for one secret key for sure: a fingerprint, or the name of a subkey with ``!``."""
    if not key:
        raise SignatureError("no key to sign with: its name is empty")
    if "\0" in key:
        raise SignatureError("no key to sign with: its name has a zero byte in it")
    outcome = run_gpg([*place, "--with-colons", "--list-secret-keys", "--", key], timeout=USER_TIMEOUT, locale="")
    known = secret_keys(outcome)
    if not known:
        raise SignatureError(f'no secret key "{key}": {outcome.last_line}')
    able = [each for each in known if each.can_sign]  # what has expired does not stand in the way of its successor
    if not able:
        raise SignatureError(f"key {key} cannot sign: {_VALIDITIES.get(known[0].validity, 'it is not made for that')}")
    if len(able) > 1:
        raise SignatureError(f'"{key}" stands for several secret keys: {", ".join(each.fingerprint for each in able)}')
    return key if key.endswith("!") else able[0].fingerprint


class SecretKey(NamedTuple):
    """A primary key. ``can_sign``: it or a subkey can now; ``validity`` is a letter of GnuPG's."""

    fingerprint: str
    validity: str
    can_sign: bool


def secret_keys(outcome: Outcome) -> list[SecretKey]:
    """The primary keys of a listing with colons."""
    return [
        SecretKey(following[_FINGERPRINT], record[_VALIDITY], "S" in record[_CAPABILITIES])
        for record, following in pairwise(outcome.records)
        if record[0] == "sec" and following[0] == "fpr"
    ]


def _reason(outcome: Outcome) -> str:
    if any(reason[:1] == (_NOT_THERE,) for reason in outcome.all("INV_SGNR")):
        return "the secret part of its signing key is not there"
    for _, code, *_ in outcome.all("FAILURE"):
        reason = _FAILURES.get(int(code) & _FAILURE_CODE)
        if reason:
            return reason
    return outcome.last_line
