"""Public and private keys: read, compared, used."""

from __future__ import annotations

import hashlib

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from transship.errors import SignatureError
from transship_sigstore.pem import read_pem, write_pem

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

PUBLIC_KEY_LABEL = "PUBLIC KEY"

_LABELS = (PUBLIC_KEY_LABEL, "RSA PUBLIC KEY")
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_RSA_SIZES = range(2048, 16384 + 1)


def read_public_key(data: bytes) -> PublicKey:
    """The one public key in a PEM text, which may hold comments; raise ``SignatureError``."""
    blocks = read_pem(data, "public key", comments=True)
    if len(blocks) != 1:
        raise SignatureError(f"expected one PEM block with a public key, found {len(blocks)}")
    if blocks[0].label not in _LABELS:
        raise SignatureError(f"unknown Public key PEM file type: {blocks[0].label}")
    try:
        key = serialization.load_der_public_key(blocks[0].data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignatureError("the PEM block holds no public key") from error
    return usable(key)


def usable(key: object) -> PublicKey:
    """``key``, if it is one that signatures are verified with; raise ``SignatureError`` for others."""
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES):
        return key
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size in _RSA_SIZES:
            return key
        raise SignatureError(f"RSA keys of {key.key_size} bits are not accepted")
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    raise SignatureError("unsupported key type")


def key_der(key: PublicKey) -> bytes:
    """The key as PKIX in DER."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def key_pem(key: PublicKey) -> bytes:
    """The key as PKIX in PEM."""
    return write_pem(PUBLIC_KEY_LABEL, key_der(key))


def fingerprint(key: PublicKey) -> str:
    """What to call the key: the SHA-256 of its PKIX form."""
    return f"key sha256:{hashlib.sha256(key_der(key)).hexdigest()}"


def require_signature(key: PublicKey, signature: bytes, data: bytes) -> None:
    """Raise ``SignatureError`` unless ``signature`` over ``data`` was made with ``key``, in its one format.

    ECDSA in DER and RSA PKCS #1 v1.5, both with SHA-256; Ed25519 pure (cosign's signature specification).
    """
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            _require_der(signature)
            reason = "invalid signature when validating ASN.1 encoded signature"
            key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, rsa.RSAPublicKey):
            reason = "crypto/rsa: verification error"
            key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        else:
            reason = "failed to verify signature"
            key.verify(signature, data)
    except InvalidSignature:
        raise SignatureError(reason) from None


def _require_der(signature: bytes) -> None:
    try:
        decode_dss_signature(signature)
    except ValueError:  # the other format of ECDSA signatures is no part of cosign's specification
        raise SignatureError("ecdsa: Invalid IEEE_P1363 encoded bytes") from None


def sign(key: PrivateKey, data: bytes) -> bytes:
    """The signature that ``require_signature`` expects."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(hashes.SHA256()))
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    return key.sign(data)


def generate_key() -> ec.EllipticCurvePrivateKey:
    """A new key of the kind that every implementation knows, ECDSA on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def read_private_key(der: bytes) -> PrivateKey:
    """A private key of PKCS #8 in DER; raise ``SignatureError``."""
    try:
        key = serialization.load_der_private_key(der, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SignatureError("the envelope holds no private key") from error
    if not isinstance(key, PrivateKey):
        raise SignatureError("unsupported key type")
    usable(key.public_key())
    return key


def private_key_der(key: PrivateKey) -> bytes:
    """The key as PKCS #8 in DER, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
