"""Requests to the servers that help signing. No redirect is followed, and no secret leaves in the clear."""

from __future__ import annotations

import ipaddress
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from transship import __version__
from transship.errors import InvalidManifestError, SignatureError
from transship.image.quoting import quoted
from transship.image.strict_json import load_json_object
from transship.plugin.cancellation import Cancellation

if TYPE_CHECKING:
    import ssl

    import httpx

_BODY_LIMIT = 1 << 20
_TIMEOUT = 60.0
_DEADLINE = 180.0  # for an answer as a whole: each of its pieces may come in time and the next one, too, for ever
_INTERVAL = 0.1
_ADDRESS_LIMIT = 2000
_LOCAL_NAMES = ("localhost", "localhost.")
_ADDRESS = re.compile(rf"[!-~]{{1,{_ADDRESS_LIMIT}}}")


class UnreachableError(SignatureError):
    """No answer came; another try may bring one."""


class Answer(NamedTuple):
    """What a server said."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body as a JSON object; raise ``SignatureError``."""
        try:
            return load_json_object(self.body, f"answer of {self.url}")
        except InvalidManifestError as error:
            raise SignatureError(str(error)) from None

    def failure(self, secrets: tuple[str, ...] = ()) -> SignatureError:
        """The error that this answer means, with what the server says about it but ``secrets``."""
        detail = self.body.decode("utf-8", "replace").strip()
        for secret in filter(None, secrets):
            detail = detail.replace(secret, "…")
        return SignatureError(f"{self.url} answered {self.status}{f': {quoted(detail)}' if detail else ''}")


def is_loopback(url: str) -> bool:
    """Whether ``url`` leads to this machine, by its name or address alone."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in _LOCAL_NAMES


def require_url(url: str, what: str, *, secret: bool = True) -> str:
    """``url``; raise ``SignatureError``, naming ``what``, if it cannot be used.

    ``secret``: what goes there is one, so it must be https, or this machine.
    """
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole or parts.username is not None or parts.fragment or not _ADDRESS.fullmatch(url):
        raise SignatureError(f"{what}: expected an address like https://host/path")
    if secret and parts.scheme != "https" and not is_loopback(url):
        raise SignatureError(f"{what}: {url} would be told a secret and is not https")
    return url


def base_url(url: str, what: str, *, secret: bool = True) -> str:
    """As ``require_url``, for an address to which more is added: without a query and without ``/`` at its end."""
    if "?" in url:
        raise SignatureError(f"{what}: expected an address like https://host/path")
    return require_url(url, what, secret=secret).rstrip("/")


def ask(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    json: Any = None,
    form: Mapping[str, str] | None = None,
    cancellation: Cancellation,
) -> Answer:
    """The answer to one request, whatever its status; raise ``UnreachableError`` if there is none in three minutes.

    ``url`` is one that ``require_url`` let through, or a part of it.
    """
    import httpx

    # Its debug lines show headers as they go.
    logging.getLogger("httpcore").setLevel(logging.INFO)
    sent = {"User-Agent": f"transship/{__version__}", "Accept-Encoding": "identity", **(headers or {})}
    try:
        with httpx.Client(verify=_tls(url), timeout=_TIMEOUT, trust_env=not is_loopback(url)) as client:

            def answer() -> Answer:
                with client.stream(method, url, headers=sent, json=json, data=form, follow_redirects=False) as response:
                    return Answer(url, response.status_code, dict(response.headers), _body(response))

            return _awaited(answer, cancellation)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise UnreachableError(f"{method} {url}: {quoted(str(error) or type(error).__name__)}") from None


def _tls(url: str) -> ssl.SSLContext | bool:
    if url.startswith("http:"):
        return False
    import ssl

    return ssl.create_default_context()


def _awaited(answer: Callable[[], Answer], cancellation: Cancellation) -> Answer:
    """What ``answer`` returns, unless that takes too long; whoever gives it up then closes its connection."""
    results: SimpleQueue[Answer | Exception] = SimpleQueue()

    def work() -> None:
        try:
            results.put(answer())
        except Exception as error:
            results.put(error)

    threading.Thread(target=work, daemon=True).start()
    end = time.monotonic() + _DEADLINE
    while time.monotonic() < end:
        cancellation.check()
        try:
            result = results.get(timeout=_INTERVAL)
        except Empty:
            continue
        if isinstance(result, Exception):
            raise result
        return result
    raise ValueError("the answer takes too long")


def _body(response: httpx.Response) -> bytes:
    body = bytearray()
    for piece in response.iter_raw():
        body += piece
        if len(body) > _BODY_LIMIT:
            raise ValueError(f"the answer has more than {_BODY_LIMIT} bytes")
    return bytes(body)
