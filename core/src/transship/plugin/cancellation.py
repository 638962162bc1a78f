"""One flag that ends everything a command has started."""

from __future__ import annotations

import math
import threading
import time

from transship.errors import CancelledError, DeadlineExceededError

_PARENT_INTERVAL = 0.1
_LONGEST_WAIT = 3600.0


class Cancellation:
    """Looked at between any two pieces of a blob. ``timeout`` in seconds from now; 0 or less: none.

    What ends ``parent`` ends this one too.
    """

    def __init__(self, timeout: float = 0, parent: Cancellation | None = None) -> None:
        self._event = threading.Event()
        self._parent = parent
        self._deadline = time.monotonic() + timeout if timeout > 0 else None

    def cancel(self) -> None:
        """Let every ``check`` from now on raise ``CancelledError``."""
        self._event.set()

    def check(self) -> None:
        """Raise ``CancelledError`` or ``DeadlineExceededError`` if work is to end."""
        if self._parent is not None:
            self._parent.check()
        if self._event.is_set():
            raise CancelledError("cancelled")
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise DeadlineExceededError("context deadline exceeded")

    def wait(self, seconds: float) -> None:
        """Sleep, but end early as ``check`` does."""
        end = time.monotonic() + seconds
        self.check()
        while (left := end - time.monotonic()) > 0:
            self._event.wait(min(left, _PARENT_INTERVAL if self._parent else _LONGEST_WAIT, self._until_deadline()))
            self.check()

    def _until_deadline(self) -> float:
        return math.inf if self._deadline is None else max(self._deadline - time.monotonic(), 0)
