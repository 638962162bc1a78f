"""The listening socket of the testing registry, and the threads of its connections."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from io import BufferedReader

from transship.testing.registry_connections import Connection, Service
from transship.testing.registry_messages import BrokenBodyError

_IDLE = 120.0
_BACKLOG = 128
_READ_AHEAD = 64 << 10
_PAUSE = 0.05


class Listener:
    """Accepts connections on a free port of 127.0.0.1 until it is closed, one thread each."""

    def __init__(self, tls: ssl.SSLContext | None, port: int = 0) -> None:
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", port), backlog=_BACKLOG)
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._thread: threading.Thread | None = None

    def start(self, service: Service) -> None:
        """Begin to accept; ``service`` answers."""
        name = f"registry {self.host}"
        self._thread = threading.Thread(target=self._accept, args=(service,), name=name, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"{'https' if self._tls else 'http'}://{self.host}"

    def close(self) -> None:
        """End all connections, whatever they are doing."""
        if self.closing.is_set():
            return
        self.closing.set()
        if self._thread:
            with contextlib.suppress(OSError):
                socket.create_connection(self._socket.getsockname(), timeout=1).close()
            self._thread.join(5)
        self._socket.close()
        with self._lock:
            connections = dict(self._open)
        for connection in connections:
            _hang_up(connection)
        for thread in connections.values():
            thread.join(5)

    def _accept(self, service: Service) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:  # no file descriptors are left, or the client was gone at once
                self.closing.wait(_PAUSE)
                continue
            if self.closing.is_set():
                connection.close()
                return
            self._begin(connection, service)

    def _begin(self, connection: socket.socket, service: Service) -> None:
        connection.settimeout(_IDLE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls:
            try:
                connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            except OSError:  # the client has gone already
                connection.close()
                return
        thread = threading.Thread(target=self._serve, args=(connection, service), daemon=True)
        with self._lock:
            self._open[connection] = thread
        thread.start()

    def _serve(self, connection: socket.socket, service: Service) -> None:
        try:
            if isinstance(connection, ssl.SSLSocket):
                connection.do_handshake()
            with BufferedReader(connection.makefile("rb", buffering=0), _READ_AHEAD) as reader:
                Connection(connection, reader, self.host, service, self.closing).serve()
        except (OSError, ValueError, BrokenBodyError):
            pass  # the client went away, did not like our certificate, or the registry is being closed
        finally:
            with self._lock:
                self._open.pop(connection, None)
            connection.close()


def _hang_up(connection: socket.socket) -> None:
    """Wake whoever waits for the connection; SSLSocket.shutdown would pull its TLS state from under them."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
