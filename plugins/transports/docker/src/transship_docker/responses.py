"""Bodies of answers, within bounds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from transship.errors import TransportError
from transship_docker.http import httpx
from transship_docker.network import network_error, rest_of_body

if TYPE_CHECKING:
    from transship.plugin.blob import Buffer

_LONG = 4 << 20
"""Shorter rests are read as usual, so that their connection can be used again."""

BODY_TIMEOUT = 300.0
"""How many seconds a body that is not a blob may take, however steadily it trickles."""


def pieces(response: httpx.Response) -> Iterator[Buffer]:
    """The body as it comes, not decoded; raises ``NetworkError`` where it breaks off."""
    left = _length(response)
    try:
        for piece in response.iter_raw():
            yield piece
            left -= len(piece)
            # All that came with the head was in that piece, so the rest need not go through the HTTP library,
            # which copies each byte four times.
            if left >= _LONG and (rest := rest_of_body(response, left)) is not None:
                yield from rest
                return
    except (httpx.HTTPError, OSError) as error:
        raise network_error(error, response.request.method, str(response.request.url)) from error


def _length(response: httpx.Response) -> int:
    """How many bytes the body has; 0 where its end is told in another way."""
    length = response.headers.get("content-length", "")
    return int(length) if length.isdigit() and "transfer-encoding" not in response.headers else 0


def read_body(response: httpx.Response, limit: int, *, cut: bool = False) -> bytes:
    """The whole body, and close the answer. A longer one is cut, or raises ``TransportError``."""
    body = bytearray()
    end = time.monotonic() + BODY_TIMEOUT
    try:
        for piece in pieces(response):
            body += piece
            if time.monotonic() >= end:
                raise network_error(httpx.ReadTimeout(""), response.request.method, str(response.request.url))
            if len(body) > limit:
                if cut:
                    break
                raise TransportError(f"exceeded maximum allowed size of {limit} bytes")
    finally:
        response.close()
    return bytes(body[:limit])
