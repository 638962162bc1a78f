"""Where the jobs of a sync run: in threads, or in other processes and on other machines.

A job may be run twice, and then does nothing the second time. Its function belongs to a module and its arguments can
be pickled; it holds no secret: what needs credentials looks for them where it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeVar

from transship.plugin.cancellation import Cancellation

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """What the user said. ``jobs`` at the same time, 0: as many as suits. ``address`` of a service, ``""``: none."""

    jobs: int = 0
    address: str = ""


class Executor:
    """Runs jobs, as many at the same time as it can. It is used from one thread."""

    @property
    def capacity(self) -> int:
        """How many jobs should be under way, waiting ones included. At least 1; it may change."""
        raise NotImplementedError

    def submit(self, work: Callable[..., _Result], /, *arguments: object) -> Future[_Result]:
        """Run ``work`` soon. A job that is lost with its worker is run again elsewhere."""
        raise NotImplementedError

    def close(self) -> None:
        """Give up what has not begun, wait for the rest, release everything. May be called more than once."""


class ExecutorFactory:
    """A way to run jobs. ``name`` is what ``--executor`` takes and the entry point's name.

    ``runs_elsewhere``: jobs leave this process, and with them everything that they need; flags that hold a secret
    are refused. ``needs_address``: it cannot be opened without one.
    """

    name: str
    runs_elsewhere: bool = False
    needs_address: bool = False

    def open(self, settings: ExecutorSettings, cancellation: Cancellation) -> Executor:
        """Get ready; raise ``TransshipError`` if that cannot be. ``cancellation`` ends the run."""
        raise NotImplementedError
