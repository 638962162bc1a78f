"""Waiting before the next attempt."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from transship_docker.backoff import Backoff, retry_after


def attempts(backoff, status, **headers):
    headers = {name.replace("_", "-"): text for name, text in headers.items()}
    return sum(1 for _ in range(20) if backoff.wait_after_status(status, headers))


def test_limits_are_waited_for_in_growing_steps(waits):
    assert attempts(Backoff(waits, repeatable=False), 429) == 4
    assert all(least <= got <= least * 1.1 for least, got in zip([2, 4, 8, 16], waits.seconds, strict=True))


def test_the_server_says_how_long(waits):
    assert attempts(Backoff(waits, repeatable=False), 429, retry_after="7") == 4
    assert all(7 <= seconds <= 7.7 for seconds in waits.seconds)


def test_nobody_waits_longer_than_a_minute(waits):
    attempts(Backoff(waits, repeatable=True), 503, retry_after="86400")
    assert all(seconds <= 66 for seconds in waits.seconds)


@pytest.mark.parametrize(("status", "count"), [(500, 3), (502, 3), (408, 3), (404, 0), (401, 0), (501, 0)])
def test_only_what_may_pass_is_tried_again(waits, status, count):
    assert attempts(Backoff(waits, repeatable=True), status) == count


def test_what_cannot_be_repeated_is_not(waits):
    backoff = Backoff(waits, repeatable=False)
    assert not backoff.wait_after_failure()
    assert not backoff.wait_after_status(500, {})


@pytest.mark.parametrize("value", ["", "soon", "-1", "٣", "Mon, 99 Foo 2020"])
def test_unreadable_times_say_nothing(value):
    assert retry_after(value) is None


def test_dates_are_read():
    assert 50 < retry_after(formatdate(time.time() + 60, usegmt=True)) <= 60
    assert retry_after(formatdate(time.time() - 60, usegmt=True)) == 0
