"""Connections through a SOCKS proxy (RFC 1928, RFC 1929).

The proxy looks names up, whether it is called ``socks5`` or ``socks5h``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

SCHEMES = ("socks5", "socks5h")

_VERSION = b"\x05"
_NO_AUTHENTICATION, _PASSWORD = b"\x00", b"\x02"
_CONNECT = b"\x01"
_IPV4, _NAME, _IPV6 = b"\x01", b"\x03", b"\x04"
_ADDRESS_SIZES = {_IPV4: 4, _IPV6: 16}
_DEFAULT_PORT = 1080
_REPLIES = {
    1: "general SOCKS server failure",
    2: "connection not allowed by ruleset",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
}

ReadExactly = Callable[[int], bytes]
Write = Callable[[bytes], None]


class SocksError(Exception):
    """The proxy will not connect us."""


class SocksProxy(NamedTuple):
    """Where the proxy is, and who we are there; ``""``: nobody in particular."""

    host: str
    port: int
    username: str = ""
    password: str = ""

    @classmethod
    def parse(cls, url: str) -> SocksProxy:
        """Read ``socks5://[USER:PASSWORD@]HOST[:PORT]``; raises ``ValueError``."""
        parts = urlsplit(url)
        username, password = (unquote(text or "") for text in (parts.username, parts.password))
        if not parts.hostname or max(len(username.encode()), len(password.encode())) > 255:
            raise ValueError
        return cls(parts.hostname, parts.port or _DEFAULT_PORT, username, password)

    def lead_to(self, host: str, port: int, read: ReadExactly, write: Write) -> None:
        """Have the proxy connect us with ``host``; raises ``SocksError``, and what ``read`` and ``write`` raise."""
        methods = _NO_AUTHENTICATION + (_PASSWORD if self.username else b"")
        write(_VERSION + _counted(methods))
        version, method = _split(read(2))
        if version != _VERSION:
            raise SocksError("the proxy does not speak SOCKS 5")
        if method == _PASSWORD and self.username:
            self._log_in(read, write)
        elif method != _NO_AUTHENTICATION:
            raise SocksError("the proxy wants another authentication")
        write(_VERSION + _CONNECT + b"\x00" + _addressed(host) + port.to_bytes(2, "big"))
        _require_connected(read)

    def _log_in(self, read: ReadExactly, write: Write) -> None:
        write(b"\x01" + _counted(self.username.encode()) + _counted(self.password.encode()))
        if read(2)[1]:
            raise SocksError("the proxy does not accept user name and password")


def _require_connected(read: ReadExactly) -> None:
    version, reply, _, kind = _split(read(4))
    if version != _VERSION:
        raise SocksError("the proxy does not speak SOCKS 5")
    if reply[0]:
        raise SocksError(_REPLIES.get(reply[0], f"unknown error {reply[0]}"))
    size = read(1)[0] if kind == _NAME else _ADDRESS_SIZES.get(kind)
    if size is None:
        raise SocksError("the proxy answers with an unknown kind of address")
    read(size + 2)  # the address that it uses itself, and the port, which nobody needs to know


def _addressed(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("ascii")
        if len(name) > 255:
            raise SocksError("the name of the host is too long") from None
        return _NAME + _counted(name)
    return (_IPV4 if address.version == 4 else _IPV6) + address.packed


def _counted(data: bytes) -> bytes:
    return bytes([len(data)]) + data


def _split(data: bytes) -> list[bytes]:
    return [bytes([value]) for value in data]
