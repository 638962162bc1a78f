"""ES256 signatures (ECDSA on P-256 with SHA-256) for schema 1 manifests.

Registries demand that a schema 1 manifest is signed and never ask by whom: the key is made for the one
signature and thrown away, so it protects nothing. It is derived from what it signs, which keeps the output
reproducible. Nothing here resists timing attacks and none of it may sign anything that matters.
"""

from __future__ import annotations

import base64
import hashlib
from typing import NamedTuple

_P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_GENERATOR = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
_PUBLIC_KEY_HEADER = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
"""SubjectPublicKeyInfo of an uncompressed P-256 point, up to the point (RFC 5480)."""

_Point = tuple[int, int]


class ThrowAwaySignature(NamedTuple):
    """A signature (64 bytes) and the coordinates of the key that made it (32 bytes each)."""

    signature: bytes
    x: bytes
    y: bytes

    @property
    def key_id(self) -> str:
        """The key's fingerprint as libtrust writes it."""
        point = b"\x04" + self.x + self.y
        fingerprint = hashlib.sha256(_PUBLIC_KEY_HEADER + point).digest()[:30]
        letters = base64.b32encode(fingerprint).decode()
        return ":".join(letters[start : start + 4] for start in range(0, len(letters), 4))


def sign(message: bytes) -> ThrowAwaySignature:
    """Sign ``message`` with a key made for it."""
    key = _scalar(b"key", message)
    nonce = _scalar(b"nonce", message)
    public, commitment = _times(key, _GENERATOR), _times(nonce, _GENERATOR)
    r = commitment[0] % _N
    hashed = int.from_bytes(hashlib.sha256(message).digest(), "big")
    s = pow(nonce, -1, _N) * (hashed + r * key) % _N
    return ThrowAwaySignature(_bytes(r) + _bytes(s), _bytes(public[0]), _bytes(public[1]))


def _scalar(purpose: bytes, message: bytes) -> int:
    wide = hashlib.sha512(b"transship schema 1 " + purpose + b"\0" + message).digest()
    return int.from_bytes(wide, "big") % (_N - 1) + 1


def _bytes(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _times(scalar: int, point: _Point) -> _Point:
    """``scalar`` times ``point``; the scalar is at least 1 and less than the group's order."""
    result = point
    for bit in bin(scalar)[3:]:
        result = _double(result)
        if bit == "1":
            result = _sum(result, point)
    return result


def _sum(first: _Point, second: _Point) -> _Point:
    (x1, y1), (x2, y2) = first, second
    return _third(first, second, (y2 - y1) * pow(x2 - x1, -1, _P))


def _double(point: _Point) -> _Point:
    x, y = point
    return _third(point, point, 3 * (x * x - 1) * pow(2 * y, -1, _P))  # the curve's a is -3


def _third(first: _Point, second: _Point, slope: int) -> _Point:
    x = (slope * slope - first[0] - second[0]) % _P
    return x, (slope * (first[0] - x) - first[1]) % _P
