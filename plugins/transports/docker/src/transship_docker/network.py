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
from transship_docker.http import httpx
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

_HIDE = "transship.hide"
"""The extension of a request that says how to keep its secrets from being shown."""

Body = bytes | Iterable[bytes] | None


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
        self._pool = Pool(self._new_transport)

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

    def _send_once(self, request: httpx.Request, public_only: bool) -> httpx.Response:
        self._cancellation.check()
        url = str(request.url)
        try:
            response = self._pool.send(request, self._route(url, public_only))
        except (httpx.HTTPError, OSError, ValueError) as error:
            failure = network_error(error, request)
            self._debug(str(failure))
            raise failure from error
        self._debug(self.secrets.hide(f"{request.method} {redacted(url)}: {response.status_code}"))
        response.request = request
        stream = response.extensions.get("network_stream")
        if isinstance(stream, Stream):
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
        lines = headers.items() if isinstance(headers, Mapping) else headers
        lines = (("User-Agent", self._user_agent), ("Accept-Encoding", "identity"), *lines)
        stall_timeout = STALL_TIMEOUT if stall_timeout is None else stall_timeout
        timeouts = {
            "connect": CONNECT_TIMEOUT,
            "read": stall_timeout,
            "write": min(stall_timeout, STALL_TIMEOUT),
            "pool": None,
        }
        try:
            parsed = httpx.URL(url)
            known = _checked(parsed.netloc, lines)
            extensions = {"timeout": timeouts, _HIDE: self.secrets.hide}
            if content is None and method in ("GET", "HEAD"):
                request = httpx.Request(method, parsed, headers=known, stream=_NO_BODY, extensions=extensions)
            else:
                request = httpx.Request(method, parsed, headers=known, content=content, extensions=extensions)
            if authorization:
                request.headers["Authorization"] = authorization
            return request
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

    @staticmethod
    def _route(url: str, public_only: bool) -> Route:
        proxy = proxy_for(url)
        return Route(origin_of(url), proxy, public_only and not proxy)

    def _new_transport(self, route: Route) -> httpx.HTTPTransport:
        proxy = route.proxy
        limits = httpx.Limits(max_connections=None, keepalive_expiry=_IDLE_TIMEOUT)
        try:
            is_socks = proxy.partition("://")[0] in SOCKS_SCHEMES
            socks = SocksProxy.parse(proxy) if is_socks else None
            asked = self._http_proxy(proxy) if proxy and not is_socks else None
            transport = httpx.HTTPTransport(verify=self._tls, trust_env=False, limits=limits, proxy=asked)
        except (ValueError, httpx.InvalidURL):
            # its address is not shown: it may hold a password
            kinds = "http://, https:// and socks5://"
            raise NetworkError(f"the proxy that the environment names cannot be used: only {kinds} can") from None
        # httpx has no word for it: the pool's backend decides how a socket is made and read.
        transport._pool._network_backend = Backend(self._cancellation, public_only=route.public_only, socks=socks)
        return transport

    def _http_proxy(self, url: str) -> httpx.Proxy:
        return httpx.Proxy(url, ssl_context=self._proxy_tls if url.startswith("https:") else None)

    @functools.cached_property
    def _proxy_tls(self) -> ssl.SSLContext:
        # Its certificate is verified, whatever the registry's is worth: it may get a password.
        return system_tls_context()


class _NoBody(httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        return iter(())


_NO_BODY = _NoBody()


@functools.lru_cache(maxsize=64)
def _checked(host: bytes, lines: tuple[tuple[str, str], ...]) -> httpx.Headers:
    """Header lines that are sent often: httpx looks at each character of them."""
    return httpx.Headers([("Host", host.decode()), *lines])


def _dismiss(response: httpx.Response) -> None:
    """Close an answer. If its body is short it is read before, so that the connection can be used again."""
    length = response.headers.get("content-length", "")
    with closing(response), suppress(httpx.HTTPError, OSError):
        if length.isdecimal() and int(length) <= _SHORT:
            end_body_at(response, time.monotonic() + _SHORT_TIMEOUT)
            for _ in response.iter_raw():
                pass


def end_body_at(response: httpx.Response, moment: float) -> None:
    """Let a body break off at that moment of ``time.monotonic``, even if what comes never makes a piece."""
    stream = response.extensions.get("network_stream")
    if isinstance(stream, Stream):
        stream.end_body_at(moment)


def rest_of_body(response: httpx.Response, size: int) -> Iterator[memoryview] | None:
    """The last ``size`` bytes of a body, none of which was read yet, straight from the connection; None: it cannot be.

    Nothing else can be read from the answer, nor can its connection be used again. A piece is valid until the next
    one. Raises ``httpx.HTTPError``.
    """
    stream = response.extensions.get("network_stream")
    return _rest(stream, response, size) if isinstance(stream, Stream) else None


def _rest(stream: Stream, response: httpx.Response, size: int) -> Iterator[memoryview]:
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
