"""Connections that are used again: each request gets the one that was idle for the shortest time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from transship_docker.http import httpcore
from transship_docker.messages import Request, Response

IDLE_LIMIT = 32
"""How many connections are kept when nobody uses them, wherever they lead."""


class Route(NamedTuple):
    """Where connections lead, through which proxy (``""``: none), and whether no private address may be there."""

    origin: httpcore.Origin
    proxy: str
    public_only: bool


class Pool:
    """Lends each request a connection of its own. Several threads may use one pool at the same time.

    The engine's own pools look at each of their connections twice for each request.
    """

    def __init__(self, make: Callable[[Route], httpcore.ConnectionInterface]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._idle: dict[httpcore.ConnectionInterface, Route] = {}  # the first is idle for the longest time
        self._lent: set[httpcore.ConnectionInterface] = set()

    def send(self, request: Request, sent: httpcore.Request, route: Route) -> Response:
        """The answer to ``request``, which the engine knows as ``sent``; close it, so that others can have its
        connection. Raises ``ENGINE_ERRORS`` and ``OSError``.
        """
        connection = self._take(route)
        try:
            answer = connection.handle_request(sent)
        except BaseException:
            self._give_back(route, connection)
            raise
        return Response(request, answer, lambda: self._give_back(route, connection))

    def close(self) -> None:
        """Close all connections, those in use too. May be called more than once."""
        with self._lock:
            connections = [*self._lent, *self._idle]
            self._idle.clear()
            self._lent.clear()
        for connection in connections:
            connection.close()

    def _take(self, route: Route) -> httpcore.ConnectionInterface:
        expired = []
        with self._lock:
            for connection in [known for known, where in reversed(self._idle.items()) if where == route]:
                del self._idle[connection]
                if not connection.has_expired():
                    break
                expired.append(connection)
            else:
                connection = self._make(route)
            self._lent.add(connection)
        for useless in expired:
            useless.close()
        return connection

    def _give_back(self, route: Route, connection: httpcore.ConnectionInterface) -> None:
        with self._lock:
            # one that is not known any more was closed with all others, maybe before it led anywhere
            is_known = connection in self._lent
            self._lent.discard(connection)
            if is_known and _is_usable(connection):
                self._idle[connection] = route
                if len(self._idle) <= IDLE_LIMIT:
                    return
                connection = next(iter(self._idle))
                del self._idle[connection]
        connection.close()


def _is_usable(connection: Any) -> bool:
    """Whether a connection awaits a request, and brought nothing beyond the answer, such as a body after HEAD."""
    if not connection.is_available():
        return False
    # httpcore has no word for it: what its parser did not use would be the beginning of the next answer.
    while not isinstance(connection, httpcore.HTTP11Connection):
        connection = connection._connection
    return not connection._h11_state.trailing_data[0]
