"""Requests over the network: connections, proxies, time-outs, redirects. Nothing here knows what a registry is."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from transship.plugin.cancellation import Cancellation
from transship_docker.addresses import origin_of, require_public
from transship_docker.errors import NetworkError, printable, redacted
from transship_docker.http import httpcore, httpx
from transship_docker.network_errors import described
from transship_docker.proxies import proxy_for
from transship_docker.secrecy import Secrets

if TYPE_CHECKING:
    import socket

CONNECT_TIMEOUT = 30.0
STALL_TIMEOUT = 60.0
"""How many seconds nothing may come, or be taken, before a connection counts as dead."""

_HANDSHAKE_TIMEOUT = 10.0
_IDLE_TIMEOUT = 90.0
_HEAD_PATIENCE = 1.5
_SLICE = 0.25
_PIECE = 256 << 10
_BIG_PIECE = 1 << 20
_REDIRECTS = 10
_REDIRECT_STATUSES = (301, 302, 303, 307, 308)
_SAME_METHOD_STATUSES = (307, 308)

_HIDE = "transship.hide"
"""The extension of a request that says how to keep its secrets from being shown."""

Body = bytes | Iterable[bytes] | None


class Network:
    """Sends requests. Several threads may use one at the same time.

    ``insecure``: a redirect may lead from https to http. ``debug`` is told of each request and how it ended.
    ``secrets`` are never shown; what is sent as ``authorization`` belongs to them. ``cancellation`` ends all waits.
    """

    def __init__(
        self,
        tls: ssl.SSLContext,
        cancellation: Cancellation,
        user_agent: str,
        *,
        insecure: bool,
        debug: Callable[[str], None] = lambda message: None,
    ) -> None:
        self._tls = tls
        self.cancellation = cancellation
        self._user_agent = user_agent
        self._insecure = insecure
        self._debug = debug
        self.secrets = Secrets()
        self._lock = threading.Lock()
        self._transports: dict[tuple[str, bool], httpx.HTTPTransport] = {}

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        *,
        content: Body = None,
        authorization: str = "",
        public_only: bool = False,
        same_host_only: bool = False,
        stall_timeout: float | None = None,
    ) -> httpx.Response:
        """The answer, its body still to be read; close it. Redirects are followed where the method may be repeated.

        ``authorization`` is sent to the first origin only, and never again after another one was asked. With
        ``public_only`` no private address is connected to; with ``same_host_only`` redirects to other hosts are
        not followed, nor, with ``content``, those to other origins: it may hold a secret. Raises ``NetworkError``.
        """
        self.secrets.add_authorization(authorization)
        for _ in range(_REDIRECTS + 1):
            response = self._send_once(
                self._request(method, url, headers, content, authorization, stall_timeout), public_only
            )
            target = self._redirect_target(response, method, content)
            if not target or (same_host_only and not _is_same_service(target, url, content)):
                return response
            response.close()
            if origin_of(target) != origin_of(url):
                authorization = ""
            if origin_of(url)[0] == "https" and origin_of(target)[0] != "https" and not self._insecure:
                raise self._failure(method, url, "refusing a redirect from https to http")
            url = target
        raise self._failure(method, url, f"stopped after {_REDIRECTS} redirects")

    def close(self) -> None:
        """Close all connections. May be called more than once."""
        with self._lock:
            transports, self._transports = self._transports, {}
        for transport in transports.values():
            transport.close()

    def _send_once(self, request: httpx.Request, public_only: bool) -> httpx.Response:
        self.cancellation.check()
        url = str(request.url)
        try:
            response = self._transport(url, public_only).handle_request(request)
        except (httpx.HTTPError, OSError, ValueError) as error:
            failure = network_error(error, request)
            self._debug(str(failure))
            raise failure from error
        self._debug(self.secrets.hide(f"{request.method} {redacted(url)}: {response.status_code}"))
        response.request = request
        stream = response.extensions.get("network_stream")
        if isinstance(stream, _Stream):
            stream.head_came()
        return response

    def _request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | Iterable[tuple[str, str]],
        content: Body,
        authorization: str,
        stall_timeout: float | None,
    ) -> httpx.Request:
        pairs = [("User-Agent", self._user_agent), ("Accept-Encoding", "identity")]
        pairs += headers.items() if isinstance(headers, Mapping) else headers
        if authorization:
            pairs.append(("Authorization", authorization))
        stall_timeout = STALL_TIMEOUT if stall_timeout is None else stall_timeout
        timeouts = {
            "connect": CONNECT_TIMEOUT,
            "read": stall_timeout,
            "write": min(stall_timeout, STALL_TIMEOUT),
            "pool": None,
        }
        try:
            extensions = {"timeout": timeouts, _HIDE: self.secrets.hide}
            return httpx.Request(method, url, headers=pairs, content=content, extensions=extensions)
        except (httpx.InvalidURL, UnicodeError, ValueError) as error:
            raise self._failure(method, url, printable(str(error))) from None

    def _redirect_target(self, response: httpx.Response, method: str, content: Body) -> str:
        """Where to go instead, ``""``: nowhere."""
        if not _is_redirect(response, method, content):
            return ""
        try:
            return absolute_url(response.headers["location"], str(response.request.url))
        except NetworkError as error:
            response.close()
            raise NetworkError(self.secrets.hide(str(error))) from None

    def _failure(self, method: str, url: str, what: str) -> NetworkError:
        return NetworkError(self.secrets.hide(f'{method.capitalize()} "{redacted(url)}": {what}'))

    def _transport(self, url: str, public_only: bool) -> httpx.HTTPTransport:
        proxy = proxy_for(url)
        with self._lock:
            key = (proxy, public_only and not proxy)
            if key not in self._transports:
                self._transports[key] = self._new_transport(*key)
            return self._transports[key]

    def _new_transport(self, proxy: str, public_only: bool) -> httpx.HTTPTransport:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=32, keepalive_expiry=_IDLE_TIMEOUT)
        try:
            transport = httpx.HTTPTransport(verify=self._tls, trust_env=False, limits=limits, proxy=proxy or None)
        except (ValueError, ImportError, httpx.InvalidURL):
            # its address is not shown: it may hold a password
            raise NetworkError("the proxy that the environment names cannot be used") from None
        # httpx has no word for it: the pool's backend decides how a socket is read.
        transport._pool._network_backend = _Backend(self.cancellation, public_only=public_only)
        return transport


def rest_of_body(response: httpx.Response, size: int) -> Iterator[memoryview] | None:
    """The last ``size`` bytes of a body, none of which was read yet, straight from the connection; None: it cannot be.

    Nothing else can be read from the answer, nor can its connection be used again. A piece is valid until the next
    one. Raises ``httpx.HTTPError``.
    """
    stream = response.extensions.get("network_stream")
    return _rest(stream, response, size) if isinstance(stream, _Stream) else None


def _rest(stream: _Stream, response: httpx.Response, size: int) -> Iterator[memoryview]:
    timeout = response.request.extensions["timeout"]["read"]
    buffer = memoryview(bytearray(min(size, _BIG_PIECE)))
    while size:
        try:
            count = stream.read_into(buffer[:size], timeout)
        except TimeoutError as error:
            raise httpx.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpx.ReadError(str(error)) from error
        if not count:
            raise httpx.RemoteProtocolError("peer closed connection without sending complete message body")
        yield buffer[:count]
        size -= count


def network_error(error: Exception, request: httpx.Request) -> NetworkError:
    """``error`` of the HTTP library in the words that users know."""
    url = str(request.url)
    reason, may_pass = described(error, url)
    return NetworkError(
        request.extensions[_HIDE](f'{request.method.capitalize()} "{redacted(url)}": {reason}'),
        retryable=may_pass,
        was_connected=not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout),
        timed_out=isinstance(error, httpx.TimeoutException),
    )


def _is_redirect(response: httpx.Response, method: str, content: Body) -> bool:
    """Whether an answer leads elsewhere, and the same may be asked for there."""
    status = response.status_code
    if status not in _REDIRECT_STATUSES or not response.headers.get("location", ""):
        return False
    is_repeatable = method in ("GET", "HEAD") or status in _SAME_METHOD_STATUSES
    return is_repeatable and (content is None or isinstance(content, bytes))


def _is_same_service(target: str, url: str, content: Body) -> bool:
    if content is None:
        return origin_of(target)[1] == origin_of(url)[1]
    return origin_of(target) == origin_of(url)


def absolute_url(location: str, base: str) -> str:
    """``location`` as a server at ``base`` means it; raises ``NetworkError`` for anything but http and https."""
    try:
        url = location if urlsplit(location).scheme else urljoin(base, location)
        scheme, host, _ = origin_of(url)
    except ValueError:
        scheme = host = url = ""
    if scheme not in ("http", "https") or not host:
        raise NetworkError(f'"{redacted(base)}" names an address that is neither http nor https')
    return url


class _Backend(httpcore.NetworkBackend):
    """Connections that notice within a moment that the work was cancelled."""

    def __init__(self, cancellation: Cancellation, *, public_only: bool) -> None:
        self._backend = httpcore.SyncBackend()
        self._cancellation = cancellation
        self._public_only = public_only

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        self._cancellation.check()
        stream = self._backend.connect_tcp(host, port, timeout, local_address, socket_options or ())
        try:
            if self._public_only:
                require_public(stream.get_extra_info("server_addr")[0])
        except BaseException:
            stream.close()
            raise
        return _Stream(stream, self._cancellation)


class _Stream(httpcore.NetworkStream):
    """A connection that is read in big pieces."""

    def __init__(self, stream: httpcore.NetworkStream, cancellation: Cancellation) -> None:
        self._stream = stream
        self._socket: socket.socket = stream.get_extra_info("socket")
        self._is_tls = isinstance(self._socket, ssl.SSLSocket)
        self._cancellation = cancellation
        self._buffer: memoryview | None = None
        self._awaits_head = False
        self._head_end: float | None = None

    def head_came(self) -> None:
        """Say that what is read from now on is a body, which may take as long as it likes if only it moves."""
        self._awaits_head = False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._buffer is None:
            self._buffer = memoryview(bytearray(_PIECE))
        try:
            count = self.read_into(self._buffer, timeout)
        except TimeoutError as error:
            raise httpcore.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error
        return bytes(self._buffer[:count])

    def read_into(self, buffer: memoryview, timeout: float | None = None) -> int:
        """Read what there is, at least one byte; 0: there will be none. Raises ``OSError``."""
        count = self._receive(buffer, timeout)
        if self._is_tls and count:
            count += self._receive_what_is_there(buffer[count:])
        return count

    def _receive(self, buffer: memoryview, timeout: float | None) -> int:
        limit = STALL_TIMEOUT if timeout is None else timeout
        end = time.monotonic() + limit
        if self._awaits_head:
            self._head_end = self._head_end or time.monotonic() + _HEAD_PATIENCE * limit
            end = min(end, self._head_end)
        while True:
            self._cancellation.check()
            if self._awaits_head and time.monotonic() >= end:
                raise TimeoutError
            self._socket.settimeout(_SLICE)
            try:
                return self._socket.recv_into(buffer)
            except TimeoutError:
                if time.monotonic() >= end:
                    raise

    def _receive_what_is_there(self, buffer: memoryview) -> int:
        """TLS hands out one record of at most 16 KiB at a time."""
        self._socket.settimeout(0)
        count = 0
        while count < len(buffer):
            try:
                received = self._socket.recv_into(buffer[count:])
            except OSError:  # nothing more for now; what is wrong will be wrong at the next read
                break
            if not received:
                break
            count += received
        return count

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._awaits_head, self._head_end = True, None
        try:
            self._send(memoryview(buffer), timeout)
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def _send(self, rest: memoryview, timeout: float | None) -> None:
        limit = STALL_TIMEOUT if timeout is None else timeout
        end = time.monotonic() + limit
        while rest:
            self._cancellation.check()
            self._socket.settimeout(_SLICE)
            try:
                rest = rest[self._socket.send(rest) :]
            except TimeoutError:
                if time.monotonic() >= end:
                    raise
            else:
                end = time.monotonic() + limit

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        shorter = _HANDSHAKE_TIMEOUT if timeout is None else min(timeout, _HANDSHAKE_TIMEOUT)
        stream = self._stream.start_tls(ssl_context, server_hostname, shorter)
        # TLS within TLS, through a proxy that is asked over https, is not a socket any more.
        return stream if self._is_tls else _Stream(stream, self._cancellation)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)

    def close(self) -> None:
        self._stream.close()
