"""Whom a ``sigstoreSigned`` requirement trusts. Only what the policy says: nothing is read or computed here."""

from __future__ import annotations

import os
from dataclasses import dataclass

from transship.errors import SignatureError, TransportError
from transship.plugin.files import read_regular

SIGSTORE_SIGNED = "sigstoreSigned"

_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes that a policy holds, or the ``path`` of a file with them."""

    path: str = ""
    data: bytes = b""

    def read(self) -> bytes:
        """The bytes, at most 1 MiB; raises ``SignatureError``."""
        if not self.path:
            return self.data
        try:
            return read_regular(self.path, _LIMIT)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise SignatureError(f"open {os.fspath(self.path)}: {reason}") from error
        except TransportError as error:
            raise SignatureError(str(error)) from error


Sources = tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class KeyTrust:
    """Any of these public keys; if ``rekor`` are given, a log with one of those keys must have seen the signature."""

    keys: Sources
    rekor: Sources = ()


@dataclass(frozen=True, slots=True)
class FulcioTrust:
    """Certificates that a CA made for one e-mail address, which an OpenID provider vouched for.

    A log with one of the keys ``rekor`` must have seen the signature while the certificate was valid.
    """

    ca: Source
    oidc_issuer: str
    subject_email: str
    rekor: Sources


@dataclass(frozen=True, slots=True)
class PkiTrust:
    """Certificates, valid now, of a CA for an e-mail address, a host name or both; ``""`` for any."""

    roots: Source
    intermediates: Source | None
    subject_email: str
    subject_hostname: str


Trust = KeyTrust | FulcioTrust | PkiTrust
