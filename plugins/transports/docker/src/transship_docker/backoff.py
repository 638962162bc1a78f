"""How long to wait before a request is made again, and when to give up."""

from __future__ import annotations

import time
from collections.abc import Mapping

from transship.plugin.cancellation import Cancellation
from transship_docker.errors import is_passing

_LIMITED = 429
_LIMITED_RETRIES = 4
_LIMITED_DELAY = 2.0
_LONGEST_DELAY = 60.0
_ALWAYS_HARMLESS = (429, 503)
_PASSING_RETRIES = 3
_PASSING_DELAY = 0.5


class Backoff:
    """Counts the attempts of one request. ``repeatable``: making it twice does no harm even if it was served."""

    def __init__(self, cancellation: Cancellation, *, repeatable: bool) -> None:
        self._cancellation = cancellation
        self._repeatable = repeatable
        self._limited = 0
        self._failed = 0

    def wait_after_status(self, status: int, headers: Mapping[str, str]) -> bool:
        """Sleep as long as such an answer asks for; False if there is no point in trying again."""
        if status not in _ALWAYS_HARMLESS and not (self._repeatable and is_passing(status)):
            return False
        asked = retry_after(headers.get("retry-after", ""))
        if status == _LIMITED:
            return self._wait_when_limited(asked)
        return self._wait_when_failed(asked)

    def wait_after_failure(self, *, timed_out: bool = False) -> bool:
        """Sleep after a broken connection; False if there is no point in trying again.

        One that ``timed_out`` has cost so much time already that there is one more attempt only.
        """
        can_wait = self._repeatable and self._wait_when_failed(None)
        if timed_out:
            self._failed = _PASSING_RETRIES
        return can_wait

    def _wait_when_limited(self, asked: float | None) -> bool:
        if self._limited >= _LIMITED_RETRIES:
            return False
        self._sleep(_LIMITED_DELAY * 2**self._limited if asked is None else asked)
        self._limited += 1
        return True

    def _wait_when_failed(self, asked: float | None) -> bool:
        if self._failed >= _PASSING_RETRIES:
            return False
        self._sleep(_PASSING_DELAY * 2**self._failed if asked is None else asked)
        self._failed += 1
        return True

    def _sleep(self, seconds: float) -> None:
        import random  # hardly any run needs it

        jittered = min(seconds, _LONGEST_DELAY) * random.uniform(1, 1.1)  # noqa: S311 - jitter, not a secret
        self._cancellation.wait(jittered)


def retry_after(value: str) -> float | None:
    """The seconds that a ``Retry-After`` header asks for; None if it says nothing that can be read."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    if not value:
        return None
    from email.utils import parsedate_to_datetime  # rarely needed

    try:
        moment = parsedate_to_datetime(value).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return max(moment - time.time(), 0.0)
