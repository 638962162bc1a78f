"""Bodies of answers, within bounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from transship.errors import TransportError
from transship_docker.backoff import Backoff
from transship_docker.errors import NetworkError
from transship_docker.http import ENGINE_ERRORS, httpcore
from transship_docker.network import end_body_at, network_error, rest_of_body

if TYPE_CHECKING:
    from transship.plugin.blob import Buffer
    from transship_docker.messages import Response

_LONG = 4 << 20
"""Shorter rests are read as usual, so that their connection can be used again."""

BODY_TIMEOUT = 300.0
"""How many seconds a body that is not a blob may take, however steadily it trickles."""


def pieces(response: Response) -> Iterator[Buffer]:
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
    except (*ENGINE_ERRORS, OSError) as error:
        raise network_error(error, response.request) from error


def _length(response: Response) -> int:
    """How many bytes the body has; 0 where its end is told in another way."""
    length = response.headers.get("content-length", "")
    return int(length) if length.isdigit() and "transfer-encoding" not in response.headers else 0


def read_body(response: Response, limit: int) -> bytes:
    """The whole body, and close the answer; raises ``NetworkError``, and ``TransportError`` for a longer one."""
    body = bytearray()
    with closing(response):
        for piece in _timed(response):
            body += piece
            if len(body) > limit:
                raise TransportError(f"exceeded maximum allowed size of {limit} bytes")
    return bytes(body)


def read_what_comes(response: Response, limit: int) -> bytes:
    """The beginning of a body that only explains the status, wherever it breaks off, and close the answer."""
    body = bytearray()
    with closing(response), suppress(NetworkError):
        for piece in _timed(response):
            body += piece
            if len(body) > limit:
                break
    return bytes(body[:limit])


def whole_answer(send: Callable[[], Response], backoff: Backoff, limit: int) -> tuple[Response, bytes]:
    """The answer to a request that may be made again, and its body; only that of status 200 must be whole.

    Raises ``NetworkError``, and ``TransportError`` for a body of more than ``limit`` bytes.
    """
    while True:
        try:
            response = send()
            body = (read_body if response.status_code == 200 else read_what_comes)(response, limit)
        except NetworkError as error:
            if not (error.retryable and backoff.wait_after_failure(timed_out=error.timed_out)):
                raise
            continue
        if not backoff.wait_after_status(response.status_code, response.headers):
            return response, body


def _timed(response: Response) -> Iterator[Buffer]:
    """The pieces of a body that must not trickle for ever."""
    end = time.monotonic() + BODY_TIMEOUT
    end_body_at(response, end)
    for piece in pieces(response):
        yield piece
        if time.monotonic() >= end:
            raise network_error(httpcore.ReadTimeout(""), response.request)
