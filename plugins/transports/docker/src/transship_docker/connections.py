"""Connections as the HTTP library uses them: they notice within a moment that the work was cancelled."""

from __future__ import annotations

import math
import socket
import ssl
import time
from collections.abc import Iterable

from transship.plugin.cancellation import Cancellation
from transship_docker.addresses import require_public
from transship_docker.dialing import SLICE, dial
from transship_docker.http import SyncStream, httpcore
from transship_docker.socks import SocksError, SocksProxy

CONNECT_TIMEOUT = 30.0
STALL_TIMEOUT = 60.0
"""How many seconds nothing may come, or be taken, before a connection counts as dead."""

_HANDSHAKE_TIMEOUT = 10.0
_HEAD_PATIENCE = 1.5
_PIECE = 256 << 10


class Backend(httpcore.NetworkBackend):
    """Makes connections. ``public_only``: none to a private address. ``socks``: the proxy that they go through."""

    def __init__(self, cancellation: Cancellation, *, public_only: bool, socks: SocksProxy | None) -> None:
        self._cancellation = cancellation
        self._public_only = public_only
        self._socks = socks

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        there = self._socks or (host, port)
        try:
            connection = dial(there[0], there[1], timeout or CONNECT_TIMEOUT, self._cancellation)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        stream = Stream(connection, self._cancellation)
        try:
            if self._public_only:
                require_public(connection.getpeername()[0])
            if self._socks is not None:
                self._socks.lead_to(host, port, stream.read_exactly, stream.write)
        except SocksError as error:
            stream.close()
            raise httpcore.ProxyError(str(error)) from error
        except BaseException:
            stream.close()
            raise
        return stream


class Stream(httpcore.NetworkStream):
    """A connection that is read in big pieces."""

    def __init__(self, connection: socket.socket, cancellation: Cancellation) -> None:
        self._stream = SyncStream(connection)
        self._socket = connection
        self._is_tls = isinstance(self._socket, ssl.SSLSocket)
        self._cancellation = cancellation
        self._buffer: memoryview | None = None
        self._awaits_head = False
        self._head_end: float | None = None
        self._body_end = math.inf

    def head_came(self) -> None:
        """Say that what is read from now on is a body, which may take as long as it likes if only it moves."""
        self._awaits_head = False

    def end_body_at(self, moment: float) -> None:
        """Say until when the body must be there, however steadily it comes."""
        self._body_end = moment

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

    def read_exactly(self, count: int) -> bytes:
        """So many bytes. Raises ``httpcore.NetworkError``."""
        data = bytearray(count)
        start = 0
        while start < count:
            try:
                received = self.read_into(memoryview(data)[start:])
            except OSError as error:
                raise httpcore.ReadError(str(error)) from error
            if not received:
                raise httpcore.ReadError("the connection was closed")
            start += received
        return bytes(data)

    def read_into(self, buffer: memoryview, timeout: float | None = None) -> int:
        """Read what there is, at least one byte; 0: there will be none. Raises ``OSError``."""
        count = self._receive(buffer, timeout)
        if self._is_tls and count:
            count += self._receive_what_is_there(buffer[count:])
        return count

    def _receive(self, buffer: memoryview, timeout: float | None) -> int:
        limit = STALL_TIMEOUT if timeout is None else timeout
        end = min(time.monotonic() + limit, self._body_end)
        if self._awaits_head:
            self._head_end = self._head_end or time.monotonic() + _HEAD_PATIENCE * limit
            end = min(end, self._head_end)
        while True:
            self._cancellation.check()
            if time.monotonic() >= end:
                raise TimeoutError
            self._socket.settimeout(SLICE)
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
        self._awaits_head, self._head_end, self._body_end = True, None, math.inf
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
            self._socket.settimeout(SLICE)
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
        if self._is_tls:  # TLS within TLS, through a proxy that is asked over https, is not a socket any more
            return self._stream.start_tls(ssl_context, server_hostname, shorter)
        try:
            return Stream(self._shaken_hands(ssl_context, server_hostname, shorter), self._cancellation)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error

    def _shaken_hands(self, tls: ssl.SSLContext, host: str | None, timeout: float) -> ssl.SSLSocket:
        end = time.monotonic() + timeout
        # given text, Python imports what only names beyond ASCII need
        name = host and host.encode("ascii")
        secured = tls.wrap_socket(self._socket, server_hostname=name, do_handshake_on_connect=False)
        try:
            secured.settimeout(SLICE)
            while True:
                self._cancellation.check()
                try:
                    secured.do_handshake()
                    return secured
                except TimeoutError:
                    if time.monotonic() >= end:
                        raise
        except BaseException:
            secured.close()
            raise

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)

    def close(self) -> None:
        self._stream.close()
