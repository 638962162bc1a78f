"""Certificates that sign images: how they are read, and the path to an authority that is trusted (RFC 5280)."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from transship.errors import SignatureError
from transship_sigstore.pem import read_pem

MALFORMED = (
    ValueError,
    KeyError,  # older releases, for names of unknown string types
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    CryptographyDeprecationWarning,
)
"""What the library raises for certificates that are none, sooner or later."""

_LABEL = "CERTIFICATE"
_loading = threading.Lock()  # filters of warnings are those of all threads
_CHAIN_LIMIT = 10
_DEPTH = 8  # of a path, as the library has it
_STEPS_LIMIT = 100
_NOISE = re.compile(
    r"validation failed: |candidates exhausted: |Python extension validator failed: ValueError: "
    r"| \(encountered processing .*"
)
_FAMILIAR = {
    "all candidates exhausted with no interior errors": "certificate signed by unknown authority",
    "cert is not valid at validation time": "certificate has expired or is not yet valid",
}


def read_certificates(pem: bytes, what: str, *, comments: bool = False) -> list[x509.Certificate]:
    """All certificates of a PEM text that holds nothing else; raise ``SignatureError``.

    ``comments``: there may be other text around them.
    """
    blocks = read_pem(pem, what, comments=comments)
    for block in blocks:
        if block.label != _LABEL:
            raise SignatureError(f"{what}: unexpected PEM type {block.label}")
    try:
        with _loading, warnings.catch_warnings():
            warnings.simplefilter("error", CryptographyDeprecationWarning)  # of what RFC 5280 forbids
            return [x509.load_der_x509_certificate(block.data) for block in blocks]
    except MALFORMED as error:
        raise SignatureError(f"{what}: not a valid certificate") from error


def read_leaf(pem: bytes) -> x509.Certificate:
    """The one certificate of a signature; raise ``SignatureError``."""
    certificates = read_certificates(pem, "parsing leaf certificate")
    if not certificates:
        raise SignatureError("no certificate found in signature certificate data")
    if len(certificates) > 1:
        raise SignatureError("unexpected multiple certificates present in signature certificate data")
    return certificates[0]


def read_intermediates(pem: bytes) -> list[x509.Certificate]:
    """The certificates between the leaf and the last of a signature's chain; raise ``SignatureError``."""
    chain = read_certificates(pem, "loading certificate chain")
    if len(chain) > _CHAIN_LIMIT:
        raise SignatureError(f"loading certificate chain: more than {_CHAIN_LIMIT} certificates")
    return chain[:-1]


def require_path(
    leaf: x509.Certificate,
    roots: list[x509.Certificate],
    intermediates: Sequence[x509.Certificate],
    time: datetime,
) -> None:
    """Raise ``SignatureError`` unless ``leaf`` was made for signing code, by ``roots``, and that is valid at ``time``.

    Every certificate on the way must have been valid then; what one of them says and we do not know ends it.
    """
    builder = verification.PolicyBuilder().store(verification.Store(roots)).time(time)
    policies = builder.extension_policies(ca_policy=_ca_policy(), ee_policy=_leaf_policy())
    try:
        _require_few_paths(leaf, roots, intermediates)
        policies.build_client_verifier().verify(leaf, list(intermediates))
    except (verification.VerificationError, *MALFORMED) as error:
        reason = _NOISE.sub("", str(error))
        # "veryfing" is how the message has always been spelled
        raise SignatureError(f"veryfing leaf certificate failed: x509: {_FAMILIAR.get(reason, reason)}") from None


def _require_few_paths(
    leaf: x509.Certificate, roots: Sequence[x509.Certificate], intermediates: Sequence[x509.Certificate]
) -> None:
    """Raise ``SignatureError`` if there are too many ways to go by names: older releases of the library try them all.

    Four intermediates of one name keep those busy for minutes, eight for ever.
    """
    issuers: dict[x509.Name, list[x509.Certificate]] = {}
    for intermediate in intermediates:
        issuers.setdefault(intermediate.subject, []).append(intermediate)
    ends, steps = [leaf], 0
    for _ in range(_DEPTH):
        ends = [issuer for end in ends if end not in roots for issuer in issuers.get(end.issuer, ())]
        steps += len(ends)
        if steps > _STEPS_LIMIT:
            raise SignatureError("veryfing leaf certificate failed: x509: too many paths to an authority")


def _leaf_policy() -> verification.ExtensionPolicy:
    def usage(policy: object, certificate: object, extension: x509.ExtendedKeyUsage) -> None:
        if ExtendedKeyUsageOID.CODE_SIGNING not in extension:
            raise ValueError("certificate specifies an incompatible key usage: it is not for signing code")

    def key_usage(policy: object, certificate: object, extension: x509.KeyUsage | None) -> None:
        if extension is not None and not extension.digital_signature:
            raise ValueError("certificate specifies an incompatible key usage: it is not for signatures")

    def constraints(policy: object, certificate: object, extension: x509.BasicConstraints | None) -> None:
        if extension is not None and extension.ca:
            raise ValueError("certificate of a certificate authority cannot sign images")

    agnostic = verification.Criticality.AGNOSTIC
    return (
        verification.ExtensionPolicy.permit_all()
        .require_present(x509.ExtendedKeyUsage, agnostic, usage)
        .may_be_present(x509.KeyUsage, agnostic, key_usage)
        .may_be_present(x509.BasicConstraints, agnostic, constraints)
    )


def _ca_policy() -> verification.ExtensionPolicy:
    def usage(policy: object, certificate: object, extension: x509.ExtendedKeyUsage | None) -> None:
        accepted = {ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
        if extension is not None and accepted.isdisjoint(extension):
            raise ValueError("certificate specifies an incompatible key usage: its authority is not for signing code")

    def key_usage(policy: object, certificate: object, extension: x509.KeyUsage | None) -> None:
        if extension is not None and not extension.key_cert_sign:
            raise ValueError("issuer is not allowed to sign certificates")

    agnostic = verification.Criticality.AGNOSTIC
    return (
        verification.ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, agnostic, None)
        .may_be_present(x509.ExtendedKeyUsage, agnostic, usage)
        .may_be_present(x509.KeyUsage, agnostic, key_usage)
    )


def time_of(seconds: int) -> datetime:
    """The moment ``seconds`` after the beginning of 1970; raise ``SignatureError`` if calendars have none."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        raise SignatureError("integratedTime in Rekor SET is out of range") from None
