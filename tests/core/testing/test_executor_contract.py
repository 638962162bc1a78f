"""The contract of executors notices what is wrong with one."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from concurrent.futures import TimeoutError as FutureTimeoutError

import pytest

from transship.builtin.threads import ThreadExecutor, Threads
from transship.errors import TransshipError
from transship.testing import ExecutorContract


class Faulty(Threads):
    """Opens executors of the class ``executor``."""

    executor = ThreadExecutor

    def open(self, settings, cancellation):
        super().open(settings, cancellation).close()
        return self.executor(settings.jobs or 4)


class NeedsNoAddressThatItAskedFor(Threads):
    needs_address = True


class TakesAnyAddress(Threads):
    def open(self, settings, cancellation):
        return ThreadExecutor(settings.jobs or 4)


class RunsElsewhereInWords(Threads):
    runs_elsewhere = True


class HasNoRoom(Faulty):
    class executor(ThreadExecutor):  # noqa: N801
        capacity = 0


class DoesNothing(Faulty):
    class executor(ThreadExecutor):  # noqa: N801
        def submit(self, work, /, *arguments):
            future = Future()
            future.set_result(None)
            return future


class MixesUpResults(Faulty):
    class executor(ThreadExecutor):  # noqa: N801
        def submit(self, work, /, *arguments):
            future, self.last = getattr(self, "last", None), super().submit(work, *arguments)
            return future or self.last


class RaisesAtOnce(Faulty):
    class executor(ThreadExecutor):  # noqa: N801
        def submit(self, work, /, *arguments):
            future = super().submit(work, *arguments)
            future.result()
            return future


class DoesOneAfterTheOther(Faulty):
    class executor(ThreadExecutor):  # noqa: N801
        def __init__(self, jobs):
            super().__init__(jobs)
            self._pool = ThreadPoolExecutor(1)


class TurnsErrorsIntoText(Faulty):
    class executor(ThreadExecutor):  # noqa: N801
        def submit(self, work, /, *arguments):
            def careful(*arguments):
                try:
                    return work(*arguments)
                except Exception as error:
                    raise RuntimeError("a job failed") from error

            return super().submit(careful, *arguments)


class FinishesEverything(Faulty):
    class executor(ThreadExecutor):  # noqa: N801
        def close(self):
            self._pool.shutdown()


class LeavesJobsBehind(Faulty):
    class executor(ThreadExecutor):  # noqa: N801
        def close(self):
            self._pool.shutdown(wait=False, cancel_futures=True)


class ForgetsJobs(Faulty):
    class executor(ThreadExecutor):  # noqa: N801
        def submit(self, work, /, *arguments):
            return Future() if work is time.sleep else super().submit(work, *arguments)


class ClosesOnce(Faulty):
    class executor(ThreadExecutor):  # noqa: N801
        def close(self):
            super().close()
            del self._pool


class LeavesAThread(Faulty):
    class executor(ThreadExecutor):  # noqa: N801
        def close(self):
            super().close()
            threading.Thread(target=time.sleep, args=(1,), daemon=True).start()


class SharesItsPool(Faulty):
    class executor(ThreadExecutor):  # noqa: N801
        pool = None

        def __init__(self, jobs):
            super().__init__(jobs)
            type(self).pool = self._pool = type(self).pool or self._pool


class HandMade:
    """Threads that take jobs from a queue."""

    capacity = 4

    def __init__(self, jobs):
        self.capacity = jobs
        self.jobs = queue.SimpleQueue()
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(jobs)]
        for thread in self.threads:
            thread.start()

    def submit(self, work, /, *arguments):
        future = Future()
        self.jobs.put((future, work, arguments))
        return future

    def work(self):
        while (job := self.jobs.get()) is not None:
            self.run(*job)

    def run(self, future, work, arguments):
        try:
            future.set_result(work(*arguments))
        except Exception as error:
            future.set_exception(error)

    def close(self):
        for _ in self.threads:
            self.jobs.put(None)


class DiesOfAnError(Faulty):
    class executor(HandMade):  # noqa: N801
        def run(self, future, work, arguments):
            with contextlib.suppress(Exception):
                future.set_result(work(*arguments))


class ForgetsWhatWaitsWhenClosed(Faulty):
    class executor(HandMade):  # noqa: N801
        def close(self):
            self.jobs = queue.SimpleQueue()


class FinishesAllThatWaits(Faulty):
    executor = HandMade


class RaisesAgainWhenClosed(Faulty):
    class executor(ThreadExecutor):  # noqa: N801
        def submit(self, work, /, *arguments):
            self.last = super().submit(work, *arguments)
            return self.last

        def close(self):
            super().close()
            if not self.last.cancelled():
                self.last.result()


class AnswersInOrder(Faulty):
    class executor(ThreadExecutor):  # noqa: N801
        def __init__(self, jobs):
            super().__init__(jobs)
            self._pool = ThreadPoolExecutor(jobs)
            self.last = None

        def submit(self, work, /, *arguments):
            before = self.last

            def in_order(*arguments):
                result = work(*arguments)
                if before is not None:
                    wait([before])
                return result

            self.last = super().submit(in_order, *arguments)
            return self.last


FAULTS = [
    (NeedsNoAddressThatItAskedFor, "test_an_address_is_needed_where_it_says_so"),
    (TakesAnyAddress, "test_address_where_nothing_is_is_refused"),
    (RunsElsewhereInWords, "test_jobs_run_in_other_processes_exactly_if_it_says_so"),
    (HasNoRoom, "test_capacity_is_what_was_asked_for"),
    (HasNoRoom, "test_there_is_always_room_for_a_job"),
    (DoesNothing, "test_arguments_and_results_arrive_as_they_were"),
    (MixesUpResults, "test_each_job_gives_its_own_result"),
    (RaisesAtOnce, "test_what_a_job_raises_is_raised_by_its_future_alone"),
    (RaisesAtOnce, "test_a_short_job_ends_before_a_long_one"),
    (DoesOneAfterTheOther, "test_a_short_job_ends_before_a_long_one"),
    (TurnsErrorsIntoText, "test_what_a_job_raises_is_raised_by_its_future_alone"),
    (TurnsErrorsIntoText, "test_error_of_transship_stays_one"),
    (TurnsErrorsIntoText, "test_error_that_cannot_be_pickled_comes_back_too"),
    (FinishesEverything, "test_closing_gives_up_what_has_not_begun"),
    (LeavesJobsBehind, "test_closing_gives_up_what_has_not_begun"),
    (ForgetsJobs, "test_more_jobs_than_there_is_room_for_all_end"),
    (LeavesJobsBehind, "test_cancelled_jobs_end_one_way_or_the_other"),
    (ClosesOnce, "test_closing_twice_is_harmless"),
    (LeavesAThread, "test_nothing_is_left_running_after_it_was_closed"),
    (DiesOfAnError, "test_what_a_job_raises_is_raised_by_its_future_alone"),
    (ForgetsWhatWaitsWhenClosed, "test_closing_gives_up_what_has_not_begun"),
    (FinishesAllThatWaits, "test_closing_gives_up_what_has_not_begun"),
    (FinishesAllThatWaits, "test_cancelled_jobs_end_one_way_or_the_other"),
    (RaisesAgainWhenClosed, "test_closing_twice_is_harmless"),
    (AnswersInOrder, "test_a_short_job_ends_before_a_long_one"),
    (SharesItsPool, "test_two_may_be_open_at_once"),
]


@pytest.mark.parametrize(("fault", "test"), FAULTS, ids=lambda value: getattr(value, "__name__", value))
def test_a_fault_is_noticed(fault, test, run_contract, monkeypatch):
    monkeypatch.setattr("transship.testing.contracts.executor._PATIENCE", 1.0)
    noticed = (AssertionError, pytest.fail.Exception, AttributeError, RuntimeError, ZeroDivisionError, TransshipError)
    with pytest.raises((*noticed, FutureTimeoutError)):
        run_contract(ExecutorContract, test, executor_factory=fault(), address="")
