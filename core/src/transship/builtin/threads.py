"""Jobs in threads of this process: the executor that is used unless another one is asked for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from transship import hookimpl
from transship.errors import UnsupportedError
from transship.plugin.cancellation import Cancellation
from transship.plugin.executor import Executor, ExecutorFactory, ExecutorSettings

_Result = TypeVar("_Result")

DEFAULT_JOBS = 6


class ThreadExecutor(Executor):
    """So many jobs at the same time, in this process."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._pool = ThreadPoolExecutor(jobs, thread_name_prefix="transship-image")

    @property
    def capacity(self) -> int:
        return self._jobs

    def submit(self, work: Callable[..., _Result], /, *arguments: object) -> Future[_Result]:
        return self._pool.submit(work, *arguments)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


class Threads(ExecutorFactory):
    """``threads``: by default ``DEFAULT_JOBS`` jobs at the same time."""

    name = "threads"

    def open(self, settings: ExecutorSettings, cancellation: Cancellation) -> Executor:
        if settings.address:
            raise UnsupportedError("the executor 'threads' has no address: it runs in this process")
        return ThreadExecutor(settings.jobs or DEFAULT_JOBS)


@hookimpl
def transship_executors() -> list[ExecutorFactory]:
    """The executor of this process."""
    return [Threads()]
