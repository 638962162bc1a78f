"""Jobs that each move a blob, several at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, TypeVar

from transship.copy.options import DEFAULT_PARALLEL_BLOBS
from transship.errors import CancelledError
from transship.plugin.cancellation import Cancellation

if TYPE_CHECKING:
    from transship.copy.session import Session

_MOST_THREADS = 256
"""Where all are busy, a copy moves its blobs in its own thread."""

_Result = TypeVar("_Result")


def blob_threads() -> Executor:
    """Threads for copies, begun when there is work. Shut them down."""
    return ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="transship-blob")


def at_once(session: Session, jobs: Sequence[Callable[[], _Result]]) -> list[_Result]:
    """Run jobs, as many at a time as the session allows, this thread being one of those; what they return, in order.

    If one fails the whole session is cancelled, and that failure is raised.
    """
    count = min(_parallel_blobs(session), len(jobs))
    if count < 2:
        return [job() for job in jobs]
    crew = _Crew(jobs, session.cancellation)
    helpers = [session.threads.submit(crew.work) for _ in range(count - 1)]
    try:
        crew.work()
        for helper in helpers:
            if not helper.cancel():  # it has begun
                helper.result()
    except BaseException:
        session.cancellation.cancel()
        raise
    return crew.results()


def _parallel_blobs(session: Session) -> int:
    parallel = session.source.parallel and all(target.traits.parallel for target in session.targets)
    return (session.options.parallel_blobs or DEFAULT_PARALLEL_BLOBS) if parallel else 1


class _Crew(Generic[_Result]):
    """Threads that take one job after the other, until there is none or one has failed."""

    def __init__(self, jobs: Sequence[Callable[[], _Result]], cancellation: Cancellation) -> None:
        self._waiting: Iterator[tuple[int, Callable[[], _Result]]] = enumerate(jobs)
        self._cancellation = cancellation
        self._done: dict[int, _Result] = {}
        self._failures: list[BaseException] = []
        self._lock = threading.Lock()

    def work(self) -> None:
        """Take part."""
        while (taken := self._next()) is not None:
            number, job = taken
            try:
                result = job()
            except BaseException as error:
                with self._lock:
                    self._failures.append(error)
                self._cancellation.cancel()
            else:
                with self._lock:
                    self._done[number] = result

    def results(self) -> list[_Result]:
        """What the jobs returned. Raises the first failure; that others were cancelled then is none."""
        if self._failures:
            raise min(self._failures, key=_rank)
        return [self._done[number] for number in sorted(self._done)]

    def _next(self) -> tuple[int, Callable[[], _Result]] | None:
        with self._lock:
            return None if self._failures else next(self._waiting, None)


def _rank(failure: BaseException) -> tuple[bool, bool]:
    """The user's wish to end before all others, what only followed from another failure behind them."""
    return isinstance(failure, Exception), isinstance(failure, CancelledError)
