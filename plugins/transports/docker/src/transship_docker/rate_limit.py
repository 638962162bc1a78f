"""Sizes that users write, and keeping to so many bytes per second."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping

from transship.errors import TransportError
from transship.image.quoting import quoted
from transship.plugin.blob import Buffer, Content
from transship.plugin.cancellation import Cancellation

LIMIT_RATE = "limit-rate"

_SIZE = r"(?i:([0-9]{1,15})([kmgt]?)(i?b)?(?:/s)?)"
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_BURST = 0.1


def parse_size(text: str, what: str) -> int:
    """Bytes, from a number that may end with ``k``, ``M``, ``G`` or ``T`` (of 1024); raises ``TransportError``."""
    match = re.fullmatch(_SIZE, text.strip())
    if match is None or not (size := int(match[1]) * _UNITS[match[2].lower()]):
        raise TransportError(f"invalid {what} {quoted(text)}: expected a number of bytes such as 500k or 10M")
    return size


class RateLimit:
    """Makes those who move bytes wait. Several threads share one rate; 0 bytes per second stands for no limit."""

    def __init__(self, rate: int, cancellation: Cancellation) -> None:
        self._rate = rate
        self._cancellation = cancellation
        self._lock = threading.Lock()
        self._free_at = 0.0

    @classmethod
    def of(cls, options: Mapping[str, str], cancellation: Cancellation) -> RateLimit:
        """The limit that the user asked for."""
        text = options.get(LIMIT_RATE, "")
        return cls(parse_size(text, LIMIT_RATE) if text else 0, cancellation)

    def take(self, count: int) -> None:
        """Wait until ``count`` further bytes are due."""
        if not self._rate:
            return
        now = time.monotonic()
        with self._lock:
            start = max(self._free_at, now - _BURST)
            self._free_at = start + count / self._rate
            wait = self._free_at - now
        if wait > 0:
            self._cancellation.wait(wait)

    def applied(self, content: Content) -> Content:
        """``content`` at this rate."""
        return _Limited(content, self) if self._rate else content


class _Limited(Content):
    def __init__(self, content: Content, limit: RateLimit) -> None:
        self._content = content
        self._limit = limit
        self.size = content.size

    def __iter__(self) -> Iterator[Buffer]:
        for piece in self._content:
            self._limit.take(len(piece))
            yield piece

    def close(self) -> None:
        self._content.close()
