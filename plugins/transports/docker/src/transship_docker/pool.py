"""Connections that are used again: each request gets the one that was idle for the shortest time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

from transship_docker.addresses import Origin
from transship_docker.http import httpcore, httpx

IDLE_LIMIT = 32
"""How many connections are kept when nobody uses them, wherever they lead."""


class Route(NamedTuple):
    """Where connections lead, through which proxy (``""``: none), and whether no private address may be there."""

    origin: Origin
    proxy: str
    public_only: bool


class Pool:
    """Lends each request a transport of its own. Several threads may use one pool at the same time.

    Transports of httpx have pools themselves, which look at each of their connections twice for each request. So each
    is left to have one.
    """

    def __init__(self, make: Callable[[Route], httpx.HTTPTransport]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._idle: dict[httpx.HTTPTransport, Route] = {}  # the one that is idle for the longest time is the first
        self._lent: set[httpx.HTTPTransport] = set()

    def send(self, request: httpx.Request, route: Route) -> httpx.Response:
        """The answer; close it, so that others can have its connection. Raises what httpx does, and ``OSError``."""
        transport = self._take(route)
        try:
            response = transport.handle_request(request)
        except BaseException:
            self._give_back(route, transport)
            raise
        stream = cast("httpx.SyncByteStream", response.stream)
        response.stream = _LentStream(stream, lambda: self._give_back(route, transport))
        return response

    def close(self) -> None:
        """Close all connections, those in use too. May be called more than once."""
        with self._lock:
            transports = [*self._lent, *self._idle]
            self._idle.clear()
            self._lent.clear()
        for transport in transports:
            transport.close()

    def _take(self, route: Route) -> httpx.HTTPTransport:
        with self._lock:
            fitting = (transport for transport, where in reversed(self._idle.items()) if where == route)
            transport = next(fitting, None) or self._make(route)
            self._idle.pop(transport, None)
            self._lent.add(transport)
            return transport

    def _give_back(self, route: Route, transport: httpx.HTTPTransport) -> None:
        with self._lock:
            if transport not in self._lent:  # everything was closed meanwhile
                return
            self._lent.remove(transport)
            if _is_usable(transport):
                self._idle[transport] = route
                if len(self._idle) <= IDLE_LIMIT:
                    return
                transport = next(iter(self._idle))
                del self._idle[transport]
        transport.close()


class _LentStream(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, give_back: Callable[[], None]) -> None:
        self._stream = stream
        self._give_back = give_back

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def close(self) -> None:
        give_back, self._give_back = self._give_back, lambda: None  # once: then the transport may be somebody else's
        try:
            self._stream.close()
        finally:
            give_back()


def _is_usable(transport: httpx.HTTPTransport) -> bool:
    """Whether its connection awaits a request, and brought nothing beyond the answer, such as a body after HEAD."""
    connection: Any = next(iter(transport._pool.connections), None)
    if connection is None or not connection.is_idle():
        return False
    # httpcore has no word for it: what its parser did not use would be the beginning of the next answer.
    while not isinstance(connection, httpcore.HTTP11Connection):
        connection = connection._connection
    return not connection._h11_state.trailing_data[0]
