"""Failures of the network in the words that users, and their scripts, know from Skopeo."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterator
from typing import TypeVar

from transship_docker.addresses import origin_of
from transship_docker.errors import printable
from transship_docker.http import httpcore
from transship_docker.proxies import proxy_for

_Kind = TypeVar("_Kind", bound=BaseException)

_VERIFICATION = {
    18: "x509: certificate signed by unknown authority",  # self-signed
    19: "x509: certificate signed by unknown authority",
    20: "x509: certificate signed by unknown authority",
    21: "x509: certificate signed by unknown authority",
    9: "x509: certificate has expired or is not yet valid",
    10: "x509: certificate has expired or is not yet valid",
}
_PASSING = {
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.ECONNABORTED,
    errno.EPIPE,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.ETIMEDOUT,
    errno.EINTR,
    errno.EAGAIN,
    errno.EBUSY,
}


def described(error: Exception, url: str) -> tuple[str, bool]:
    """What went wrong on the way to ``url``, and whether another attempt may succeed."""
    proxy = proxy_for(url)
    _, host, port = origin_of(proxy or url)
    dialled = f"{'proxyconnect tcp: ' if proxy else ''}dial tcp"
    chain = list(_chain(error))
    if (found := _first(chain, ssl.SSLError)) is not None:
        return _tls(found)
    if (unknown := _first(chain, socket.gaierror)) is not None:
        return f"{dialled}: lookup {host}: {_lookup_reason(unknown)}", unknown.errno == socket.EAI_AGAIN
    if isinstance(error, httpcore.TimeoutException):
        return f"{dialled} {host}:{port}: i/o timeout" if isinstance(
            error, httpcore.ConnectTimeout
        ) else "i/o timeout", True
    if (failure := next((link for link in chain if isinstance(link, OSError) and link.errno), None)) is not None:
        where = f"{dialled} {host}:{port}: connect: " if isinstance(error, httpcore.ConnectError) else ""
        return f"{where}{os.strerror(failure.errno or 0).lower()}", failure.errno in _PASSING
    if isinstance(error, httpcore.LocalProtocolError) and "header" in str(error):
        return "a header would hold characters that it must not", False  # not shown: it may be a token
    if isinstance(error, httpcore.RemoteProtocolError):
        return _protocol(str(error))
    return printable(str(error)) or type(error).__name__, isinstance(error, httpcore.NetworkError)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _first(chain: list[BaseException], kind: type[_Kind]) -> _Kind | None:
    return next((link for link in chain if isinstance(link, kind)), None)


def _lookup_reason(error: socket.gaierror) -> str:
    is_unknown = error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
    return "no such host" if is_unknown else printable(str(error.strerror)).lower()


def _protocol(text: str) -> tuple[str, bool]:
    if "ConnectionClosed" in text:  # so h11 says of a connection that ended with the answer before
        return "EOF", True
    if "disconnected" in text or "closed connection" in text or "incomplete" in text:
        return "unexpected EOF" if "incomplete" in text or "closed connection" in text else "EOF", True
    return f"malformed HTTP response: {printable(text)}", False


def _tls(error: ssl.SSLError) -> tuple[str, bool]:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"tls: failed to verify certificate: {_verification(error)}", False
    reason = error.reason or ""
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"):
        return "http: server gave HTTP response to HTTPS client", False
    if "ALERT" in reason:
        alert = reason.rpartition("ALERT_")[2].replace("_", " ").lower()
        return f"remote error: tls: {printable(alert)}", False
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "EOF", True
    return f"tls: {printable(reason.replace('_', ' ').lower() or str(error))}", False


def _verification(error: ssl.SSLCertVerificationError) -> str:
    known = _VERIFICATION.get(error.verify_code)
    if known:
        return known
    # the library's own text names both the host and what the certificate is for
    return f"x509: {printable(error.verify_message.rstrip('.'))}"
