"""The order in which a sync does its jobs, and what ends it."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from functools import partial

import pytest

from transship.copy.options import CopyOptions
from transship.errors import NotFoundError, TransshipError
from transship.image.digest import digest_of
from transship.plugin.cancellation import Cancellation
from transship.plugin.events import ImagePresent
from transship.plugin.executor import Executor
from transship.sync.jobs import CopyJob, JobOutcome, JobResult, Status
from transship.sync.run import SyncObserver, SyncRun
from transship.sync.settings import SourceSettings
from transship.sync.sides import Side
from transship.sync.sources import ImageGroup, SkippedGroupError


class ManualExecutor(Executor):
    """Ends a job when it is told to, or by itself."""

    def __init__(self, capacity: int, outcomes: dict[str, JobOutcome], *, stuck: tuple[str, ...] = ()) -> None:
        self.started: list[str] = []
        self._capacity = capacity
        self._outcomes = outcomes
        self._stuck = stuck
        self._futures: dict[str, Future] = {}
        self.most = 0

    @property
    def capacity(self) -> int:
        return self._capacity

    def submit(self, work, /, *arguments):
        (job,) = arguments
        self.started.append(job.source)
        future = self._futures[job.source] = Future()
        self.most = max(self.most, sum(not other.done() for other in self._futures.values()))
        if job.source not in self._stuck:
            self.finish(job.source)
        return future

    def release(self) -> None:
        """Let nothing be stuck any longer."""
        stuck, self._stuck = self._stuck, ()
        for source in stuck:
            if source in self._futures:
                self.finish(source)

    def finish(self, source: str) -> None:
        outcome = self._outcomes.get(source, JobOutcome(Status.COPIED, bytes_written=10))
        self._futures[source].set_result(JobResult(outcome))


class Seen(SyncObserver):
    def __init__(self, on_finished=lambda task: None) -> None:
        self.finished_sources: list[str] = []
        self.totals: list[tuple[int, int]] = []
        self.failures: list[str] = []
        self._on_finished = on_finished

    def started(self, task):
        self.totals.append((task.number, task.total))

    def finished(self, task, outcome):
        self.finished_sources.append(task.job.source)
        self._on_finished(task)

    def group_failed(self, error):
        self.failures.append(str(error))


def group(name: str, count: int) -> ImageGroup:
    return ImageGroup(Side(), SourceSettings(), [f"{name}{number}" for number in range(count)], lambda image: image)


def jobs_of(images: ImageGroup):
    for image in images:
        yield CopyJob(image, f"to:{image}", CopyOptions())


def new_run(executor, observer=None, *, keep_going=False):
    def begin(executor, task):
        return executor.submit(None, task.job)

    return SyncRun(executor, begin, jobs_of, observer or Seen(), Cancellation(), keep_going=keep_going)


def loads(*groups):
    return iter([partial(lambda found: found, each) for each in groups])


def test_all_images_of_all_groups_are_copied():
    executor, seen = ManualExecutor(2, {}), Seen()
    summary = new_run(executor, seen).run(loads(group("a", 3), group("b", 2)))
    assert sorted(seen.finished_sources) == ["a0", "a1", "a2", "b0", "b1"]
    assert (summary.groups, summary.synced, summary.bytes_written) == (2, 5, 50)
    assert not summary.has_failures


def test_images_are_numbered_within_their_group():
    seen = Seen()
    new_run(ManualExecutor(1, {}), seen).run(loads(group("a", 3)))
    assert seen.totals == [(1, 3), (2, 3), (3, 3)]


def test_no_more_jobs_run_than_there_is_capacity_for():
    executor = ManualExecutor(3, {})
    new_run(executor).run(loads(group("a", 20)))
    assert executor.most <= 3


def test_many_empty_groups_do_not_end_the_run():
    seen = Seen()
    summary = new_run(ManualExecutor(2, {}), seen).run(loads(*[group("e", 0)] * 30, group("a", 1)))
    assert seen.finished_sources == ["a0"]
    assert summary.groups == 1


def test_a_group_whose_images_are_stuck_leaves_room_for_others():
    executor = ManualExecutor(2, {}, stuck=("slow0", "slow1"))

    def on_finished(task):
        if task.job.source == "quick9":
            executor.release()

    seen = Seen(on_finished)
    gate = threading.Barrier(2)  # both groups are known before the first job begins

    def load(found):
        gate.wait(10)
        return found

    new_run(executor, seen).run(iter([partial(load, group("slow", 2)), partial(load, group("quick", 10))]))
    assert set(seen.finished_sources) >= {f"quick{number}" for number in range(10)}
    assert seen.finished_sources.index("quick9") < seen.finished_sources.index("slow0")


def test_the_first_failure_ends_the_run():
    executor = ManualExecutor(1, {"a1": JobOutcome(Status.FAILED, error="broken")})
    with pytest.raises(TransshipError, match='Error copying ref "a1": broken') as caught:
        new_run(executor).run(loads(group("a", 5)))
    assert executor.started == ["a0", "a1"]
    assert caught.value.__cause__ is None


def test_an_image_that_is_not_there_is_told_apart():
    executor = ManualExecutor(1, {"a0": JobOutcome(Status.FAILED, error="unknown", not_found=True)})
    with pytest.raises(TransshipError) as caught:
        new_run(executor).run(loads(group("a", 1)))
    assert isinstance(caught.value.__cause__, NotFoundError)


def test_failures_are_counted_if_the_run_is_to_go_on():
    executor = ManualExecutor(2, {"a1": JobOutcome(Status.FAILED, error="broken")})
    summary = new_run(executor, keep_going=True).run(loads(group("a", 5)))
    assert (summary.synced, summary.counts[Status.FAILED], summary.has_failures) == (4, 1, True)


def test_what_is_refused_ends_the_run_in_any_case():
    executor = ManualExecutor(1, {"a0": JobOutcome(Status.FAILED, error="there is a folder", refused=True)})
    with pytest.raises(TransshipError, match=r"^there is a folder$"):
        new_run(executor, keep_going=True).run(loads(group("a", 3)))
    assert executor.started == ["a0"]


def test_a_group_that_is_skipped_is_a_failure():
    def load():
        raise SkippedGroupError("not listed")

    seen = Seen()
    summary = new_run(ManualExecutor(1, {}), seen).run(iter([load, *loads(group("a", 1))]))
    assert (summary.failed_groups, summary.synced, summary.has_failures) == (1, 1, True)
    assert seen.failures == ["not listed"]


def test_a_group_that_cannot_be_found_ends_the_run():
    def load():
        raise TransshipError("no such place")

    with pytest.raises(TransshipError, match="no such place"):
        new_run(ManualExecutor(1, {})).run(iter([load]))


def test_what_happened_elsewhere_is_told_at_the_end():
    event = ImagePresent("source", "destination", digest_of(b""))
    told = []

    class Told(SyncObserver):
        def happened(self, task, event):
            told.append(event)

    def begin(executor, task):
        future = Future()
        future.set_result(JobResult(JobOutcome(Status.SKIPPED), (event,)))
        return future

    SyncRun(ManualExecutor(1, {}), begin, jobs_of, Told(), Cancellation(), keep_going=False).run(loads(group("a", 1)))
    assert told == [event]


def test_only_so_many_groups_are_looked_ahead_for():
    loaded = []

    def load(number):
        loaded.append(number)
        return group(f"g{number}-", 1)

    executor = ManualExecutor(1, {}, stuck=("g0-0",))

    timer = threading.Timer(0.5, executor.release)
    timer.start()
    counts = []
    seen = Seen(lambda task: counts.append(len(loaded)))
    new_run(executor, seen).run(iter([partial(load, number) for number in range(50)]))
    timer.join()
    assert counts[0] <= 16
    assert len(loaded) == 50
