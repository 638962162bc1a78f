"""Entries of a Rekor log: what they say, and the log's promise that it has one (signed entry timestamp)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric import ec

from transship.errors import InvalidManifestError, SignatureError
from transship.image.strict_json import dump_json, load_json_object
from transship_sigstore.keys import require_signature
from transship_sigstore.pem import decode_base64, read_pem

KIND = "hashedrekord"
API_VERSION = "0.0.1"

_LARGEST = 1 << 53  # beyond it canonical JSON (RFC 8785) has no integers


@dataclass(frozen=True, slots=True)
class LoggedSignature:
    """What an entry is about: a signature over something with this SHA-256, and the key or certificate in DER."""

    key_or_certificate: bytes
    signature: bytes
    sha256: str

    @classmethod
    def parse(cls, body: bytes) -> LoggedSignature:
        """Read an entry's body; raise ``SignatureError`` for anything but a hashedrekord 0.0.1."""
        entry = _exactly(_parsed(body, "Rekor entry"), "Rekor entry", "apiVersion", "kind", "spec")
        if entry["kind"] != KIND:
            raise SignatureError("decoding the body of a Rekor SET payload: it is no hashedrekord")
        if entry["apiVersion"] != API_VERSION:
            raise SignatureError(
                f"unsupported Rekor SET Payload hashedrekord version {dump_json(entry['apiVersion']).decode()[:140]}"
            )
        spec = _exactly(entry["spec"], "spec", "data", "signature")
        digest = _exactly(_exactly(spec["data"], "data", "hash")["hash"], "data.hash", "algorithm", "value")
        signature = _exactly(spec["signature"], "signature", "content", "publicKey")
        key = _exactly(signature["publicKey"], "signature.publicKey", "content")
        if digest["algorithm"] != "sha256":
            raise SignatureError('Unexpected "data.hash.algorithm" value in Rekor SET')
        return cls(
            _key_or_certificate(decode_base64(_text(key, "content"), "publicKey in Rekor SET")),
            decode_base64(_text(signature, "content"), "signature in Rekor SET"),
            _text(digest, "value"),
        )

    def require(self, key_or_certificate: bytes, signature: bytes, payload: bytes) -> None:
        """Raise ``SignatureError`` unless the entry is about these."""
        if self.key_or_certificate != key_or_certificate:
            raise SignatureError("publicKey in Rekor SET does not match")
        if self.signature != signature:
            raise SignatureError("signature in Rekor SET does not match")
        if self.sha256 != hashlib.sha256(payload).hexdigest():
            raise SignatureError("payload in Rekor SET does not match")


@dataclass(frozen=True, slots=True)
class EntryTimestamp:
    """The promise of a log. ``time`` is when the entry came, in seconds since 1970; nothing in it is verified yet."""

    signature: bytes
    body: bytes
    time: int
    log_index: int
    log_id: str

    @classmethod
    def parse(cls, data: bytes) -> EntryTimestamp:
        """Read the annotation of a signature; raise ``SignatureError``."""
        document = _exactly(_parsed(data, "Rekor SET"), "Rekor SET", "SignedEntryTimestamp", "Payload")
        return cls.of_members(document["Payload"], document["SignedEntryTimestamp"])

    @classmethod
    def of_members(cls, payload: Any, signature: Any) -> EntryTimestamp:
        """Put together what a log answers; raise ``SignatureError``."""
        members = _exactly(payload, "Rekor SET Payload", "body", "integratedTime", "logIndex", "logID")
        return cls(
            decode_base64(_text({"SignedEntryTimestamp": signature}, "SignedEntryTimestamp"), "SignedEntryTimestamp"),
            decode_base64(_text(members, "body"), "body of the Rekor SET"),
            _integer(members, "integratedTime"),
            _integer(members, "logIndex"),
            _text(members, "logID"),
        )

    def to_bytes(self) -> bytes:
        """The annotation of a signature."""
        return dump_json({"SignedEntryTimestamp": _encoded(self.signature), "Payload": self._members()})

    def require_promise(self, keys: Sequence[ec.EllipticCurvePublicKey]) -> None:
        """Raise ``SignatureError`` unless a log with one of ``keys`` made it."""
        promised = rfc8785.dumps(self._members())
        for key in keys:
            try:
                return require_signature(key, self.signature, promised)
            except SignatureError:
                continue
        raise SignatureError("cryptographic signature verification of Rekor SET failed")

    def _members(self) -> dict[str, Any]:
        return {
            "body": _encoded(self.body),
            "integratedTime": self.time,
            "logIndex": self.log_index,
            "logID": self.log_id,
        }


def verify_logged(
    data: bytes,
    rekor_keys: Sequence[ec.EllipticCurvePublicKey],
    key_or_certificate: bytes,
    signature: bytes,
    payload: bytes,
) -> int:
    """When a log with one of ``rekor_keys`` saw this very signature, in seconds since 1970.

    ``data`` is the log's promise, ``key_or_certificate`` is in DER. Raises ``SignatureError``.
    """
    promise = EntryTimestamp.parse(data)
    promise.require_promise(rekor_keys)
    LoggedSignature.parse(promise.body).require(key_or_certificate, signature, payload)
    return promise.time


def _key_or_certificate(pem: bytes) -> bytes:
    blocks = read_pem(pem, "publicKey in Rekor SET")
    if len(blocks) != 1:
        raise SignatureError("publicKey in Rekor SET is not in PEM format")
    return blocks[0].data


def _parsed(data: bytes, what: str) -> dict[str, Any]:
    try:
        return load_json_object(data, what)
    except InvalidManifestError as error:
        raise SignatureError(str(error)) from None


def _exactly(value: Any, what: str, *names: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or set(value) != set(names):
        raise SignatureError(f"{what}: expected an object with exactly {', '.join(names)}")
    return value


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members[name]
    if not isinstance(value, str):
        raise SignatureError(f"{name} in Rekor SET is not a text")
    return value


def _integer(members: Mapping[str, Any], name: str) -> int:
    value = members[name]
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _LARGEST:
        raise SignatureError(f"{name} in Rekor SET is not a positive integer")
    return value


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
