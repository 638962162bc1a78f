"""The requirement ``signedBy`` of a trust policy (containers-policy.json(5))."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transship.errors import PolicyError, SignatureError, TransportError
from transship.plugin.files import read_regular
from transship.plugin.mechanism import SignatureRequirement, SignatureVerdict, UntrustedImage
from transship.plugin.members import Members
from transship.plugin.signature import SIMPLE_SIGNING, Signature
from transship.plugin.signed_identity import SignedIdentity, parse_signed_identity
from transship.plugin.signed_payload import parse_payload
from transship_openpgp.keyring import GoodSignature, Keyring, import_keys

SIGNED_BY = "signedBy"
PAYLOAD_TYPE = "atomic container signature"
KEYRING_LIMIT = 64 << 20
"""The most bytes of one keyring in a file."""

_GPG_KEYS = "GPGKeys"
_KEY_TYPES = (_GPG_KEYS, "signedByGPGKeys", "X509Certificates", "signedByX509CAs")


@dataclass(frozen=True, slots=True)
class KeySources:
    """Where the keys of a requirement are: in files, or in the policy itself."""

    paths: tuple[str, ...]
    data: bytes = b""

    def read(self) -> tuple[tuple[str, bytes], ...]:
        """Each keyring with a name for it; raises ``SignatureError`` if one cannot be read."""
        if not self.paths:
            return (('"keyData"', self.data),)
        return tuple((path, read_keyring(path)) for path in self.paths)


def read_keyring(path: str) -> bytes:
    """The bytes of a keyring in a file; raises ``SignatureError``."""
    try:
        return read_regular(path, KEYRING_LIMIT)
    except OSError as error:
        raise SignatureError(f"open {path}: {(error.strerror or str(error)).lower()}") from error
    except TransportError as error:
        raise SignatureError(f"open {error}") from error


@dataclass(slots=True)
class _KeyringCache:
    """The keyring that was made of certain bytes last; the same bytes are not imported twice."""

    sources: tuple[tuple[str, bytes], ...] = ()
    keyring: Keyring | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def keyring_of(self, sources: tuple[tuple[str, bytes], ...]) -> Keyring:
        with self.lock:
            if self.keyring is None or self.sources != sources:
                self.keyring, self.sources = import_keys(sources), sources
            return self.keyring


@dataclass(frozen=True)
class SignedBy(SignatureRequirement):
    """At least one simple signature by one of some keys."""

    key_type: str
    sources: KeySources
    identity: SignedIdentity
    _cache: _KeyringCache = field(default_factory=_KeyringCache, repr=False, compare=False)

    type = SIGNED_BY

    def verify(self, signature: Signature, image: UntrustedImage) -> SignatureVerdict | None:
        """The verdict on a simple signature. The key files are read each time, so that what changes counts at once."""
        if signature.format != SIMPLE_SIGNING:
            return None
        if self.key_type != _GPG_KEYS:
            raise SignatureError(f'Unimplemented "keyType" value "{self.key_type}"')
        keyring = self._cache.keyring_of(self.sources.read())
        good = keyring.verify(signature.payload)
        if not keyring.fingerprints & {good.fingerprint, good.primary}:
            raise SignatureError(f"signature by key {good.signer} is not accepted")
        return self._judge_content(good, image)

    def _judge_content(self, good: GoodSignature, image: UntrustedImage) -> SignatureVerdict:
        claimed = ""
        try:
            payload = parse_payload(good.content, PAYLOAD_TYPE)
            claimed = payload.reference
            payload.check(image, self.identity)
        except SignatureError as error:
            return SignatureVerdict(
                SIMPLE_SIGNING, accepted=False, reason=str(error), signer=good.primary, identity=claimed
            )
        return SignatureVerdict(SIMPLE_SIGNING, accepted=True, signer=good.primary, identity=claimed)


def parse_signed_by(members: Mapping[str, Any]) -> SignedBy:
    """Read the members of a ``signedBy``; raises ``PolicyError``."""
    left = Members(members)
    key_type = left.text("keyType") or ""
    if key_type not in _KEY_TYPES:
        raise PolicyError(f'Unrecognized keyType value "{key_type}"' if key_type else 'invalid keyType ""')
    requirement = SignedBy(key_type, _parse_sources(left), parse_signed_identity(left))
    left.finish()
    return requirement


def _parse_sources(members: Members) -> KeySources:
    given = [name for name in ("keyPath", "keyPaths", "keyData") if name in members]
    if len(given) != 1:
        found = "more than one present" if given else "none of them present"
        raise PolicyError(f"Exactly one of keyPath, keyPaths and keyData must be specified, {found}")
    if given == ["keyPath"]:
        return KeySources((members.required_text("keyPath"),))
    if given == ["keyPaths"]:
        return KeySources(tuple(members.texts("keyPaths") or ()))
    data = members.data("keyData")
    if not data:
        raise PolicyError('"keyData" is empty')
    return KeySources((), data)
