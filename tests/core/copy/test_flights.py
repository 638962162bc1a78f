"""Copies at the same time that share blobs."""

from __future__ import annotations

import threading

import pytest

from transship.copy.flights import BlobFlights
from transship.errors import CancelledError
from transship.image.digest import digest_of
from transship.plugin.cancellation import Cancellation

ONE, OTHER = digest_of(b"one"), digest_of(b"other")


def test_only_one_brings_a_blob_at_a_time():
    flights, inside, most = BlobFlights(), [], []

    def bring() -> None:
        with flights.bringing(ONE, Cancellation()):
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=bring) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8


def test_different_blobs_do_not_wait_for_each_other():
    flights = BlobFlights()
    with flights.bringing(ONE, Cancellation()), flights.bringing(OTHER, Cancellation()):
        pass


def test_after_a_failure_the_next_one_tries():
    flights = BlobFlights()
    with pytest.raises(ValueError), flights.bringing(ONE, Cancellation()):  # noqa: PT011 - our own
        raise ValueError
    with flights.bringing(ONE, Cancellation()):
        pass


def test_waiting_ends_with_the_work():
    flights, cancellation = BlobFlights(), Cancellation()
    with flights.bringing(ONE, Cancellation()):
        threading.Timer(0.05, cancellation.cancel).start()
        with pytest.raises(CancelledError), flights.bringing(ONE, cancellation):
            pass
