"""Reading HTTP/1.1 requests, strictly and within bounds (RFC 9112)."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from transship.testing.registry_messages import BrokenBodyError, Headers, Refusal, Request

_LINE_LIMIT = 64 << 10
_HEADER_LIMIT = 200
_SKIP_LIMIT = 1 << 20
_PIECE = 1 << 20
_HEAD = 64 << 10
_REQUEST_LINE = re.compile(r"([A-Z]+) (/[^\s#]*) HTTP/1\.([01])")
_HEADER_LINE = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?\r?\n")


class Reader(Protocol):
    """What is needed of a buffered reader."""

    def readline(self, limit: int, /) -> bytes:
        """A line, or as much as there is of it."""
        ...

    def readinto1(self, buffer: memoryview, /) -> int:
        """What is there by now, after waiting for something."""
        ...


class IncomingBody:
    """The body of a request, as it comes from the socket.

    ``head`` is its beginning, as far as it was read.
    ``dropped_after`` and ``stalled_after`` are offsets at which it ends with an error, or ``stall`` is called.
    """

    def __init__(self, reader: Reader, connection: socket.socket, length: int | None, *, expects: bool) -> None:
        self._reader, self._connection, self._expects = reader, connection, expects
        self._source = self._chunks() if length is None else self._counted(length)
        self._length, self._is_done = length, length == 0
        self.received, self.head = 0, bytearray()
        self.dropped_after: int | None = None
        self.stalled_after: int | None = None
        self.stall: Callable[[], None] = lambda: None

    def pieces(self) -> Iterator[memoryview]:
        """The bytes as they arrive."""
        self._continue()
        for piece in self._source:
            before, self.received = self.received, self.received + len(piece)
            self.head += piece[: max(0, _HEAD - before)]
            drop, stall = self.dropped_after, self.stalled_after
            if drop is not None and self.received >= drop:
                yield piece[: drop - before]
                raise BrokenBodyError
            if stall is not None and before <= stall < self.received:
                yield piece[: stall - before]
                self.stall()
                yield piece[stall - before :]
            else:
                yield piece
        if self.dropped_after is not None:
            raise BrokenBodyError
        self._is_done = True

    def read(self, limit: int) -> bytes:
        """All bytes."""
        data = bytearray()
        for piece in self.pieces():
            data += piece
            if len(data) > limit:
                raise Refusal(413, "SIZE_INVALID", f"more than {limit} bytes")
        return bytes(data)

    @property
    def is_worth_skipping(self) -> bool:
        """Whether what nobody read yet is known to be little, and on its way."""
        left = None if self._length is None else self._length - self.received
        return self._is_done or (not self._expects and left is not None and left <= _SKIP_LIMIT)

    def skip_rest(self) -> bool:
        """Read what nobody wanted; False if it does not come."""
        try:
            self.received += sum(len(piece) for piece in self._source)
        except BrokenBodyError:
            return False
        return True

    def _continue(self) -> None:
        if self._expects:
            self._expects = False
            self._connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _counted(self, length: int) -> Iterator[memoryview]:
        buffer = memoryview(bytearray(min(length, _PIECE)))
        while length:
            try:
                count = self._reader.readinto1(buffer[:length])
            except OSError:
                count = 0
            if not count:
                raise BrokenBodyError
            length -= count
            yield buffer[:count]

    def _chunks(self) -> Iterator[memoryview]:
        while size := self._chunk_size():
            yield from self._counted(size)
            self._line()
        while self._line().strip():
            pass  # trailers say nothing that is needed here

    def _chunk_size(self) -> int:
        found = _CHUNK_SIZE.fullmatch(self._line())
        if not found:
            raise BrokenBodyError
        return int(found[1], 16)

    def _line(self) -> bytes:
        try:
            line = self._reader.readline(_LINE_LIMIT)
        except OSError:
            line = b""
        if not line.endswith(b"\n"):
            raise BrokenBodyError
        return line


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request whose body is still to be read from ``body``."""

    request: Request
    body: IncomingBody
    keep_alive: bool


def read_request(reader: Reader, connection: socket.socket, host: str) -> Incoming | None:
    """The next request up to its body, None if the client has no more; a ``Refusal`` if it is not HTTP."""
    line = _text_line(reader)
    if line is None:
        return None
    found = _REQUEST_LINE.fullmatch(line)
    if not found:
        raise Refusal(400, "UNSUPPORTED", "not a request of HTTP/1.1")
    method, target, minor = found.groups()
    headers = _headers(reader)
    length = _length(headers)
    expects = headers.get("Expect").lower() == "100-continue"
    body = IncomingBody(reader, connection, length, expects=expects)
    wishes = headers.get("Connection").lower()
    keep_alive = wishes == "keep-alive" if minor == "0" else wishes != "close"
    return Incoming(Request(method, target, headers, body, host, length), body, keep_alive)


def _text_line(reader: Reader) -> str | None:
    line = reader.readline(_LINE_LIMIT)
    if not line.endswith(b"\n"):
        return None
    return line.rstrip(b"\r\n").decode("latin-1")


def _headers(reader: Reader) -> Headers:
    lines: list[tuple[str, str]] = []
    while line := _text_line(reader):
        found = _HEADER_LINE.fullmatch(line)
        if not found or len(lines) == _HEADER_LIMIT:
            raise Refusal(400, "UNSUPPORTED", "a header line is malformed, or there are too many")
        lines.append((found[1], found[2]))
    if line is None:
        raise BrokenBodyError
    headers = Headers(lines)
    if len(headers.all("Host")) != 1:
        raise Refusal(400, "UNSUPPORTED", "exactly one Host is needed")
    return headers


def _length(headers: Headers) -> int | None:
    """The declared length, None if the body comes in chunks."""
    lengths, codings = headers.all("Content-Length"), headers.all("Transfer-Encoding")
    if codings:
        if lengths or [coding.lower() for coding in codings] != ["chunked"]:
            raise Refusal(400, "UNSUPPORTED", "Transfer-Encoding other than chunked, or with Content-Length")
        return None
    if not lengths:
        return 0
    if len(lengths) != 1 or not re.fullmatch(r"[0-9]{1,18}", lengths[0]):
        raise Refusal(400, "SIZE_INVALID", "Content-Length is not one number")
    return int(lengths[0])
