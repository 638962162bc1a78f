"""What runs on the workers."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from distributed import get_worker

import transship
from transship.errors import TransshipError


class Call:
    """A call that is made where this is unpickled, with ``pickle.loads`` as the function that Dask gets to see.

    Dask unpickles functions and arguments as soon as it receives them; a worker that cannot, as it has no transship,
    is lost for everybody, and a scheduler would need transship too. Bytes do no harm.
    """

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self._function = function
        self._arguments = arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self._function, self._arguments


def installed_version() -> str:
    """The version of transship in this process."""
    return transship.__version__


def run_pickled(version: str, job: bytes) -> object:
    """Do the job, a function and its arguments, that a transship of this ``version`` pickled."""
    worker = get_worker().address
    if version != transship.__version__:
        raise TransshipError(version_mismatch(worker, transship.__version__, version))
    work, arguments = pickle.loads(job)  # noqa: S301 - whoever can give a worker a job runs code there anyway
    try:
        return work(*arguments)
    except TransshipError as error:  # some kinds cannot be pickled, and nobody would know where it happened
        raise TransshipError(f"the Dask worker {worker}: {error}") from None


def version_mismatch(worker: str, there: str, here: str) -> str:
    """What to say of a worker that has another version."""
    return f"the Dask worker {worker} has transship {there}, not {here} as here: install the same everywhere"
