"""Opening connections: whatever keeps us waiting, a resolver too, ends when the work is cancelled.

All addresses of a host are tried, each as soon as those before it have failed or kept us waiting for a moment
(RFC 8305, "Happy Eyeballs"): a machine without IPv6, or a dead server among several, costs no time-out.
"""

from __future__ import annotations

import errno
import ipaddress
import itertools
import os
import selectors
import socket
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from transship.plugin.cancellation import Cancellation

SLICE = 0.25
"""How many seconds pass at most before a cancellation is noticed."""

_NEXT_AFTER = 0.3
_STARTED = (0, errno.EINPROGRESS, errno.EWOULDBLOCK)
_MOST_ADDRESSES = 32


class _Address(NamedTuple):
    family: int
    kind: int
    protocol: int
    address: Any


def dial(host: str, port: int, timeout: float, cancellation: Cancellation) -> socket.socket:
    """A connection to the first address of ``host`` that takes one; raises ``OSError`` or ``UnicodeError``."""
    end = time.monotonic() + timeout
    addresses = _interleaved(look_up(host, port, timeout, cancellation))[:_MOST_ADDRESSES]
    with _Race(addresses) as race:
        while (winner := race.advance(end - time.monotonic())) is None:
            cancellation.check()
            if time.monotonic() >= end:
                raise TimeoutError(errno.ETIMEDOUT, "no answer")
    winner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
    return winner


def look_up(host: str, port: int | None, timeout: float, cancellation: Cancellation) -> list[_Address]:
    """The addresses of ``host``; raises ``OSError`` or ``UnicodeError``."""
    query = _Query(host, port)
    if not _is_literal(host):  # which needs no resolver
        query.run_aside(timeout, cancellation)
    else:
        query.run()
    return query.answer()


class _Query:
    """A question to the resolver, whose calls cannot be interrupted."""

    def __init__(self, host: str, port: int | None) -> None:
        self._host = host
        self._port = port
        self._found: list[_Address] = []
        self._error: Exception | None = TimeoutError(errno.ETIMEDOUT, "the resolver does not answer")
        self._is_done = threading.Event()

    def run_aside(self, timeout: float, cancellation: Cancellation) -> None:
        """Ask in another thread, which is left alone if it takes too long."""
        threading.Thread(target=self.run, name="transship-resolver", daemon=True).start()
        end = time.monotonic() + timeout
        while not self._is_done.wait(min(SLICE, max(end - time.monotonic(), 0))):
            cancellation.check()
            if time.monotonic() >= end:
                return

    def run(self) -> None:
        """Ask here and now."""
        try:
            # given text, Python imports what only names beyond ASCII need
            host = self._host.encode("ascii") if self._host.isascii() else self._host
            infos = socket.getaddrinfo(host, self._port, type=socket.SOCK_STREAM)
            found = [_Address(family, kind, protocol, address) for family, kind, protocol, _, address in infos]
            self._found, self._error = found, None
        except (OSError, ValueError) as error:
            self._error = error
        self._is_done.set()

    def answer(self) -> list[_Address]:
        """What came of it."""
        if self._error is not None:
            raise self._error
        return self._found


class _Race:
    """Connections to several addresses, of which the first that is there wins; the others are closed at the end."""

    def __init__(self, addresses: Iterable[_Address]) -> None:
        self._waiting = list(addresses)
        self._selector = selectors.DefaultSelector()
        self._running: set[socket.socket] = set()
        self._next_at = 0.0
        self._failure: OSError = OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))

    def __enter__(self) -> _Race:
        return self

    def __exit__(self, *_: object) -> None:
        for runner in self._running:
            runner.close()
        self._selector.close()

    def advance(self, timeout: float) -> socket.socket | None:
        """Wait a moment for the winner; raise the last failure if nobody is left."""
        now = time.monotonic()
        if self._waiting and (not self._running or now >= self._next_at):
            self._start(self._waiting.pop(0))
            self._next_at = now + _NEXT_AFTER
        if not self._running:
            if not self._waiting:
                raise self._failure
            return None
        patience = min(SLICE, timeout, self._next_at - now if self._waiting else SLICE)
        for key, _ in self._selector.select(max(patience, 0)):
            runner = key.fileobj
            assert isinstance(runner, socket.socket)  # noqa: S101 - tells the type checker what was registered
            self._running.remove(runner)
            self._selector.unregister(runner)
            number = runner.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not number:
                return runner
            self._lose(runner, number)
        return None

    def _start(self, address: _Address) -> None:
        try:
            runner = socket.socket(address.family, address.kind, address.protocol)
        except OSError as error:  # this machine knows no such family
            self._failure = error
            return
        runner.setblocking(False)
        number = runner.connect_ex(address.address)
        if number not in _STARTED:
            self._lose(runner, number)
            return
        self._running.add(runner)
        self._selector.register(runner, selectors.EVENT_WRITE)

    def _lose(self, runner: socket.socket, number: int) -> None:
        self._failure = OSError(number, os.strerror(number))
        runner.close()


def _interleaved(addresses: list[_Address]) -> list[_Address]:
    """The families by turns, the resolver's first choice first."""
    families = dict.fromkeys(address.family for address in addresses)
    columns = [[address for address in addresses if address.family == family] for family in families]
    return [address for row in itertools.zip_longest(*columns) for address in row if address is not None]


def _is_literal(host: str) -> bool:
    with suppress(ValueError):
        ipaddress.ip_address(host)
        return True
    return False
