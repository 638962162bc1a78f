"""One sync from beginning to end: groups are found while images of others are copied, no group holds up another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from transship.errors import NotFoundError, TransshipError
from transship.plugin.cancellation import Cancellation
from transship.plugin.events import Event
from transship.plugin.executor import Executor
from transship.sync.jobs import CopyJob, JobOutcome, JobResult, Status
from transship.sync.sources import ImageGroup, Load, SkippedGroupError

_LISTERS = 4
"""So many groups are looked for at the same time."""

_OPEN_GROUPS = 8
"""Of so many groups the images are known at the same time."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A job as a run counts it: number ``number`` of ``total`` in its group."""

    job: CopyJob
    number: int
    total: int


class SyncObserver:
    """Sees what happens in a sync, in the thread that runs it, but for ``happened``. This one does nothing about it."""

    def started(self, task: Task) -> None:
        """A job is about to begin."""

    def happened(self, task: Task, event: Event) -> None:
        """Something happened in a job: in any thread, and for jobs that run elsewhere only at their end."""

    def finished(self, task: Task, outcome: JobOutcome) -> None:
        """A job ended, one way or the other."""

    def group_failed(self, error: TransshipError) -> None:
        """The images of a group could not be found; the others go on."""

    def removed(self, reference: str, error: TransshipError | None) -> None:
        """An image was removed at the destination, or would be in a dry run, or with ``error`` could not be."""


@dataclass(slots=True)
class SyncSummary:
    """What came of a sync.

    ``groups`` are those that had images; ``failed_groups`` could not be looked for. ``removed`` images are gone from
    the destination, or would be; ``failed_removals`` are still there.
    """

    groups: int = 0
    failed_groups: int = 0
    counts: dict[Status, int] = field(default_factory=lambda: dict.fromkeys(Status, 0))
    bytes_written: int = 0
    removed: int = 0
    failed_removals: int = 0

    @property
    def synced(self) -> int:
        """How many images are at the destination as they should be, or would be."""
        return sum(self.counts[status] for status in (Status.COPIED, Status.SKIPPED, Status.PLANNED))

    @property
    def has_failures(self) -> bool:
        """Whether anything failed."""
        return bool(self.counts[Status.FAILED] or self.failed_groups or self.failed_removals)

    def add(self, outcome: JobOutcome) -> None:
        """Count a job."""
        self.counts[outcome.status] += 1
        self.bytes_written += outcome.bytes_written


@dataclass(eq=False, slots=True)
class _Group:
    """A group under way: what is left of it, and how many of its jobs are running."""

    tasks: Iterator[Task]
    running: int = 0


Begin = Callable[[Executor, Task], Future[JobResult]]
JobsOf = Callable[[ImageGroup], Iterator[CopyJob]]


class SyncRun:
    """Runs the jobs of all groups. The group with the fewest running jobs is served next, and while there are others
    none takes more than half of the places: one whose images are slow does not hold up the rest."""

    def __init__(
        self,
        executor: Executor,
        begin: Begin,
        jobs_of: JobsOf,
        observer: SyncObserver,
        cancellation: Cancellation,
        *,
        keep_going: bool,
    ) -> None:
        self._executor = executor
        self._begin = begin
        self._jobs_of = jobs_of
        self._observer = observer
        self._cancellation = cancellation
        self._keep_going = keep_going
        self._summary = SyncSummary()
        self._groups: list[_Group] = []
        self._loading: dict[Future[ImageGroup], None] = {}
        self._running: dict[Future[JobResult], tuple[Task, _Group]] = {}

    def run(self, loads: Iterator[Load]) -> SyncSummary:
        """Do everything; raise ``TransshipError`` at the first failure that ends the run."""
        with ThreadPoolExecutor(_LISTERS, thread_name_prefix="transship-list") as listers:
            try:
                while self._advance(loads, listers):
                    pass
            except BaseException:
                self._cancellation.cancel()
                listers.shutdown(cancel_futures=True)
                self._executor.close()
                raise
        return self._summary

    def _advance(self, loads: Iterator[Load], listers: ThreadPoolExecutor) -> bool:
        """Begin what can begin, and wait until something ends; False if nothing is left."""
        self._look_ahead(loads, listers)
        self._start_jobs()
        self._look_ahead(loads, listers)
        if not (self._running or self._loading):
            return False
        under_way: list[Future[Any]] = [*self._running, *self._loading]
        done, _ = wait(under_way, return_when=FIRST_COMPLETED)
        for future in [future for future in self._loading if future in done]:
            del self._loading[future]
            self._take_group(future)
        for job in [job for job in self._running if job in done]:
            self._take_outcome(job)
        return True

    def _look_ahead(self, loads: Iterator[Load], listers: ThreadPoolExecutor) -> None:
        while len(self._groups) + len(self._loading) < _OPEN_GROUPS and (load := next(loads, None)) is not None:
            self._loading[listers.submit(load)] = None

    def _start_jobs(self) -> None:
        while len(self._running) < self._executor.capacity and (group := self._next_group()) is not None:
            task = next(group.tasks, None)
            if task is None:
                self._groups.remove(group)
                continue
            self._observer.started(task)
            self._running[self._begin(self._executor, task)] = (task, group)
            group.running += 1

    def _next_group(self) -> _Group | None:
        group = min(self._groups, key=lambda group: group.running, default=None)
        is_alone = len(self._groups) == 1 and not self._loading
        if group is None or is_alone or group.running < max(self._executor.capacity // 2, 1):
            return group
        return None

    def _take_group(self, future: Future[ImageGroup]) -> None:
        try:
            group = future.result()
        except SkippedGroupError as error:
            self._summary.failed_groups += 1
            self._observer.group_failed(error)
            return
        if group.images:
            self._summary.groups += 1
            total = len(group.images)
            tasks = (Task(job, number, total) for number, job in enumerate(self._jobs_of(group), 1))
            self._groups.append(_Group(tasks))

    def _take_outcome(self, future: Future[JobResult]) -> None:
        task, group = self._running.pop(future)
        group.running -= 1
        outcome, events = future.result()
        for event in events:
            self._observer.happened(task, event)
        self._summary.add(outcome)
        self._observer.finished(task, outcome)
        if outcome.refused:
            raise TransshipError(outcome.error)
        if outcome.status is Status.FAILED and not self._keep_going:
            raise _failure(task, outcome)


def _failure(task: Task, outcome: JobOutcome) -> TransshipError:
    error = TransshipError(f'Error copying ref "{task.job.source}": {outcome.error}')
    if outcome.not_found:
        error.__cause__ = NotFoundError(outcome.error)
    return error
