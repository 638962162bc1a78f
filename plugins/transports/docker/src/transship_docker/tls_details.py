"""containers-tls-details.yaml: which TLS is spoken at all."""

from __future__ import annotations

import ssl
import warnings
from dataclasses import dataclass
from typing import Any

from transship.errors import TransportError
from transship_docker.configuration import parse_yaml, read_file, reason

_VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
_VERSION_1_3_SUITES = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_SUITES = {  # as IANA calls them, and as OpenSSL does
    "TLS_RSA_WITH_RC4_128_SHA": "RC4-SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA": "DES-CBC3-SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256": "AES128-SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA": "ECDHE-ECDSA-RC4-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256": "ECDHE-ECDSA-AES128-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA": "ECDHE-RSA-RC4-SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA": "ECDHE-RSA-DES-CBC3-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256": "ECDHE-RSA-AES128-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
_GROUPS = {
    "secp256r1": "prime256v1",
    "secp384r1": "secp384r1",
    "secp521r1": "secp521r1",
    "x25519": "X25519",
    "X25519MLKEM768": "X25519MLKEM768",
}
_KEYS = ("minVersion", "cipherSuites", "namedGroups")


@dataclass(frozen=True, slots=True)
class TlsDetails:
    """What may be negotiated. ``min_version`` ``""``: the default; ``cipher_suites`` None: the default, empty: none,
    so that only TLS 1.3 is left, whose suites are not chosen here. ``named_groups`` empty: the default.
    """

    min_version: str = ""
    cipher_suites: tuple[str, ...] | None = None
    named_groups: tuple[str, ...] = ()

    def apply(self, context: ssl.SSLContext) -> None:
        """Restrict ``context``. Raises ``TransportError`` for what the TLS library here cannot do."""
        if self.min_version:
            _set_minimum(context, self.min_version)
        if self.cipher_suites is not None:
            self._restrict_suites(context)
        if self.named_groups:
            self._restrict_groups(context)

    def _restrict_suites(self, context: ssl.SSLContext) -> None:
        suites = [_SUITES[name] for name in self.cipher_suites or () if name in _SUITES]
        try:
            context.set_ciphers(":".join(suites))
        except ssl.SSLError:  # none is left that the library knows
            _set_minimum(context, "1.3")

    def _restrict_groups(self, context: ssl.SSLContext) -> None:
        names = [_GROUPS[name] for name in self.named_groups]
        if hasattr(context, "set_groups"):  # Python 3.15
            context.set_groups(":".join(f"?{name}" for name in names))
            return
        for name in names:  # older ones can be told a single group: the first that the library has
            try:
                context.set_ecdh_curve(name)
            except ValueError:
                continue
            return
        raise TransportError(f"this TLS library has none of the named groups {', '.join(self.named_groups)}")


def _set_minimum(context: ssl.SSLContext, version: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # old versions are what the user asks for
        context.minimum_version = _VERSIONS[version]


def load_tls_details(path: str) -> TlsDetails:
    """Read a file; it is strict, so that no restriction is lost. Raises ``TransportError``."""
    try:
        document = parse_yaml(read_file(path, is_named=True), path)
    except OSError as error:
        raise TransportError(f"reading TLS details: {reason(error)}") from error
    if document is None:
        return TlsDetails()
    if not isinstance(document, dict):
        raise TransportError(f"parsing {path}: expected a mapping")
    unknown = next((key for key in document if key not in _KEYS), None)
    if unknown is not None:
        raise TransportError(f'parsing {path}: unknown key "{unknown}"')
    suites = document.get("cipherSuites")
    return TlsDetails(
        _version(document.get("minVersion"), path),
        None if suites is None else _names(suites, (*_SUITES, *_VERSION_1_3_SUITES), "cipher suite", path),
        _names(document.get("namedGroups") or [], tuple(_GROUPS), "named group", path),
    )


def _version(value: Any, path: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TransportError(f"parsing {path}: minVersion must be a string")
    if value not in _VERSIONS:
        raise TransportError(f'parsing {path}: unrecognized TLS minimum version "{value}"')
    return value


def _names(values: Any, known: tuple[str, ...], what: str, path: str) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TransportError(f"parsing {path}: expected a list of TLS {what}s")
    wrong = next((value for value in values if value not in known), None)
    if wrong is not None:
        raise TransportError(f'parsing {path}: unrecognized TLS {what} "{wrong}"')
    return tuple(values)
