"""Hosts and addresses: which are the same, which are private."""

from __future__ import annotations

import functools
import ipaddress
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from transship.errors import TransportError
from transship.plugin.cancellation import Cancellation
from transship_docker.dialing import look_up

_PATIENCE = 30.0
_TRANSLATED = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
"""Where gateways (RFC 6052), and systems long ago (RFC 4291, 2.5.5.1), find an IPv4 address in the last 32 bits."""

_DEFAULT_PORTS = {"http": 80, "https": 443}

Origin = tuple[str, str, int | None]
Resolve = Callable[[str], list[str]]


@functools.lru_cache(maxsize=256)
def origin_of(url: str) -> Origin:
    """Scheme, host and port of an address; raises ``ValueError`` if it is none.

    A host with a dot at its end is another one: resolvers may look up the one without it in a domain of their own.
    """
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), parts.port or _DEFAULT_PORTS.get(scheme)


def is_literal(host: str) -> bool:
    """Whether ``host`` is an IP address rather than a name, in any notation that resolvers take."""
    if not host.isascii():  # digits and dots of other scripts, which become those of ASCII on the way (RFC 3490)
        import unicodedata

        host = unicodedata.normalize("NFKC", host).replace("\u3002", ".")
    try:
        ipaddress.ip_address(host.partition("%")[0].rstrip("."))
    except ValueError:
        return _is_odd_ipv4(host.rstrip("."))
    return True


def is_private(address: str) -> bool:
    """Whether an IP address is one that the public internet does not route."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return True
    embedded = _embedded(parsed) if isinstance(parsed, ipaddress.IPv6Address) else None
    return not parsed.is_global or parsed.is_multicast or (embedded is not None and not embedded.is_global)


def resolve(host: str, cancellation: Cancellation | None = None) -> list[str]:
    """The IP addresses of a host; none if nobody knows it."""
    try:
        found = look_up(host, None, _PATIENCE, cancellation or Cancellation())
    except (OSError, UnicodeError):
        return []
    return list({str(address.address[0]) for address in found})


def require_public(address: str) -> None:
    """Raise ``TransportError`` for an address that is private."""
    if is_private(address):
        raise TransportError(f"refusing to connect to the private address {address}")


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address at which packets to ``address`` may arrive in the end."""
    if any(address in network for network in _TRANSLATED):
        return ipaddress.IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour


def _is_odd_ipv4(host: str) -> bool:
    try:
        socket.inet_aton(host)  # 127.1, 0x7f000001, 2130706433
    except (OSError, UnicodeError, ValueError):
        return False
    return " " not in host
