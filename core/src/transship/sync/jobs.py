"""One image of a sync, as a job that can travel to another machine, and what came of it."""

from __future__ import annotations

import enum
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from transship.copy.options import CopyOptions, CopyResult
from transship.errors import CancelledError, DeadlineExceededError, NotFoundError, TransshipError
from transship.image.digest import Digest
from transship.places import Place, place
from transship.plugin.events import Event, ImagePresent, ReadingSignatures
from transship.retry import Retries, with_retries
from transship.sync.presence import present_digest
from transship.sync.sides import Side, Workplace

OnEvent = Callable[[Event], None]

FOLDER_TRANSPORT = "dir"
"""The transport whose images are folders: those above them are made here."""


class Status(enum.Enum):
    """What came of an image."""

    COPIED = "copied"
    SKIPPED = "skipped"
    PLANNED = "planned"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CopyJob:
    """Copy ``source`` to ``destination``, both ``transport:reference``. To run it twice does no harm.

    It can be pickled and holds no secret. ``rechecks``: what is there is not believed, every blob is looked at.
    ``updates``: a folder that exists is brought up to date instead of refused.
    """

    source: str
    destination: str
    options: CopyOptions
    source_side: Side = Side()  # noqa: RUF009 - a frozen value
    destination_side: Side = Side()  # noqa: RUF009 - a frozen value
    retries: Retries = Retries()  # noqa: RUF009 - a frozen value
    rechecks: bool = False
    updates: bool = False


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """What came of a job; it can be pickled.

    ``digest`` is that of what the destination names now, None after a failure. ``bytes_written`` counts blobs that
    moved. ``seconds`` is how long it took. ``error`` is one line, ``""`` unless it failed. ``not_found``: the source
    image is not there. ``refused``: the job may not be done, whatever is said of failures.
    """

    status: Status
    digest: Digest | None = None
    bytes_written: int = 0
    blobs_written: int = 0
    blobs_reused: int = 0
    seconds: float = 0.0
    error: str = ""
    not_found: bool = False
    refused: bool = False


class JobResult(NamedTuple):
    """What came of a job, and what happened in it if nobody was told while it ran."""

    outcome: JobOutcome
    events: Sequence[Event] = ()


class RefusedError(TransshipError):
    """A job would overwrite what it must not."""


def run_job(job: CopyJob, workplace: Workplace, on_event: OnEvent) -> JobResult:
    """Do a job and say what came of it. Raises only what ends the whole run: cancellation, time-outs and bugs."""
    start = time.monotonic()
    try:
        return JobResult(_done(job, workplace, on_event, start))
    except (CancelledError, DeadlineExceededError):
        raise
    except (TransshipError, OSError) as error:
        workplace.cancellation.check()
        return JobResult(_failed(error, time.monotonic() - start))


def _failed(error: Exception, seconds: float) -> JobOutcome:
    return JobOutcome(
        Status.FAILED,
        seconds=seconds,
        error=_reason(error),
        not_found=_is_not_found(error),
        refused=isinstance(error, RefusedError),
    )


def _done(job: CopyJob, workplace: Workplace, on_event: OnEvent, start: float) -> JobOutcome:
    require_new_folder(job)
    if not job.options.dry_run:
        _make_parents(job)
    elif _folder(job) and not os.path.isdir(_folder(job)):
        return JobOutcome(Status.PLANNED)
    source = place(workplace.manager, job.source, "source", workplace.context("source", job.source_side))
    context = workplace.context("destination", job.destination_side)
    destination = place(workplace.manager, job.destination, "destination", context)
    if not (job.rechecks or workplace.signers):
        present = present_digest(source, destination, workplace.policy, job.options)
        if present is not None:
            _announce(job, source, present, on_event)
            return JobOutcome(Status.SKIPPED, present, seconds=time.monotonic() - start)
    if job.options.dry_run:
        return JobOutcome(Status.PLANNED, seconds=time.monotonic() - start)
    result = with_retries(
        lambda: _copied(job, source, destination, workplace, on_event),
        job.retries,
        workplace.cancellation,
        workplace.warn,
    )
    return JobOutcome(
        Status.COPIED,
        result.digest,
        result.bytes_written,
        result.blobs_written,
        result.blobs_reused,
        time.monotonic() - start,
    )


def _copied(job: CopyJob, source: Place, destination: Place, workplace: Workplace, on_event: OnEvent) -> CopyResult:
    from transship.copy.run import copy_image  # in many runs everything is there already

    (result,) = copy_image(
        workplace.manager,
        source,
        [destination],
        policy=workplace.policy,
        options=job.options,
        signers=workplace.signers,
        flights=workplace.flights,
        threads=workplace.threads,
        observer=on_event,
    )
    return result


def _announce(job: CopyJob, source: Place, digest: Digest, on_event: OnEvent) -> None:
    image = str(source.reference)
    if not job.options.remove_signatures:
        on_event(ReadingSignatures(image, of_index=False))
    on_event(ImagePresent(image, job.destination, digest))


def require_new_folder(job: CopyJob) -> None:
    """Raise ``RefusedError`` if the job would overwrite a folder that is not to be brought up to date."""
    path = _folder(job)
    if path and not job.updates and os.path.lexists(path):
        raise RefusedError(f'Refusing to overwrite destination directory "{path}"')


def _make_parents(job: CopyJob) -> None:
    if parent := os.path.dirname(_folder(job).rstrip("/")):
        os.makedirs(parent, exist_ok=True)


def _folder(job: CopyJob) -> str:
    """The folder that the image becomes, ``""`` where it becomes none."""
    transport, _, path = job.destination.partition(":")
    return path if transport == FOLDER_TRANSPORT else ""


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        named = f"{error.filename}: " if error.filename else ""
        return named + (error.strerror or str(error)).lower()
    return str(error)


def _is_not_found(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, NotFoundError):
            return True
        error = error.__cause__
    return False
