"""One flag that ends everything."""

from __future__ import annotations

import threading
import time

import pytest

from transship.errors import CancelledError, DeadlineExceededError
from transship.plugin.cancellation import Cancellation


def test_nothing_ends_by_itself():
    Cancellation().check()
    Cancellation(timeout=60).check()


@pytest.mark.parametrize("timeout", [0, -5])
def test_no_time_means_no_deadline(timeout):
    Cancellation(timeout).check()
    Cancellation(timeout).wait(0.001)


def test_cancelled_work_ends():
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(CancelledError):
        cancellation.check()
    with pytest.raises(CancelledError):
        cancellation.wait(60)


def test_deadline_ends_work():
    cancellation = Cancellation(timeout=0.001)
    with pytest.raises(DeadlineExceededError, match="context deadline exceeded"):
        cancellation.wait(60)
    with pytest.raises(DeadlineExceededError):
        cancellation.check()


def test_child_ends_with_its_parent_and_not_the_other_way():
    parent = Cancellation()
    child = Cancellation(parent=parent)
    other = Cancellation(parent=parent)
    child.cancel()
    parent.check()
    other.check()
    parent.cancel()
    with pytest.raises(CancelledError):
        other.check()


def test_wait_of_a_child_ends_with_its_parent():
    parent = Cancellation()
    threading.Timer(0.05, parent.cancel).start()
    begin = time.monotonic()
    with pytest.raises(CancelledError):
        Cancellation(parent=parent).wait(60)
    assert time.monotonic() - begin < 10


def test_wait_of_a_child_ends_with_the_deadline_of_its_parent():
    with pytest.raises(DeadlineExceededError):
        Cancellation(parent=Cancellation(0.05)).wait(60)


def test_wait_takes_as_long_as_asked():
    begin = time.monotonic()
    Cancellation().wait(0.05)
    assert time.monotonic() - begin >= 0.05
