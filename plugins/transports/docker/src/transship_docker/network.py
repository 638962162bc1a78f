"""Requests over the network: connections, proxies, time-outs, redirects. Nothing here knows what a registry is."""

from __future__ import annotations

import functools
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from urllib.parse import urljoin, urlsplit

from transship.plugin.cancellation import Cancellation
from transship_docker.addresses import origin_of
from transship_docker.certificates import system_tls_context
from transship_docker.connections import CONNECT_TIMEOUT, STALL_TIMEOUT, Backend, Stream
from transship_docker.errors import NetworkError, printable, redacted
from transship_docker.http import ENGINE_ERRORS, httpcore
from transship_docker.messages import Address, Request, Response, encoded_address, encoded_headers
from transship_docker.network_errors import described
from transship_docker.pool import Pool, Route
from transship_docker.proxies import proxy_for
from transship_docker.secrecy import Secrets
from transship_docker.socks import SCHEMES as SOCKS_SCHEMES
from transship_docker.socks import SocksProxy

_IDLE_TIMEOUT = 90.0
_BIG_PIECE = 1 << 20
_SHORT = 4 << 10
_SHORT_TIMEOUT = 1.0
_REDIRECTS = 10
_REDIRECT_STATUSES = (301, 302, 303, 307, 308)
_SAME_METHOD_STATUSES = (307, 308)

_ALWAYS = (("Accept-Encoding", "identity"),)

Body = bytes | Iterable[bytes] | None
_Lines = tuple[tuple[str, str], ...]


class Network:
    """Sends requests. Several threads may use one at the same time.

    ``insecure``: a redirect may lead from https to http. ``debug`` is told of each request and how it ended.
    ``secrets`` are never shown; what is sent as ``authorization`` belongs to them.
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
        self._cancellation = cancellation
        self._user_agent = user_agent
        self._insecure = insecure
        self._debug = debug
        self.secrets = Secrets()
        self._pool = Pool(self._new_connection)

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
    ) -> Response:
        """The answer, its body still to be read; close it. Redirects are followed where the method may be repeated.

        ``authorization`` is sent to the first origin only, and never again after another one was asked. With
        ``public_only`` no private address is connected to; with ``same_host_only`` redirects to other hosts are
        not followed, nor, with ``content``, those to other origins: it may hold a secret. Raises ``NetworkError``.
        """
        self.secrets.add_authorization(authorization)
        stall_timeout = STALL_TIMEOUT if stall_timeout is None else stall_timeout
        lines = tuple(headers.items() if isinstance(headers, Mapping) else headers)
        for _ in range(_REDIRECTS + 1):
            url = self._encoded(method, url)
            request = Request(method, url, stall_timeout, self.secrets.hide)
            response = self._send_once(request, lines, content, authorization, public_only)
            target = self._redirect_target(response, method, content)
            if not target or (same_host_only and not _is_same_service(target, url, content)):
                return response
            _dismiss(response)
            if origin_of(target) != origin_of(url):
                authorization = ""
            if origin_of(url)[0] == "https" and origin_of(target)[0] != "https" and not self._insecure:
                raise self._failure(method, url, "refusing a redirect from https to http")
            url = target
        raise self._failure(method, url, f"stopped after {_REDIRECTS} redirects")

    def close(self) -> None:
        """Close all connections. May be called more than once."""
        self._pool.close()

    def _send_once(
        self, request: Request, lines: _Lines, content: Body, authorization: str, public_only: bool
    ) -> Response:
        self._cancellation.check()
        sent = self._sendable(request, lines, content, authorization)
        try:
            response = self._pool.send(request, sent, self._route(request.url, sent.url.origin, public_only))
        except (*ENGINE_ERRORS, OSError, ValueError) as error:
            failure = network_error(error, request)
            self._debug(str(failure))
            raise failure from error
        self._debug(self.secrets.hide(f"{request.method} {redacted(request.url)}: {response.status_code}"))
        if isinstance(response.connection, Stream):
            response.connection.head_came()
        return response

    def _encoded(self, method: str, url: str) -> str:
        try:
            encoded = encoded_address(url)
            origin_of(encoded)  # it has one: much is decided by that
            return encoded
        except ValueError as error:
            raise self._failure(method, url, printable(str(error))) from None

    def _sendable(self, request: Request, lines: _Lines, content: Body, authorization: str) -> httpcore.Request:
        """``request`` as the engine takes it."""
        method = request.method
        timeouts = {
            "connect": CONNECT_TIMEOUT,
            "read": request.stall_timeout,
            "write": min(request.stall_timeout, STALL_TIMEOUT),
            "pool": None,
        }
        try:
            url, host = Address.parse(request.url)
            headers = [(b"Host", host), *encoded_headers((("User-Agent", self._user_agent), *_ALWAYS, *lines))]
            headers += _framing(method, content, lines)
            if authorization:
                headers.append((b"Authorization", authorization.encode("ascii")))
        except ValueError as error:
            raise self._failure(method, request.url, printable(str(error))) from None
        body = () if content is None else content
        return httpcore.Request(method, url, headers=headers, content=body, extensions={"timeout": timeouts})

    def _redirect_target(self, response: Response, method: str, content: Body) -> str:
        """Where to go instead, ``""``: nowhere."""
        if not _is_redirect(response, method, content):
            return ""
        try:
            return absolute_url(response.headers["location"], response.request.url)
        except NetworkError as error:
            response.close()
            raise NetworkError(self.secrets.hide(str(error))) from None

    def _failure(self, method: str, url: str, what: str) -> NetworkError:
        return NetworkError(self.secrets.hide(f'{method.capitalize()} "{redacted(url)}": {what}'))

    @staticmethod
    def _route(url: str, origin: httpcore.Origin, public_only: bool) -> Route:
        proxy = proxy_for(url)
        return Route(origin, proxy, public_only and not proxy)

    def _new_connection(self, route: Route) -> httpcore.ConnectionInterface:
        proxy = route.proxy
        is_socks = proxy.partition("://")[0] in SOCKS_SCHEMES
        try:
            origin_of(proxy)  # its port is one
            socks = SocksProxy.parse(proxy) if is_socks else None
            backend = Backend(self._cancellation, public_only=route.public_only, socks=socks)
            pool = self._http_proxy(proxy, backend) if proxy and not is_socks else None
        except ValueError:
            # its address is not shown: it may hold a password
            kinds = "http://, https:// and socks5://"
            raise NetworkError(f"the proxy that the environment names cannot be used: only {kinds} can") from None
        if pool is not None:
            return pool.create_connection(route.origin)
        return httpcore.HTTPConnection(
            route.origin, ssl_context=self._tls, keepalive_expiry=_IDLE_TIMEOUT, network_backend=backend
        )

    def _http_proxy(self, proxy: str, backend: Backend) -> httpcore.HTTPProxy:
        import httpx  # knows how credentials are written in an address, and takes long to import

        try:
            named = httpx.Proxy(proxy)
        except httpx.InvalidURL as error:
            raise ValueError(str(error)) from error
        if named.url.scheme not in ("http", "https"):
            raise ValueError(named.url.scheme)
        is_secured = named.url.scheme == "https"
        return httpcore.HTTPProxy(
            Address.parse(str(named.url)).url,
            proxy_auth=named.raw_auth,
            ssl_context=self._tls,
            proxy_ssl_context=self._proxy_tls if is_secured else None,
            keepalive_expiry=_IDLE_TIMEOUT,
            network_backend=backend,
        )

    @functools.cached_property
    def _proxy_tls(self) -> ssl.SSLContext:
        # Its certificate is verified, whatever the registry's is worth: it may get a password.
        return system_tls_context()


def _framing(method: str, content: Body, lines: _Lines) -> list[tuple[bytes, bytes]]:
    """The header that says how long the body is (RFC 9110, section 8.6), unless ``lines`` do."""
    if content is None and method not in ("POST", "PUT", "PATCH"):
        return []
    if any(name.lower() in ("content-length", "transfer-encoding") for name, _ in lines):
        return []
    if content is None or isinstance(content, bytes):
        return [(b"Content-Length", b"%d" % len(content or b""))]
    return [(b"Transfer-Encoding", b"chunked")]


def _dismiss(response: Response) -> None:
    """Close an answer. If its body is short it is read before, so that the connection can be used again."""
    length = response.headers.get("content-length", "")
    with closing(response), suppress(*ENGINE_ERRORS, OSError):
        if length.isdecimal() and int(length) <= _SHORT:
            end_body_at(response, time.monotonic() + _SHORT_TIMEOUT)
            for _ in response.iter_raw():
                pass


def end_body_at(response: Response, moment: float) -> None:
    """Let a body break off at that moment of ``time.monotonic``, even if what comes never makes a piece."""
    if isinstance(response.connection, Stream):
        response.connection.end_body_at(moment)


def rest_of_body(response: Response, size: int) -> Iterator[memoryview] | None:
    """The last ``size`` bytes of a body, none of which was read yet, straight from the connection; None: it cannot be.

    Nothing else can be read from the answer, nor can its connection be used again. A piece is valid until the next
    one. Raises ``ENGINE_ERRORS``.
    """
    stream = response.connection
    return _rest(stream, response.request.stall_timeout, size) if isinstance(stream, Stream) else None


def _rest(stream: Stream, timeout: float, size: int) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(min(size, _BIG_PIECE)))
    while size:
        try:
            count = stream.read_into(buffer[:size], timeout)
        except TimeoutError as error:
            raise httpcore.ReadTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error
        if not count:
            raise httpcore.RemoteProtocolError("peer closed connection without sending complete message body")
        yield buffer[:count]
        size -= count


def network_error(error: Exception, request: Request) -> NetworkError:
    """``error`` of the HTTP library in the words that users know."""
    reason, may_pass = described(error, request.url)
    return NetworkError(
        request.hide(f'{request.method.capitalize()} "{redacted(request.url)}": {reason}'),
        retryable=may_pass,
        was_connected=not isinstance(error, httpcore.ConnectError | httpcore.ConnectTimeout),
        timed_out=isinstance(error, httpcore.TimeoutException),
    )


def _is_redirect(response: Response, method: str, content: Body) -> bool:
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
