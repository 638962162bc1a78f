"""Jobs that are run several at a time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from transship.copy.crew import at_once
from transship.copy.options import CopyOptions
from transship.errors import TransportError
from transship.plugin.cancellation import Cancellation
from transship.plugin.transport import DestinationTraits


def crew_of(threads):
    """What the jobs need of a session."""
    return SimpleNamespace(
        source=SimpleNamespace(parallel=True),
        targets=[SimpleNamespace(traits=DestinationTraits())],
        options=CopyOptions(parallel_blobs=3),
        cancellation=Cancellation(),
        threads=threads,
    )


@pytest.fixture
def helped():
    with ThreadPoolExecutor(8) as threads:
        yield crew_of(threads)


@pytest.fixture(params=["threads are free", "all threads are busy"])
def session(request):
    with ThreadPoolExecutor(1 if request.param.startswith("all") else 8) as threads:
        end = threading.Event()
        if request.param.startswith("all"):
            threads.submit(end.wait, 20)
        yield crew_of(threads)
        end.set()


def test_results_come_in_the_order_of_the_jobs(session):
    assert at_once(session, [lambda number=number: number * 2 for number in range(50)]) == list(range(0, 100, 2))
    assert at_once(session, []) == []


def test_no_more_run_at_a_time_than_the_session_allows(session):
    running, most, lock = [], [], threading.Lock()

    def job() -> None:
        with lock:
            running.append(1)
            most.append(len(running))
        threading.Event().wait(0.002)
        with lock:
            running.pop()

    at_once(session, [job] * 40)
    assert max(most) <= 3


def test_so_many_run_together(helped):
    meeting = threading.Barrier(3, timeout=10)
    at_once(helped, [meeting.wait] * 3)


@pytest.mark.parametrize(
    "change",
    [
        lambda session: setattr(session.source, "parallel", False),
        lambda session: setattr(session.targets[0], "traits", DestinationTraits(parallel=False)),
        lambda session: setattr(session, "options", CopyOptions(parallel_blobs=1)),
    ],
)
def test_one_after_the_other_stays_in_this_thread(session, change):
    change(session)
    assert set(at_once(session, [threading.get_ident] * 5)) == {threading.get_ident()}


def test_first_failure_is_raised_and_ends_the_others(session):
    begun = []

    def job(number: int) -> None:
        begun.append(number)
        if number == 1:
            raise TransportError("the line is cut")
        session.cancellation.wait(10)
        raise AssertionError("nobody says that it is over")

    jobs = [lambda number=number: job(number) for number in range(1, 30)]
    with pytest.raises(TransportError, match="the line is cut"):
        at_once(session, jobs)
    assert len(begun) <= 3


def test_wish_of_the_user_to_end_goes_before_any_failure(helped):
    meeting = threading.Barrier(2, timeout=10)

    def fail(error: BaseException) -> None:
        meeting.wait()
        raise error

    errors = [TransportError("the line is cut"), KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        at_once(helped, [lambda error=error: fail(error) for error in errors])
