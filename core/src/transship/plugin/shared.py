"""What the images of one run have in common, such as connections to a registry."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Hashable
from typing import Any, Protocol, TypeVar, runtime_checkable

_Thing = TypeVar("_Thing")


@runtime_checkable
class _Closable(Protocol):
    def close(self) -> None: ...


class Shared:
    """Things that transports make once for one side of a run, and find again for its next image.

    Several threads may use it at the same time. What is in it and has ``close`` is closed with it, the newest first.
    """

    def __init__(self) -> None:
        self._things: dict[Hashable, Any] = {}
        self._lock = threading.RLock()

    def obtain(self, key: Hashable, make: Callable[[], _Thing]) -> _Thing:
        """What is there under ``key``; the first time, what ``make`` gives, which must not take long.

        Each transport begins its keys with something of its own.
        """
        with self._lock:
            if key not in self._things:
                self._things[key] = make()
            thing: _Thing = self._things[key]
            return thing

    def close(self) -> None:
        """Close everything. May be called more than once."""
        with self._lock:
            things, self._things = list(self._things.values()), {}
        with contextlib.ExitStack() as stack:
            for thing in things:
                if isinstance(thing, _Closable):
                    stack.callback(thing.close)
