"""Signatures of schema 1 manifests ("pretty JWS"): nobody verifies them, but they change what a digest is of."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from transship.errors import InvalidManifestError
from transship.image.strict_json import dump_json, load_json_object

_WHAT = "schema 1 manifest"
_SIGNATURE_LIMIT = 1_000
_SIGNING_TIME = "1970-01-01T00:00:00Z"  # one moment for all, so that the same image gives the same bytes
_BASE64URL = r"[A-Za-z0-9_-]*+={0,2}"


def schema1_payload(data: bytes) -> bytes:
    """What a signed schema 1 manifest's digest is made of: the document without its signatures.

    Raises ``InvalidManifestError`` if the signatures contradict each other or the document.
    """
    document = load_json_object(data, _WHAT)
    payload = _payload(data, document.pop("signatures", None))
    try:
        is_same = load_json_object(payload, f"{_WHAT} payload") == document
    except RecursionError:
        is_same = False
    if not is_same:
        raise InvalidManifestError(f"{_WHAT}: what is signed is not what it says")
    return payload


def _payload(data: bytes, signatures: Any) -> bytes:
    if not isinstance(signatures, list) or not signatures:
        raise InvalidManifestError(f"{_WHAT}: expected signatures")
    if len(signatures) > _SIGNATURE_LIMIT:
        raise InvalidManifestError(f"{_WHAT}: more than {_SIGNATURE_LIMIT} signatures")
    formats = {_signed_format(signature, len(data)) for signature in signatures}
    if len(formats) != 1:
        raise InvalidManifestError(f"{_WHAT}: its signatures disagree about what they sign")
    length, tail = formats.pop()
    return data[:length] + tail


def _signed_format(signature: Any, size: int) -> tuple[int, bytes]:
    encoded = signature.get("protected") if isinstance(signature, dict) else None
    protected = load_json_object(_base64url_decoded(encoded), f"{_WHAT} signature")
    length = protected.get("formatLength")
    if not isinstance(length, int) or isinstance(length, bool) or not 0 < length <= size:
        raise InvalidManifestError(f"{_WHAT} signature: invalid format length")
    return length, _base64url_decoded(protected.get("formatTail"))


def _base64url_decoded(value: Any) -> bytes:
    if not isinstance(value, str) or not re.fullmatch(_BASE64URL, value):
        raise InvalidManifestError(f"{_WHAT} signature: expected base64url text")
    try:
        return base64.urlsafe_b64decode(value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4))
    except binascii.Error:
        raise InvalidManifestError(f"{_WHAT} signature: expected base64url text") from None


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(payload: bytes) -> bytes:
    """The manifest ``payload`` with a signature by a key that is thrown away."""
    from transship.image.es256 import sign

    head, tail = payload[:-1], payload[-1:]
    protected = _base64url(
        dump_json({"formatLength": len(head), "formatTail": _base64url(tail), "time": _SIGNING_TIME})
    )
    made = sign(f"{protected}.{_base64url(payload)}".encode())
    key = {
        "crv": "P-256",
        "kid": made.key_id,
        "kty": "EC",
        "x": _base64url(made.x),
        "y": _base64url(made.y),
    }
    signature = {
        "header": {"jwk": key, "alg": "ES256"},
        "signature": _base64url(made.signature),
        "protected": protected,
    }
    return head + b',"signatures":' + dump_json([signature]) + tail
