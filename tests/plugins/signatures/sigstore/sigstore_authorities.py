"""Those who vouch for signatures in the tests: certificate authorities, a log. None of the code under test is used."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ISSUER = "https://accounts.example.com"
EMAIL = "ann@example.com"
HOST = "build.example.com"
OID_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
OID_ISSUER_DER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
CODE_SIGNING = ExtendedKeyUsageOID.CODE_SIGNING

NOW = int(time.time())
_HOUR = timedelta(hours=1)


def new_key(curve=ec.SECP256R1):
    return ec.generate_private_key(curve())


def public_der(key) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def public_pem(key) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def pem(*certificates) -> bytes:
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


def sign(key, data: bytes, algorithm=None) -> bytes:
    return key.sign(data, ec.ECDSA(algorithm or hashes.SHA256()))


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


def utf8_string(text: str) -> bytes:
    data = text.encode()
    return bytes([0x0C, len(data)]) + data if len(data) < 0x80 else bytes([0x0C, 0x81, len(data)]) + data


def key_usage(**usages) -> x509.KeyUsage:
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign "
        "encipher_only decipher_only"
    )
    return x509.KeyUsage(**{**dict.fromkeys(names.split(), False), **usages})


def subject_names(*, emails=(), hosts=(), uris=(), addresses=()) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(
        [
            *map(x509.RFC822Name, emails),
            *map(x509.DNSName, hosts),
            *map(x509.UniformResourceIdentifier, uris),
            *map(x509.IPAddress, addresses),
        ]
    )


@dataclass
class Authority:
    """A certificate authority with its certificate."""

    certificate: x509.Certificate
    key: object

    @classmethod
    def root(cls, title="root", *, path_length=2, extensions=(), **times) -> Authority:
        key = new_key(ec.SECP384R1)
        usage = key_usage(key_cert_sign=True, crl_sign=True)
        constraints = x509.BasicConstraints(ca=True, path_length=path_length)
        added = [(constraints, True), (usage, True), *extensions]
        return cls(_certificate(title, title, public_of(key), key, added, **times), key)

    def subordinate(self, title="intermediate", *, ca=True, path_length=0, usage=None, extensions=(), **times):
        key = new_key()
        usage = usage or key_usage(key_cert_sign=True)
        constraints = x509.BasicConstraints(ca=ca, path_length=path_length if ca else None)
        added = [(constraints, True), (usage, True), *extensions]
        return Authority(self.issue(key, title, added, **times), key)

    def issue(self, key, title, extensions, **times) -> x509.Certificate:
        return _certificate(title, self.title, public_of(key), self.key, extensions, **times)

    @property
    def title(self) -> str:
        (attribute,) = self.certificate.subject
        return attribute.value

    def leaf(self, key, *, title="", drop=(), **changes) -> x509.Certificate:
        """A certificate as Fulcio makes them; ``changes`` replace parts of it, ``drop`` leaves some out."""
        times = {each: changes.pop(each) for each in ("start", "end") if each in changes}
        parts = {
            "usage": (x509.ExtendedKeyUsage([CODE_SIGNING]), False),
            "key_usage": (key_usage(digital_signature=True), True),
            "names": (subject_names(emails=[EMAIL]), True),
            "issuer": (x509.UnrecognizedExtension(OID_ISSUER, ISSUER.encode()), False),
            "issuer_der": (x509.UnrecognizedExtension(OID_ISSUER_DER, utf8_string(ISSUER)), False),
            **changes,
        }
        return self.issue(key, title, [part for label, part in parts.items() if label not in drop], **times)


def public_of(key):
    return key.public_key() if hasattr(key, "public_key") else key


def _certificate(title, issuer, public_key, key, extensions, start=NOW - 3600, end=NOW + 3600) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(title))
        .issuer_name(name(issuer))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(start, UTC))
        .not_valid_after(datetime.fromtimestamp(end, UTC))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, hashes.SHA256())


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def hashed_record(payload: bytes, signature: bytes, key_or_certificate: bytes) -> dict:
    """What the log keeps of a signature."""
    return {
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}},
            "signature": {"content": encoded(signature), "publicKey": {"content": encoded(key_or_certificate)}},
        },
    }


class Log:
    """A transparency log that promises anything."""

    def __init__(self) -> None:
        self.key = new_key()

    def entry(self, record: dict, *, seconds: int = NOW, **more) -> dict:
        body = encoded(json.dumps(record, separators=(",", ":")).encode())
        return {"body": body, "integratedTime": seconds, "logID": "c0" * 32, "logIndex": 7, **more}

    def promise(self, entry: dict) -> bytes:
        """The signature over an entry, as canonical JSON is for such members."""
        return sign(self.key, json.dumps(entry, sort_keys=True, separators=(",", ":")).encode())

    def bundle(self, record: dict, **changes) -> str:
        entry = self.entry(record, **changes)
        return json.dumps({"SignedEntryTimestamp": encoded(self.promise(entry)), "Payload": entry})
