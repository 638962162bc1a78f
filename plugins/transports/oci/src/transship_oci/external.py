"""Layers that lie elsewhere: the ``urls`` of non-distributable layers (OCI image-spec descriptor.md)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from transship.errors import TransportError
from transship.image.media_types import (
    DOCKER_FOREIGN_LAYER,
    DOCKER_FOREIGN_LAYER_GZIP,
    OCI_NONDISTRIBUTABLE_LAYER,
    OCI_NONDISTRIBUTABLE_LAYER_GZIP,
    OCI_NONDISTRIBUTABLE_LAYER_ZSTD,
)
from transship.plugin.blob import CHUNK_SIZE, Buffer, Content

if TYPE_CHECKING:
    from transship.image.descriptor import Descriptor

_TYPES = (
    DOCKER_FOREIGN_LAYER,
    DOCKER_FOREIGN_LAYER_GZIP,
    OCI_NONDISTRIBUTABLE_LAYER,
    OCI_NONDISTRIBUTABLE_LAYER_GZIP,
    OCI_NONDISTRIBUTABLE_LAYER_ZSTD,
)
_TIMEOUT = 30.0
_MAX_URLS = 20


def fetchable_urls(descriptor: Descriptor) -> list[str]:
    """The addresses a blob may be fetched from; none for layers that are meant to be distributed."""
    if descriptor.media_type not in _TYPES:
        return []
    return [url for url in descriptor.urls if _is_usable(url)][:_MAX_URLS]


def fetch_external(urls: Sequence[str]) -> Content:
    """The first answer that any of ``urls`` gives, asked without credentials; raises ``TransportError``."""
    failures = []
    for url in urls:
        try:
            return _ExternalContent(_open(url), _shown(url))
        except TransportError as error:
            failures.append(str(error))
    raise TransportError(f"failed fetching external blob from all urls: {'; '.join(failures)}", retryable=True)


def _is_usable(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return False


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _open(url: str) -> IO[bytes]:
    # imported here: hardly any image has such a layer, and these are slow to import
    import urllib.request
    from http.client import HTTPException

    class Redirects(urllib.request.HTTPRedirectHandler):
        max_redirections = 10

        def redirect_request(self, *args: Any) -> urllib.request.Request | None:
            if not _is_usable(args[-1]):
                args[1].close()
                raise TransportError("redirected to what is no plain http or https address")
            return super().redirect_request(*args)

    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        Redirects(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    try:
        response = opener.open(urllib.request.Request(url), timeout=_TIMEOUT)  # noqa: S310 - only http and https pass _is_usable
    except TransportError as error:
        raise TransportError(f"fetching {_shown(url)}: {error}") from None
    except (OSError, HTTPException, ValueError) as error:
        _close_answer(error)
        raise TransportError(f"fetching {_shown(url)}: {_reason(error)}") from error
    if response.status != 200:
        response.close()
        raise TransportError(f"fetching {_shown(url)}: unexpected HTTP status {response.status}")
    return response  # type: ignore[no-any-return]  # OpenerDirector.open is typed loosely


def _close_answer(error: Exception) -> None:
    close = getattr(error, "close", None)  # an HTTPError holds the connection
    if close is not None:
        close()


def _reason(error: Exception) -> str:
    status = getattr(error, "code", None)
    if status:
        return f"unexpected HTTP status {status}"
    cause = getattr(error, "reason", error)  # a URLError's own text wraps it
    return (getattr(cause, "strerror", None) or str(cause) or type(cause).__name__).lower()


class _ExternalContent(Content):
    def __init__(self, response: IO[bytes], shown: str) -> None:
        self._response = response
        self._shown = shown

    def __iter__(self) -> Iterator[Buffer]:
        while chunk := self._read():
            yield chunk

    def _read(self) -> bytes:
        from http.client import HTTPException

        try:
            return self._response.read(CHUNK_SIZE)
        except (OSError, HTTPException, ValueError) as error:
            raise TransportError(f"fetching {self._shown}: {_reason(error)}", retryable=True) from error

    def close(self) -> None:
        self._response.close()
