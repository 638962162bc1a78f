"""Stands between a client and a server, and cuts the connection at places that were chosen before."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from collections.abc import Iterable

_PIECE = 64 << 10
_RESET_WHEN_CLOSED = struct.pack("ii", 1, 0)


class CuttingProxy:
    """Forwards what comes to ``host`` until it is closed.

    ``down_cuts`` and ``up_cuts`` are the numbers of bytes, of all connections together, after which everything
    that is open ends: at random in good order, or with a reset. ``down`` and ``up`` count what came from the
    server and what came from the client.
    """

    def __init__(self, server: str, *, down_cuts: Iterable[int] = (), up_cuts: Iterable[int] = ()) -> None:
        name, _, port = server.partition(":")
        self._server = (name, int(port))
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._lock = threading.Lock()
        self._random = random.Random(42)
        self._cuts = {"down": sorted(down_cuts), "up": sorted(up_cuts)}
        self._counts = {"down": 0, "up": 0}
        self._open: set[socket.socket] = set()
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.cuts_made = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def down(self) -> int:
        """How many bytes came from the server."""
        return self._counts["down"]

    @property
    def up(self) -> int:
        """How many bytes came from the client."""
        return self._counts["up"]

    def close(self) -> None:
        """End all connections, and accept no more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with self._lock:
            self._end_all(reset=False)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
                client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PIECE)  # a reset loses what is on its way
                server = socket.create_connection(self._server)
            except OSError:
                return
            with self._lock:
                self._open |= {client, server}
            for source, target, direction in ((server, client, "down"), (client, server, "up")):
                threading.Thread(target=self._forward, args=(source, target, direction), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, direction: str) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_PIECE):
                allowed = self._allowed(len(data), direction)
                target.sendall(data[:allowed])
                if allowed < len(data):
                    self._cut(direction)
                    return
            target.shutdown(socket.SHUT_WR)

    def _allowed(self, count: int, direction: str) -> int:
        """How many of the next ``count`` bytes may pass."""
        with self._lock:
            before = self._counts[direction]
            self._counts[direction] += count
            cuts = self._cuts[direction]
            return cuts[0] - before if cuts and cuts[0] < before + count else count

    def _cut(self, direction: str) -> None:
        with self._lock:
            cuts, passed = self._cuts[direction], self._counts[direction]
            while cuts and cuts[0] < passed:
                cuts.pop(0)
                self.cuts_made += 1
            self._end_all(reset=self._random.random() < 0.5)

    def _end_all(self, *, reset: bool) -> None:
        for connection in self._open:
            with contextlib.suppress(OSError):
                if reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_WHEN_CLOSED)
                # It is closed only when nobody waits for it any more; to stop sending would not be a reset.
                connection.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
            connection.close()
        self._open.clear()
