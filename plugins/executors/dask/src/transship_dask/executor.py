"""The executor ``dask``: jobs run on the workers of a Dask scheduler."""

from __future__ import annotations

from transship import hookimpl
from transship.errors import UnsupportedError
from transship.plugin.cancellation import Cancellation
from transship.plugin.executor import Executor, ExecutorFactory, ExecutorSettings


class Dask(ExecutorFactory):
    """``dask``: by default two jobs for each thread of the workers, one of which waits."""

    name = "dask"
    runs_elsewhere = True
    needs_address = True

    def open(self, settings: ExecutorSettings, cancellation: Cancellation) -> Executor:
        if not settings.address:
            raise UnsupportedError(
                "the executor 'dask' needs the address of a scheduler, such as tcp://scheduler.example.com:8786"
            )
        from transship_dask.cluster import open_cluster

        return open_cluster(settings, cancellation)


@hookimpl
def transship_executors() -> list[ExecutorFactory]:
    """The executor."""
    return [Dask()]
