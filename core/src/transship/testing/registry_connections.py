"""Connections to the testing registry: requests one after the other, and answers that go wrong on the wire."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Protocol

from transship.testing.registry_faults import ENDLESS_LIMIT, Fault, Strike
from transship.testing.registry_messages import BrokenBodyError, Refusal, Request, RequestRecord, Response
from transship.testing.registry_requests import Incoming, Reader, read_request

_LOOK = 0.05
_GONE = getattr(select, "POLLRDHUP", 0)  # where it is missing, POLLHUP and POLLERR come without asking
_LINGER_BYTES, _LINGER_SECONDS = 64 << 20, 2.0
_SENDFILE_PIECE = 4 << 20
_BLANKS = b" " * (64 << 10)


class Service(Protocol):
    """Who answers the requests of a listener."""

    def record(self, request: Request) -> RequestRecord:
        """Put a request into the log."""
        ...

    def strike(self, request: Request) -> Strike:
        """The fault that hits it."""
        ...

    def answer(self, request: Request, strike: Strike) -> Response:
        """Do the work; the answer is complete, Content-Length included."""
        ...

    def failed(self, error: Exception) -> None:
        """Remember a mistake of the registry itself."""
        ...


class Connection:
    """One connection and the requests that come over it, one after the other."""

    def __init__(
        self, connection: socket.socket, reader: Reader, host: str, service: Service, closing: threading.Event
    ) -> None:
        self._socket, self._reader, self._host = connection, reader, host
        self._service, self._closing = service, closing

    def serve(self) -> None:
        """Answer requests until one side has enough."""
        goes_on = True
        while goes_on and not self._closing.is_set():
            try:
                incoming = read_request(self._reader, self._socket, self._host)
            except Refusal as refusal:
                return self._refuse(refusal.response())
            goes_on = incoming is not None and self._exchange(incoming)

    def _refuse(self, response: Response) -> None:
        """Answer what is no request; where the next one would begin cannot be known."""
        response.headers.set("Content-Length", str(response.length))
        response.headers.set("Connection", "close")
        self._send_head(response, Fault())
        self._socket.sendall(response.content.read())
        self._linger()

    def _exchange(self, incoming: Incoming) -> bool:
        """Answer one request; False if the connection must end."""
        request, body = incoming.request, incoming.body
        record = self._service.record(request)
        strike = self._service.strike(request)
        fault = strike.fault
        self._wait(fault.delay)
        body.dropped_after, body.stalled_after = fault.drop_request_after, fault.stall_request_after
        body.stall = lambda: self._wait(fault.seconds)
        try:
            response = self._answer(request, strike)
        except BrokenBodyError:
            return False
        finally:
            record.received, record.body = body.received, bytes(body.head)
        if fault.drop_response:
            return False
        record.status = response.status
        closes = not incoming.keep_alive or not body.is_worth_skipping
        if closes:
            response.headers.set("Connection", "close")
        if not self._deliver(request, response, fault, record):
            return False
        if closes:
            self._linger()
            return False
        return body.skip_rest()

    def _answer(self, request: Request, strike: Strike) -> Response:
        try:
            return self._service.answer(request, strike)
        except (BrokenBodyError, OSError):
            raise
        except Exception as error:  # shown by the registry when it is closed
            self._service.failed(error)
            response = Refusal(500, "UNKNOWN", f"mistake in the testing registry: {error!r}").response()
            response.headers.set("Content-Length", str(response.length))
            return response

    def _deliver(self, request: Request, response: Response, fault: Fault, record: RequestRecord) -> bool:
        """Send the answer; False if the connection must end for the client to know where it ends."""
        is_chunked = fault.endless
        if is_chunked:
            response.headers.remove("Content-Length")
            response.headers.set("Transfer-Encoding", "chunked")
        declared = response.headers.get("Content-Length")
        self._send_head(response, fault)
        if request.method == "HEAD" or response.status in (204, 304):
            return True
        if is_chunked:
            self._send_endless(response, record)
            return False
        whole = self._send_body(response, fault, record)
        return whole and declared == str(response.length)

    def _send_head(self, response: Response, fault: Fault) -> None:
        try:
            reason = HTTPStatus(response.status).phrase
        except ValueError:
            reason = "Unknown"
        lines = [f"HTTP/1.1 {response.status} {reason}", *(f"{name}: {value}" for name, value in response.headers)]
        if not fault.header_delay:
            self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace"))
            return
        for line in [*lines, ""]:
            self._wait(fault.header_delay)
            self._socket.sendall(f"{line}\r\n".encode("latin-1", "replace"))

    def _send_body(self, response: Response, fault: Fault, record: RequestRecord) -> bool:
        """Send the body as far as the fault allows; True if that was all of it."""
        start, end = response.start, response.end
        stops = [(fault.stall_after, False), (fault.cut_after, True)]
        for offset, is_cut in sorted((offset, is_cut) for offset, is_cut in stops if offset is not None):
            stop = min(end, response.start + offset)
            self._send_range(response, start, stop, fault, record)
            start = stop
            if is_cut and response.start + offset < end:
                return False
            if not is_cut and response.start + offset <= end:
                self._wait(fault.seconds)
        self._send_range(response, start, end, fault, record)
        return True

    def _send_range(self, response: Response, start: int, end: int, fault: Fault, record: RequestRecord) -> None:
        content = response.content
        if content.path is not None and fault.flipped is None and not isinstance(self._socket, ssl.SSLSocket):
            with content.path.open("rb") as file:
                for at in range(start, end, _SENDFILE_PIECE):
                    size = min(_SENDFILE_PIECE, end - at)
                    with _counted(record, size):
                        self._socket.sendfile(file, at, size)
            return
        for piece in _flipped(content.pieces(start, end), start, fault.flipped):
            with _counted(record, len(piece)):
                self._socket.sendall(piece)

    def _send_endless(self, response: Response, record: RequestRecord) -> None:
        self._send_chunk(response.content.read()[response.start : response.end])
        while record.sent < ENDLESS_LIMIT and not self._closing.is_set():
            with _counted(record, len(_BLANKS)):
                self._send_chunk(_BLANKS)

    def _send_chunk(self, data: bytes) -> None:
        if data:
            self._socket.sendall(b"%x\r\n%b\r\n" % (len(data), data))

    def _wait(self, seconds: float) -> None:
        """Wait, unless the client goes away or the registry is closed meanwhile."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if self._closing.wait(min(left, _LOOK)) or self._is_gone():
                raise BrokenBodyError

    def _is_gone(self) -> bool:
        poll = select.poll()
        poll.register(self._socket, _GONE)
        return bool(poll.poll(0))

    def _linger(self) -> None:
        """Let the client read the last answer before a reset could take it away (RFC 9112 section 9.6)."""
        with contextlib.suppress(OSError, ValueError):
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.settimeout(_LINGER_SECONDS)
            deadline, left = time.monotonic() + _LINGER_SECONDS, _LINGER_BYTES
            while left > 0 and time.monotonic() < deadline and (data := self._socket.recv(64 << 10)):
                left -= len(data)


@contextlib.contextmanager
def _counted(record: RequestRecord, size: int) -> Iterator[None]:
    """Counts first, so that the log is right when the client has the bytes, and takes back what was not sent."""
    record.sent += size
    try:
        yield
    except OSError:
        record.sent -= size
        raise


def _flipped(pieces: Iterator[memoryview], start: int, offset: int | None) -> Iterator[memoryview]:
    for piece in pieces:
        if offset is not None and start <= offset < start + len(piece):
            changed = bytearray(piece)
            changed[offset - start] ^= 1
            yield memoryview(changed)
        else:
            yield piece
        start += len(piece)
