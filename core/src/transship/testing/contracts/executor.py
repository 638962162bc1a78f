"""What every executor must do, as a test class to subclass.

    class TestCluster(ExecutorContract):
        @pytest.fixture
        def executor_factory(self):
            return ClusterFactory()

        @pytest.fixture
        def address(self):
            return "cluster.example.com:1234"

The class says what each fixture is to give.
"""
# ruff: noqa: S101 - assert is how tests speak

from __future__ import annotations

import contextlib
import math
import os
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, TypeVar

import pytest

from transship.errors import InvalidDigestError, TransshipError
from transship.image.digest import Digest, digest_of
from transship.plugin.cancellation import Cancellation
from transship.plugin.executor import Executor, ExecutorFactory, ExecutorSettings
from transship.testing.contracts.jobs import fail_with_what_cannot_be_pickled

_Result = TypeVar("_Result")

_PATIENCE = 30.0
"""So many seconds a job of the contract may take, that of a busy machine included."""


class ExecutorContract:
    """Subclass it and give a fixture ``executor_factory``; a second one, ``address``, where it needs an address.

    Jobs are functions of the standard library and of transship, as workers elsewhere have no others.
    ``useless_address`` is one where there is nothing.
    """

    useless_address: str = "127.0.0.1:1"

    @pytest.fixture
    def address(self) -> str:
        """Where the jobs run; ``""`` for an executor that needs no address."""
        return ""

    def test_what_it_says_of_itself_is_well_formed(self, executor_factory: ExecutorFactory) -> None:
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*", executor_factory.name)
        assert isinstance(executor_factory.runs_elsewhere, bool)
        assert isinstance(executor_factory.needs_address, bool)

    def test_an_address_is_needed_where_it_says_so(self, executor_factory: ExecutorFactory) -> None:
        if executor_factory.needs_address:
            with pytest.raises(TransshipError):
                executor_factory.open(ExecutorSettings(), Cancellation())
        else:
            executor_factory.open(ExecutorSettings(), Cancellation()).close()

    def test_address_where_nothing_is_is_refused(self, executor_factory: ExecutorFactory) -> None:
        with pytest.raises(TransshipError) as caught:
            executor_factory.open(ExecutorSettings(address=self.useless_address), Cancellation())
        assert "\n" not in str(caught.value)

    def test_capacity_is_what_was_asked_for(self, executor_factory: ExecutorFactory, address: str) -> None:
        for jobs in (1, 3, 9):
            with _opened(executor_factory, address, jobs=jobs) as executor:
                assert executor.capacity == jobs

    def test_there_is_always_room_for_a_job(self, executor_factory: ExecutorFactory, address: str) -> None:
        with _opened(executor_factory, address) as executor:
            assert executor.capacity >= 1
            assert _result(executor.submit(math.comb, 5, 2)) == 10

    def test_each_job_gives_its_own_result(self, executor_factory: ExecutorFactory, address: str) -> None:
        with _opened(executor_factory, address, jobs=2) as executor:
            jobs = {number: executor.submit(math.comb, number, 2) for number in range(40)}
            assert {number: _result(job) for number, job in jobs.items()} == {
                number: math.comb(number, 2) for number in range(40)
            }

    def test_jobs_run_in_other_processes_exactly_if_it_says_so(
        self, executor_factory: ExecutorFactory, address: str
    ) -> None:
        with _opened(executor_factory, address) as executor:
            process = _result(executor.submit(os.getpid))
        assert (process != os.getpid()) == executor_factory.runs_elsewhere

    def test_arguments_and_results_arrive_as_they_were(self, executor_factory: ExecutorFactory, address: str) -> None:
        values: tuple[object, ...] = (None, "\0é\n", bytes(range(256)) * 1000, {"a": (1, [2.5])}, digest_of(b"x"))
        with _opened(executor_factory, address) as executor:
            assert [_result(executor.submit(dict, {"value": value})) for value in values] == [
                {"value": value} for value in values
            ]
            assert _result(executor.submit(str, digest_of(b"x"))) == str(digest_of(b"x"))

    def test_what_a_job_raises_is_raised_by_its_future_alone(
        self, executor_factory: ExecutorFactory, address: str
    ) -> None:
        with _opened(executor_factory, address) as executor:
            failing, good = executor.submit(divmod, 7, 0), executor.submit(divmod, 7, 2)
            with pytest.raises(ZeroDivisionError):
                _result(failing)
            assert _result(good) == (3, 1)

    def test_error_of_transship_stays_one(self, executor_factory: ExecutorFactory, address: str) -> None:
        with pytest.raises(InvalidDigestError) as expected:
            Digest.parse("no digest")
        with _opened(executor_factory, address) as executor, pytest.raises(TransshipError) as caught:
            _result(executor.submit(Digest.parse, "no digest"))
        assert str(expected.value) in str(caught.value)

    def test_error_that_cannot_be_pickled_comes_back_too(self, executor_factory: ExecutorFactory, address: str) -> None:
        with _opened(executor_factory, address) as executor:
            with pytest.raises(TransshipError, match="not to be found"):
                _result(executor.submit(fail_with_what_cannot_be_pickled))
            assert _result(executor.submit(math.comb, 5, 2)) == 10

    def test_a_short_job_ends_before_a_long_one(self, executor_factory: ExecutorFactory, address: str) -> None:
        with _opened(executor_factory, address, jobs=2) as executor:
            long, short = executor.submit(time.sleep, 1), executor.submit(math.comb, 5, 2)
            under_way: list[Future[Any]] = [long, short]
            assert wait(under_way, _PATIENCE, return_when=FIRST_COMPLETED).done == {short}

    def test_more_jobs_than_there_is_room_for_all_end(self, executor_factory: ExecutorFactory, address: str) -> None:
        with _opened(executor_factory, address, jobs=2) as executor:
            jobs = [executor.submit(time.sleep, 0.01) for _ in range(30)]
            assert not wait(jobs, _PATIENCE).not_done
            assert [job.exception() for job in jobs] == [None] * 30

    def test_closing_gives_up_what_has_not_begun(self, executor_factory: ExecutorFactory, address: str) -> None:
        executor = executor_factory.open(ExecutorSettings(1, address), Cancellation())
        jobs = [executor.submit(time.sleep, 0.1) for _ in range(30)]
        executor.close()
        assert all(job.done() for job in jobs)
        assert any(job.cancelled() or job.exception() for job in jobs)

    def test_closing_twice_is_harmless(self, executor_factory: ExecutorFactory, address: str) -> None:
        executor = executor_factory.open(ExecutorSettings(0, address), Cancellation())
        executor.close()
        executor.close()

    def test_nothing_is_left_running_after_it_was_closed(self, executor_factory: ExecutorFactory, address: str) -> None:
        with _opened(executor_factory, address) as executor:  # what is set up once for all may stay
            _result(executor.submit(math.comb, 5, 2))
        before = set(threading.enumerate())
        with _opened(executor_factory, address) as executor:
            _result(executor.submit(math.comb, 5, 2))
        left = [thread for thread in set(threading.enumerate()) - before if thread.is_alive()]
        assert left == []

    def test_cancelled_jobs_end_one_way_or_the_other(self, executor_factory: ExecutorFactory, address: str) -> None:
        cancellation = Cancellation()
        executor = executor_factory.open(ExecutorSettings(2, address), cancellation)
        jobs = [executor.submit(time.sleep, 0.2) for _ in range(8)]
        cancellation.cancel()
        executor.close()
        assert all(job.done() for job in jobs)

    def test_run_that_was_cancelled_before_it_began_ends_soon(
        self, executor_factory: ExecutorFactory, address: str
    ) -> None:
        cancellation = Cancellation()
        cancellation.cancel()
        start = time.monotonic()
        with contextlib.suppress(TransshipError):
            executor_factory.open(ExecutorSettings(0, address), cancellation).close()
        assert time.monotonic() - start < _PATIENCE

    def test_two_may_be_open_at_once(self, executor_factory: ExecutorFactory, address: str) -> None:
        with _opened(executor_factory, address) as first:
            with _opened(executor_factory, address) as second:
                assert _result(second.submit(math.comb, 5, 2)) == 10
            assert _result(first.submit(math.comb, 6, 2)) == 15


@contextlib.contextmanager
def _opened(factory: ExecutorFactory, address: str, *, jobs: int = 0) -> Iterator[Executor]:
    with contextlib.closing(factory.open(ExecutorSettings(jobs, address), Cancellation())) as executor:
        yield executor


def _result(job: Future[_Result]) -> _Result:
    return job.result(_PATIENCE)
