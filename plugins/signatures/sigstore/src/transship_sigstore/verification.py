"""Who made a signature, as far as somebody who is trusted vouches for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from transship.errors import SignatureError
from transship.plugin.signed_payload import SignedPayload, parse_payload
from transship_sigstore.annotations import BUNDLE, CERTIFICATE, CHAIN, SIGNATURE, SIGNATURE_TYPE
from transship_sigstore.certificate_owner import require_email, require_hostname, require_issuer
from transship_sigstore.certificates import (
    MALFORMED,
    read_certificates,
    read_intermediates,
    read_leaf,
    require_path,
    time_of,
)
from transship_sigstore.keys import (
    PublicKey,
    fingerprint,
    key_der,
    read_public_key,
    require_signature,
    usable,
)
from transship_sigstore.log_entry import verify_logged
from transship_sigstore.pem import decode_base64
from transship_sigstore.trust import FulcioTrust, KeyTrust, PkiTrust, Source, Sources, Trust


class _Claim(NamedTuple):
    """A signature as it was found; nothing in it is verified."""

    payload: bytes
    signature: bytes
    annotations: Mapping[str, str]

    def annotation(self, name: str) -> bytes:
        if name not in self.annotations:
            raise SignatureError(f"missing {name} annotation")
        return self.annotations[name].encode("utf-8")


class _Trusted(NamedTuple):
    """A key that may have signed, and whose it is."""

    key: PublicKey
    owner: str


def verify_signature(trust: Trust, payload: bytes, annotations: Mapping[str, str]) -> tuple[str, SignedPayload]:
    """Who signed ``payload``, of those who are trusted, and what it says.

    Raises ``SignatureError``.
    """
    trusted = _roots(trust)
    if SIGNATURE not in annotations:
        raise SignatureError(f"missing {SIGNATURE} annotation")
    claim = _Claim(payload, decode_base64(annotations[SIGNATURE], "base64 decoding"), annotations)
    owner = _signer(trusted.candidates(claim), claim)
    return owner, parse_payload(payload, SIGNATURE_TYPE, allows_null_optional=True)


def _signer(candidates: Sequence[_Trusted], claim: _Claim) -> str:
    reasons = []
    for candidate in candidates:
        try:
            require_signature(candidate.key, claim.signature, claim.payload)
        except SignatureError as error:
            reasons.append(str(error))
        else:
            return candidate.owner
    raise SignatureError(f"cryptographic signature verification failed: {', '.join(reasons)}")


class _Roots:
    """What is trusted, read and ready."""

    def candidates(self, claim: _Claim) -> Sequence[_Trusted]:
        """The keys that may have made the signature, at least one; raise ``SignatureError``."""
        raise NotImplementedError


class _KeyRoots(_Roots):
    def __init__(self, trust: KeyTrust) -> None:
        self._keys = [_public_key(source, "parsing public key") for source in trust.keys]
        self._rekor = _rekor_keys(trust.rekor)

    def candidates(self, claim: _Claim) -> Sequence[_Trusted]:
        keys = [self._logged(claim)] if self._rekor else self._keys
        return [_Trusted(key, fingerprint(key)) for key in keys]

    def _logged(self, claim: _Claim) -> PublicKey:
        promise = claim.annotation(BUNDLE)
        reasons = []
        for key in self._keys:
            try:
                verify_logged(promise, self._rekor, key_der(key), claim.signature, claim.payload)
            except SignatureError as error:
                reasons.append(str(error))
            else:
                return key
        raise SignatureError(f"No public key verified against the RekorSET: {', '.join(reasons)}")


class _FulcioRoots(_Roots):
    def __init__(self, trust: FulcioTrust) -> None:
        self._trust = trust
        self._ca = _authorities(trust.ca, "Fulcio CA")
        self._rekor = _rekor_keys(trust.rekor)

    def candidates(self, claim: _Claim) -> Sequence[_Trusted]:
        promise, leaf = claim.annotation(BUNDLE), read_leaf(claim.annotation(CERTIFICATE))
        der = leaf.public_bytes(Encoding.DER)
        time = verify_logged(promise, self._rekor, der, claim.signature, claim.payload)
        require_path(leaf, self._ca, _sent_intermediates(claim), time_of(time))
        require_issuer(leaf, self._trust.oidc_issuer)
        require_email(leaf, self._trust.subject_email)
        return [_Trusted(signing_key(leaf), self._trust.subject_email)]


class _PkiRoots(_Roots):
    def __init__(self, trust: PkiTrust) -> None:
        self._trust = trust
        self._roots = _authorities(trust.roots, "CA roots")
        self._intermediates = _authorities(trust.intermediates, "CA intermediates") if trust.intermediates else []

    def candidates(self, claim: _Claim) -> Sequence[_Trusted]:
        leaf = read_leaf(claim.annotation(CERTIFICATE))
        email, hostname = self._trust.subject_email, self._trust.subject_hostname
        if email:
            require_email(leaf, email)
        if hostname:
            require_hostname(leaf, hostname)
        require_path(leaf, self._roots, [*self._intermediates, *_sent_intermediates(claim)], datetime.now(UTC))
        return [_Trusted(signing_key(leaf), email or hostname)]


def _roots(trust: Trust) -> _Roots:
    match trust:
        case KeyTrust():
            return _KeyRoots(trust)
        case FulcioTrust():
            return _FulcioRoots(trust)
        case PkiTrust():
            return _PkiRoots(trust)


def _sent_intermediates(claim: _Claim) -> list[x509.Certificate]:
    return read_intermediates(claim.annotation(CHAIN)) if CHAIN in claim.annotations else []


def signing_key(leaf: x509.Certificate) -> PublicKey:
    """The key that a certificate is for; raise ``SignatureError`` if it is none of ours."""
    try:
        return usable(leaf.public_key())
    except MALFORMED as error:
        raise SignatureError("the key in the certificate is not valid") from error


def _public_key(source: Source, action: str) -> PublicKey:
    data = source.read()
    try:
        return read_public_key(data)
    except SignatureError as error:
        raise SignatureError(f"{action}: {_named(source)}{error}") from None


def _rekor_keys(sources: Sources) -> list[ec.EllipticCurvePublicKey]:
    keys = []
    for number, source in enumerate(sources, 1):
        key = _public_key(source, f"parsing Rekor public key {number}")
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise SignatureError(f"Rekor public key {number} is not using ECDSA")
        keys.append(key)
    return keys


def _authorities(source: Source, what: str) -> list[x509.Certificate]:
    certificates = read_certificates(source.read(), f"{_named(source)}{what}", comments=True)
    if not certificates:
        raise SignatureError(f"error loading {what} certificates: {_named(source)}there are none")
    return certificates


def _named(source: Source) -> str:
    return f"{source.path}: " if source.path else ""
