"""Digests: ``algorithm:encoded``, always validated before they are used."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from transship.errors import InvalidDigestError

if TYPE_CHECKING:
    from hashlib import _Hash

_HEX_LENGTH = {"sha256": 64, "sha384": 96, "sha512": 128}
_SYNTAX = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_LOWER_HEX = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A validated digest. ``str(digest)`` is its canonical form; ``encoded`` is lower-case hexadecimal."""

    algorithm: str
    encoded: str

    def __post_init__(self) -> None:
        length = _HEX_LENGTH.get(self.algorithm)
        if length is None:
            raise InvalidDigestError(f"unsupported digest algorithm {self.algorithm[:140]!r}")
        if len(self.encoded) != length or not _LOWER_HEX.fullmatch(self.encoded):
            raise InvalidDigestError(
                f"invalid checksum digest length or characters in {f'{self.algorithm}:{self.encoded[:140]}'!r}"
            )

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read ``algorithm:hex``; raise ``InvalidDigestError`` for anything but sha256, sha384, sha512."""
        if not isinstance(text, str) or not _SYNTAX.fullmatch(text):
            raise InvalidDigestError(f"invalid checksum digest format: {str(text)[:140]!r}")
        algorithm, _, encoded = text.partition(":")
        return cls(algorithm, encoded)

    def hasher(self) -> _Hash:
        """A new hash object of this digest's algorithm."""
        return hashlib.new(self.algorithm, usedforsecurity=True)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.encoded}"


class Digester:
    """Computes a digest piece by piece. ``algorithm`` is one of sha256, sha384, sha512."""

    __slots__ = ("_hash", "algorithm", "update")

    def __init__(self, algorithm: str = "sha256") -> None:
        if algorithm not in _HEX_LENGTH:
            raise InvalidDigestError(f'digest algorithm "{algorithm}" is not available')
        self.algorithm = algorithm
        self._hash = hashlib.new(algorithm)
        self.update = self._hash.update

    def digest(self) -> Digest:
        """The digest of all that was given to ``update`` so far."""
        return Digest(self.algorithm, self._hash.hexdigest())


def digest_of(data: bytes, algorithm: str = "sha256") -> Digest:
    """The digest of ``data``."""
    digester = Digester(algorithm)
    digester.update(data)
    return digester.digest()
