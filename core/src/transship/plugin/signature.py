"""Signatures as they are stored beside an image."""

from __future__ import annotations

from typing import NamedTuple

from transship.errors import TransshipError

SIMPLE_SIGNING = "simple-signing"
SIGSTORE_JSON = "sigstore-json"

_OPENPGP_FIRST_BYTES = frozenset((*range(0x88, 0x8C), *range(0x90, 0x93), *range(0xA0, 0xA4), 0xC2, 0xC4, 0xC8, 0x3D))


class Signature(NamedTuple):
    """One stored signature: the name of its format, and its bytes as that format defines them."""

    format: str
    payload: bytes

    @classmethod
    def parse(cls, data: bytes) -> Signature:
        """Read a stored signature; what it is can be told from its first byte (containers/image storage form)."""
        if not data:
            raise TransshipError("empty signature blob")
        if data[0] in _OPENPGP_FIRST_BYTES:
            return cls(SIMPLE_SIGNING, data)
        if data[0] != 0:
            raise TransshipError(f"unrecognized signature format, starting with binary {data[0]:#x}")
        name, newline, payload = data[1:].partition(b"\n")
        if not newline or not name.isascii() or not name:
            raise TransshipError("invalid signature format, missing newline after its name")
        return cls(name.decode("ascii"), payload)

    def to_bytes(self) -> bytes:
        """The stored form."""
        if self.format == SIMPLE_SIGNING:
            return self.payload
        return b"\0" + self.format.encode("ascii") + b"\n" + self.payload
