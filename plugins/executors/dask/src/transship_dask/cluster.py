"""Jobs on the workers of a Dask scheduler."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import uuid
from collections.abc import Callable
from concurrent.futures import CancelledError as JobCancelledError
from concurrent.futures import Future
from typing import Any, TypeVar

from distributed import KilledWorker
from distributed.client import ClosedClientError
from distributed.comm import CommClosedError

import transship
from transship.errors import CancelledError, DeadlineExceededError, TransportError, TransshipError
from transship.plugin.cancellation import Cancellation
from transship.plugin.executor import Executor, ExecutorSettings
from transship_dask.connection import Connection, line_of
from transship_dask.job import Call, installed_version, run_pickled, version_mismatch

_Result = TypeVar("_Result")

_INTERVAL = 0.25
_JOBS_PER_THREAD = 2
_WORKER_PATIENCE = 8.0


def open_cluster(settings: ExecutorSettings, cancellation: Cancellation) -> Executor:
    """Jobs on the workers of the scheduler at ``settings.address``; raise ``TransshipError`` if it is of no use."""
    connection = Connection(settings.address, cancellation)
    try:
        if not (settings.jobs or connection.ask(_has_workers(connection), cancellation)):
            raise TransportError(
                f"the Dask scheduler at {settings.address} has no workers: start some, or if it starts them when "
                "there are jobs, say how many jobs it gets (--jobs)"
            )
        connection.ask(_require_this_version(connection), cancellation)
        return Cluster(connection, settings.jobs, cancellation, connection.ask(_count_threads(connection)))
    except BaseException:
        connection.close()
        raise


class Cluster(Executor):
    """Jobs on workers with so many ``threads``, now. Its coroutines run in the thread of the connection."""

    def __init__(self, connection: Connection, jobs: int, cancellation: Cancellation, threads: int) -> None:
        self._connection = connection
        self._jobs = jobs
        self._cancellation = cancellation
        self._threads = threads
        self._end: TransshipError | None = None
        self._tasks: set[asyncio.Task[Any] | None] = set()
        connection.begin(self._watch_cancellation())
        connection.begin(self._watch_workers())

    @property
    def capacity(self) -> int:
        return self._jobs or max(_JOBS_PER_THREAD * self._threads, 1)

    def submit(self, work: Callable[..., _Result], /, *arguments: object) -> Future[_Result]:
        job = Call(run_pickled, transship.__version__, pickle.dumps((work, arguments)))
        return self._connection.begin(self._run(pickle.dumps(job)))

    def close(self) -> None:
        if self._end is None:
            self._connection.ask(self._give_up(CancelledError("cancelled")))
        self._connection.close()

    async def _run(self, job: bytes) -> Any:
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            if self._end is not None:
                raise self._end
            client = self._connection.client
            return await client.submit(pickle.loads, job, key=f"transship-{uuid.uuid4()}", pure=False)
        except asyncio.CancelledError:
            raise self._end or self._lost() from None
        except Exception as error:
            raise self._explained(error) from None
        finally:
            self._tasks.discard(task)

    def _explained(self, error: Exception) -> Exception:
        if isinstance(error, KilledWorker):
            deaths, last = error.allowed_failures + 1, error.last_worker.address
            return TransshipError(f"{deaths} Dask workers died while they did the job, the last one was {last}")
        if isinstance(error, JobCancelledError | ClosedClientError | CommClosedError):
            return self._end or self._lost()
        return _unable("a Dask worker", error) if isinstance(error, ImportError) else error

    def _lost(self) -> TransshipError:
        self._end = TransportError(
            f"the Dask scheduler at {self._connection.address} went away, or gave up the jobs; "
            "to go on where this run ended, start the same sync again"
        )
        return self._end

    async def _watch_cancellation(self) -> None:
        try:
            while self._end is None:
                self._cancellation.check()
                await asyncio.sleep(_INTERVAL)
        except (CancelledError, DeadlineExceededError) as error:
            await self._give_up(error)

    async def _watch_workers(self) -> None:
        while self._connection.client.status == "running":
            with contextlib.suppress(OSError):
                self._threads = await _count_threads(self._connection)
            await asyncio.sleep(_INTERVAL)
        await self._give_up(self._lost())

    async def _give_up(self, error: TransshipError) -> None:
        self._end = self._end or error
        tasks = [task for task in self._tasks if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _has_workers(connection: Connection) -> bool:
    try:
        await connection.client.wait_for_workers(1, timeout=_WORKER_PATIENCE)
    except TimeoutError:
        return False
    return True


async def _count_threads(connection: Connection) -> int:
    return sum((await connection.client.nthreads()).values())


async def _require_this_version(connection: Connection) -> None:
    question = pickle.dumps(Call(installed_version))
    answers = await connection.client.run(pickle.loads, question, on_error="return")
    for worker, answer in answers.items():
        if isinstance(answer, Exception):
            raise _unable(f"the Dask worker {worker}", answer)
        if answer != transship.__version__:
            raise TransshipError(version_mismatch(worker, answer, transship.__version__))


def _unable(worker: str, error: Exception) -> TransshipError:
    return TransshipError(
        f"{worker} cannot do the jobs, install transship[dask] {transship.__version__} there: {line_of(error)}"
    )
