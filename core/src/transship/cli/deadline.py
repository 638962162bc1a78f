"""``--command-timeout``, for what does not look at the clock."""

from __future__ import annotations

import os
import signal
from types import FrameType

from transship.cli.output import Log
from transship.errors import DeadlineExceededError


class Deadline:
    """Ends a command a moment after its time is over, should it wait for something that is stuck, such as a pipe."""

    _PATIENCE = 1.5
    _REMINDERS = 12
    _INTERVAL = 0.2

    def __init__(self, log: Log, exit_code: int) -> None:
        self._log = log
        self._exit_code = exit_code
        self._reminders = 0

    def start(self, seconds: float) -> None:
        """Begin to count; 0 or less: never."""
        if seconds > 0:
            signal.signal(signal.SIGALRM, self._remind)
            signal.setitimer(signal.ITIMER_REAL, seconds + self._PATIENCE, self._INTERVAL)

    def stop(self) -> None:
        """The command is done."""
        if signal.getsignal(signal.SIGALRM) == self._remind:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _remind(self, number: int, frame: FrameType | None) -> None:
        """Raise in the main thread; again, if what is tidied up there is stuck too."""
        error = DeadlineExceededError("context deadline exceeded")
        self._reminders += 1
        if self._reminders > self._REMINDERS:
            self._log.fatal(error, self._exit_code)
            os._exit(self._exit_code)
        raise error
