"""Trying again: what, how often, how long after."""

from __future__ import annotations

import errno
import threading
import time

import pytest

from transship.errors import (
    BlobNotFoundError,
    CancelledError,
    ContentMismatchError,
    CopyError,
    DeadlineExceededError,
    NotFoundError,
    PolicyRejectedError,
    TransportError,
)
from transship.plugin.cancellation import Cancellation
from transship.retry import Retries, may_pass, with_retries


def _caused(cause: BaseException) -> CopyError:
    error = CopyError("copying", operation="read")
    error.__cause__ = TransportError("reading")
    error.__cause__.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TransportError("busy", retryable=True), True),
        (TransportError("refused"), False),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), True),
        (ConnectionResetError(errno.ECONNRESET, "reset"), True),
        (OSError(errno.EHOSTUNREACH, "no route"), True),
        (OSError(errno.ETIMEDOUT, "timed out"), True),
        (OSError(errno.EAGAIN, "again"), True),
        (OSError(errno.EBUSY, "busy"), True),
        (OSError(errno.ENOENT, "missing"), False),
        (OSError(errno.ENOSPC, "full"), False),
        (BrokenPipeError(errno.EPIPE, "whoever read standard output has gone"), False),
        (_caused(ConnectionResetError(errno.ECONNRESET, "reset")), True),
        (_caused(TransportError("busy", retryable=True)), True),
        (_caused(FileNotFoundError(errno.ENOENT, "missing")), False),
        (NotFoundError("missing"), False),
        (BlobNotFoundError("missing"), False),
        (ContentMismatchError("wrong"), False),
        (PolicyRejectedError("no"), False),
        (CancelledError("cancelled"), False),
        (DeadlineExceededError("context deadline exceeded"), False),
        (None, False),
    ],
)
def test_only_what_may_pass_is_tried_again(error, expected):
    assert may_pass(error) is expected


class Flaky:
    """Fails a number of times, then answers."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.failures = failures
        self.calls = 0
        self.error = error or TransportError("busy", retryable=True)

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "done"


def _ignore(message: str) -> None:
    return None


def test_attempt_that_succeeds_is_made_once():
    attempt = Flaky(0)
    assert with_retries(attempt, Retries(5, 0.001), Cancellation(), _ignore) == "done"
    assert attempt.calls == 1


def test_failures_that_pass_are_warned_of_and_forgotten():
    warnings: list[str] = []
    attempt = Flaky(2)
    assert with_retries(attempt, Retries(3, 0.001), Cancellation(), warnings.append) == "done"
    assert attempt.calls == 3
    assert len(warnings) == 2
    assert "retrying in" in warnings[0]
    assert "(1/3)" in warnings[0]
    assert "busy" in warnings[0]


def test_last_failure_is_raised():
    attempt = Flaky(9)
    with pytest.raises(TransportError):
        with_retries(attempt, Retries(2, 0.001), Cancellation(), _ignore)
    assert attempt.calls == 3


@pytest.mark.parametrize("times", [0, -1])
def test_without_retries_there_is_one_attempt(times):
    attempt = Flaky(9)
    with pytest.raises(TransportError):
        with_retries(attempt, Retries(times), Cancellation(), _ignore)
    assert attempt.calls == 1


def test_failure_that_does_not_pass_is_raised_at_once():
    attempt = Flaky(9, ContentMismatchError("wrong"))
    with pytest.raises(ContentMismatchError):
        with_retries(attempt, Retries(5), Cancellation(), _ignore)
    assert attempt.calls == 1


class Waits(Cancellation):
    """Notes how long was to be waited, and does not."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, seconds: float) -> None:
        self.seconds.append(seconds)


def test_delays_double_with_a_little_jitter():
    waits = Waits()
    with_retries(Flaky(4), Retries(4), waits, _ignore)
    for seconds, base in zip(waits.seconds, (1, 2, 4, 8), strict=True):
        assert base <= seconds <= base * 1.1


def test_fixed_delay_stays():
    waits = Waits()
    with_retries(Flaky(3), Retries(3, 0.5), waits, _ignore)
    assert all(0.5 <= seconds <= 0.55 for seconds in waits.seconds)


def test_even_absurdly_many_retries_have_a_delay():
    waits = Waits()
    with_retries(Flaky(2000), Retries(2000), waits, _ignore)
    assert max(waits.seconds) < threading.TIMEOUT_MAX


def test_absurdly_long_delay_can_be_waited_for():
    cancellation = Cancellation()
    threading.Timer(0.05, cancellation.cancel).start()
    with pytest.raises(CancelledError):
        with_retries(Flaky(1), Retries(1, 1e15), cancellation, _ignore)


def test_cancelling_interrupts_the_wait():
    cancellation = Cancellation()
    threading.Timer(0.05, cancellation.cancel).start()
    begin = time.monotonic()
    with pytest.raises(CancelledError):
        with_retries(Flaky(1), Retries(1, 60), cancellation, _ignore)
    assert time.monotonic() - begin < 10


def test_deadline_interrupts_the_wait():
    begin = time.monotonic()
    with pytest.raises(DeadlineExceededError, match="context deadline exceeded"):
        with_retries(Flaky(1), Retries(1, 60), Cancellation(0.05), _ignore)
    assert time.monotonic() - begin < 10


def test_keyboard_interrupt_is_no_failure_to_retry():
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        with_retries(interrupted, Retries(3, 0.001), Cancellation(), _ignore)
