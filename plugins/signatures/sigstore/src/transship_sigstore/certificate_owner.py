"""Whom a certificate was made for: the extensions of Fulcio, and the alternative names (RFC 5280, 4.2.1.6)."""

from __future__ import annotations

import ipaddress

from cryptography import x509

from transship.errors import SignatureError
from transship.image.quoting import quoted
from transship_sigstore.certificates import MALFORMED

_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")  # raw text
_ISSUER_DER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")  # UTF8String in DER
_UTF8_STRING = 0x0C


def require_issuer(leaf: x509.Certificate, expected: str) -> None:
    """Raise ``SignatureError`` unless Fulcio noted ``expected`` as who vouched for the owner."""
    issuer = _fulcio_issuer(leaf)
    if issuer != expected:
        raise SignatureError(f"Unexpected Fulcio OIDC issuer {quoted(issuer)}")


def _fulcio_issuer(leaf: x509.Certificate) -> str:
    texts = []
    for oid in (_ISSUER, _ISSUER_DER):
        value = _extension(leaf, oid)
        if value is not None:
            texts.append(_text(value if oid == _ISSUER else _utf8_string(value)))
    if not texts:
        raise SignatureError("Fulcio certificate is missing the issuer extension")
    if len(set(texts)) > 1:
        raise SignatureError(f"inconsistent OIDC issuer extension values: v1 {quoted(texts[0])}, v2 {quoted(texts[1])}")
    return texts[0]


def _extension(leaf: x509.Certificate, oid: x509.ObjectIdentifier) -> bytes | None:
    try:
        value = leaf.extensions.get_extension_for_oid(oid).value
    except x509.ExtensionNotFound:
        return None
    except MALFORMED as error:
        raise SignatureError("Fulcio certificate has invalid or duplicate extensions") from error
    return value.value if isinstance(value, x509.UnrecognizedExtension) else None


def _utf8_string(der: bytes) -> bytes:
    """What a UTF8String of less than 64 KiB in DER holds (X.690, 8.1)."""
    for prefix_size, smallest in ((2, 0), (3, 0x80), (4, 0x100)):
        content = der[prefix_size:]
        length = len(content).to_bytes(prefix_size - 1, "big") if len(content) < 1 << 16 else b""
        marker = b"" if prefix_size == 2 else bytes([0x80 | (prefix_size - 2)])
        if len(content) >= smallest and der[:prefix_size] == bytes([_UTF8_STRING]) + marker + length[len(marker) :]:
            return content
    raise SignatureError("invalid ASN.1 in OIDC issuer v2 extension")


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise SignatureError("Fulcio certificate has an issuer extension that is no text") from None


def require_email(leaf: x509.Certificate, expected: str) -> None:
    """Raise ``SignatureError`` unless the certificate was made for the e-mail address ``expected``."""
    emails = _alternative_names(leaf, x509.RFC822Name)
    if expected not in emails:
        raise SignatureError(f"Required email {quoted(expected)} not found (got [{' '.join(map(quoted, emails))}])")


def require_hostname(leaf: x509.Certificate, expected: str) -> None:
    """Raise ``SignatureError`` unless the certificate was made for the host or IP address ``expected``."""
    try:
        address = ipaddress.ip_address(expected.removeprefix("[").removesuffix("]"))
    except ValueError:
        names = _alternative_names(leaf, x509.DNSName)
        found = any(_matches(name.lower().removesuffix("."), expected.lower().removesuffix(".")) for name in names)
    else:
        names = [str(each) for each in _alternative_names(leaf, x509.IPAddress)]
        found = str(address) in names
    if not found:
        valid_for = f"is valid for {', '.join(map(quoted, names))}, not" if names else "is valid for no names, not"
        raise SignatureError(f"Unexpected subject hostname: x509: certificate {valid_for} {quoted(expected)}")


def _matches(pattern: str, name: str) -> bool:
    """Whether they are equal; a first label ``*`` in the certificate stands for any one label (RFC 6125)."""
    first, dot, rest = name.partition(".")
    return bool(name) and (pattern == name or bool(first and dot and rest and pattern == f"*.{rest}"))


def _alternative_names(leaf: x509.Certificate, kind: type[x509.GeneralName]) -> list[str]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    except MALFORMED as error:
        raise SignatureError("certificate has invalid or duplicate extensions") from error
    return [str(name.value) for name in names if isinstance(name, kind)]
