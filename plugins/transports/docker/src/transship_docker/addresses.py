"""Hosts and addresses: which are the same, which are private."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from transship.errors import TransportError

_DEFAULT_PORTS = {"http": 80, "https": 443}

Origin = tuple[str, str, int | None]
Resolve = Callable[[str], list[str]]


def origin_of(url: str) -> Origin:
    """Scheme, host and port of an address; raises ``ValueError`` if it is none."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower().rstrip("."), parts.port or _DEFAULT_PORTS.get(scheme)


def is_literal(host: str) -> bool:
    """Whether ``host`` is an IP address rather than a name, in any notation that resolvers take."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return _is_odd_ipv4(host)
    return True


def is_private(address: str) -> bool:
    """Whether an IP address is one that the public internet does not route."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return True
    mapped = getattr(parsed, "ipv4_mapped", None) or getattr(parsed, "sixtofour", None)
    return not parsed.is_global or parsed.is_multicast or (mapped is not None and not mapped.is_global)


def resolve(host: str) -> list[str]:
    """The IP addresses of a host; none if nobody knows it."""
    try:
        return list({str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError):
        return []


def require_public(address: str) -> None:
    """Raise ``TransportError`` for an address that is private."""
    if is_private(address):
        raise TransportError(f"refusing to connect to the private address {address}")


def _is_odd_ipv4(host: str) -> bool:
    try:
        socket.inet_aton(host)  # 127.1, 0x7f000001, 2130706433
    except (OSError, UnicodeError, ValueError):
        return False
    return " " not in host
