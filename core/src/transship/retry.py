"""Trying again what another attempt may change."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from transship.errors import TransportError
from transship.plugin.cancellation import Cancellation

_Result = TypeVar("_Result")

_RETRYABLE = {
    errno.ECONNREFUSED,
    errno.ECONNRESET,
    errno.ECONNABORTED,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.ETIMEDOUT,
    errno.EINTR,
    errno.EAGAIN,
    errno.EBUSY,
}

_MOST_DOUBLINGS = 30


class Retries(NamedTuple):
    """``times`` further attempts, each after ``delay`` seconds; 0: after 1, 2, 4 … seconds."""

    times: int = 0
    delay: float = 0.0


def with_retries(
    attempt: Callable[[], _Result],
    retries: Retries,
    cancellation: Cancellation,
    warn: Callable[[str], None],
) -> _Result:
    """The result of ``attempt``, which is called again after an error that may pass. ``warn`` hears of each."""
    for number in range(retries.times):
        try:
            return attempt()
        except Exception as error:
            if not may_pass(error):
                raise
            import random  # hardly any run needs it

            delay = retries.delay or float(2 ** min(number, _MOST_DOUBLINGS))
            warn(f"Failed, retrying in {delay:g}s ... ({number + 1}/{retries.times}). Error: {error}")
            cancellation.wait(delay * random.uniform(1, 1.1))  # noqa: S311 - jitter, not a secret
    return attempt()


def may_pass(error: BaseException | None) -> bool:
    """Whether another attempt may succeed after ``error``."""
    return any(_may_pass(each) for each in causes(error))


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, TransportError):
        return error.retryable
    return isinstance(error, OSError) and error.errno in _RETRYABLE


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """``error`` and what it was raised from, and so on; nothing for None."""
    while error is not None:
        yield error
        error = error.__cause__
