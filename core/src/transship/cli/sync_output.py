"""What a sync shows and writes while it runs: Skopeo's lines, digests, a report, a summary."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from transship.cli.options import report_place
from transship.cli.output import Log, printable
from transship.cli.output_file import is_written_through
from transship.cli.progress import Pulse, Thinned, line_of, progress_way, record_of, require_bars
from transship.errors import TransshipError
from transship.plugin.events import Event, Warned
from transship.plugin.files import reporting, temporary_in
from transship.sync.jobs import JobOutcome, Status
from transship.sync.run import SyncObserver, SyncSummary, Task

if TYPE_CHECKING:
    from transship.cli.bars import ImageBar


class Lines(NamedTuple):
    """A file that grows line by line."""

    path: str
    file: BinaryIO

    def write(self, line: str) -> None:
        """Add a line; raises ``TransportError`` that names the file."""
        rest = memoryview(f"{line}\n".encode(errors="backslashreplace"))
        with reporting("write", self.path):
            while rest:
                rest = rest[self.file.write(rest) :]
            self.file.flush()


class SyncOutput(SyncObserver):
    """An observer of one sync: logs, and writes digests and a report. Its kinds show progress, this one none."""

    def __init__(self, log: Log, flags: Mapping[str, Any], digests: Lines | None, report: Lines | None) -> None:
        self._log = log
        self._is_dry = flags["dry_run"]
        self._is_quiet = flags["quiet"]
        self._keeps_going = flags["keep_going"]
        self._digests = digests
        self._report = report

    def started(self, task: Task) -> None:
        """Say which image is about to be copied."""
        if not self._is_dry:
            self._announce("Copying", task)

    def happened(self, task: Task, event: Event) -> None:
        """Log what should be known; called from many threads."""
        if isinstance(event, Warned):
            self._log.warning(event.message)

    def finished(self, task: Task, outcome: JobOutcome) -> None:
        """Say what came of an image."""
        if self._is_dry and outcome.status in (Status.PLANNED, Status.SKIPPED):
            self._announce("Would have copied" if outcome.status is Status.PLANNED else "Would have skipped", task)
        if outcome.status is Status.FAILED and self._keeps_going and not outcome.refused:
            self._log.error(f'Error copying ref "{task.job.source}"', error=outcome.error)
        self._write(task, outcome)

    def group_failed(self, error: TransshipError) -> None:
        """Say why the images of a group could not be found."""
        self._log.error(str(error))

    def removed(self, reference: str, error: TransshipError | None) -> None:
        """Say which image went, or stayed against all wishes."""
        if error is None:
            self._log.info("Would have removed" if self._is_dry else "Removed", image=reference)
        elif self._keeps_going:
            self._log.error("Error removing", image=reference, error=str(error))
        if self._report is not None:
            status = "not removed" if error is not None else "to remove" if self._is_dry else "removed"
            self._tell({"destination": reference, "status": status, "error": str(error or "")})

    def show_summary(self, summary: SyncSummary) -> None:
        """Say how it went."""
        verb = "Would have synced" if self._is_dry else "Synced"
        self._log.info(f"{verb} {summary.synced} images from {summary.groups} sources")
        if sys.stdout.isatty() and not self._is_quiet:
            sys.stdout.write(_table(summary))

    def _announce(self, what: str, task: Task) -> None:
        self._log.info(
            f"{what} image ref {task.number}/{task.total}", **{"from": task.job.source, "to": task.job.destination}
        )

    def _write(self, task: Task, outcome: JobOutcome) -> None:
        if self._digests is not None and outcome.digest is not None and not self._is_dry:
            self._digests.write(f"{outcome.digest} {task.job.destination}")
        if self._report is not None:
            self._tell(_record(task, outcome))

    def _tell(self, record: dict[str, Any]) -> None:
        assert self._report is not None  # noqa: S101 - the callers have made sure
        self._report.write(json.dumps(record, ensure_ascii=False))


class _LinesOutput(SyncOutput):
    """Skopeo's lines. Those of one image stay together, whatever else is copied at the same time."""

    _pulse: Pulse | None = None

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._lines: dict[Task, list[str]] = {}
        self._lock = threading.Lock()

    def happened(self, task: Task, event: Event) -> None:
        super().happened(task, event)
        if line := line_of(event):
            with self._lock:
                self._lines.setdefault(task, []).append(line)
        if self._pulse is not None and (line := self._pulse.note(event)):
            _show([line])

    def finished(self, task: Task, outcome: JobOutcome) -> None:
        with self._lock:
            lines = self._lines.pop(task, [])
        if lines and not self._is_dry:
            _show(lines)
        super().finished(task, outcome)


class _PlainOutput(_LinesOutput):
    """Now and then, also a line that says how far it is."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._pulse = Pulse()


class _RecordsOutput(SyncOutput):
    """A line of JSON on standard error for each moment, with the image that it belongs to."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._thinned = Thinned()

    def started(self, task: Task) -> None:
        super().started(task)
        self._log.record({"event": "job-started", **_images_of(task)})

    def happened(self, task: Task, event: Event) -> None:
        super().happened(task, event)
        if self._thinned.lets_pass(event):
            self._log.record({**_images_of(task), **record_of(event)})

    def finished(self, task: Task, outcome: JobOutcome) -> None:
        super().finished(task, outcome)
        self._log.record({"event": "job-finished", **_record(task, outcome)})


class _BarOutput(SyncOutput):
    """A bar at the bottom of the terminal."""

    def __init__(self, bar: ImageBar, *args: Any) -> None:
        super().__init__(*args)
        self._bar = bar
        self._under_way = 0
        self._done = 0

    def started(self, task: Task) -> None:
        super().started(task)
        self._under_way += 1
        self._bar.update(self._images())

    def happened(self, task: Task, event: Event) -> None:
        super().happened(task, event)
        self._bar.update(self._images(), event)

    def finished(self, task: Task, outcome: JobOutcome) -> None:
        super().finished(task, outcome)
        self._under_way -= 1
        self._done += 1
        self._bar.update(self._images())

    def show_summary(self, summary: SyncSummary) -> None:
        self._bar.close()
        super().show_summary(summary)

    def _images(self) -> str:
        return f"{self._done} images done, {self._under_way} under way"


@contextlib.contextmanager
def sync_output(log: Log, flags: Mapping[str, Any]) -> Iterator[SyncOutput]:
    """An observer of one sync, which writes the files that the flags name and shows progress as they say."""
    way = progress_way(flags, is_taken=flags["as_json"])
    flags = {**flags, "quiet": way in ("json", "none")}
    with contextlib.ExitStack() as stack:
        digests = _opened(stack, flags["digestfile"] if not flags["dry_run"] else "", "digest")
        report = _opened(stack, report_place(flags), "report")
        if way == "bar":
            require_bars()
            from transship.cli.bars import ImageBar, on_screen

            stack.enter_context(on_screen(log))
            bar = stack.enter_context(contextlib.closing(ImageBar()))
            yield _BarOutput(bar, log, flags, digests, report)
        else:
            yield _KINDS[way](log, flags, digests, report)


_KINDS: Mapping[str, Callable[..., SyncOutput]] = {
    "auto": _LinesOutput,
    "plain": _PlainOutput,
    "json": _RecordsOutput,
    "none": SyncOutput,
}


def _show(lines: Sequence[str]) -> None:
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))
    sys.stdout.flush()


def _images_of(task: Task) -> dict[str, Any]:
    return {"source": task.job.source, "destination": task.job.destination, "number": task.number, "total": task.total}


def _opened(stack: contextlib.ExitStack, path: str | BinaryIO, what: str) -> Lines | None:
    if not isinstance(path, str):
        return Lines("standard output", path)
    if not path:
        return None
    try:
        if is_written_through(path):
            return Lines(path, stack.enter_context(open(path, "wb", buffering=0)))
        temporary = stack.enter_context(temporary_in(*os.path.split(path)))
        temporary.publish(path)
        return Lines(path, temporary.file)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise TransshipError(f'Failed to open {what} file "{path}": open {path}: {reason}') from error


def _record(task: Task, outcome: JobOutcome) -> dict[str, Any]:
    return {
        "source": task.job.source,
        "destination": task.job.destination,
        "status": outcome.status.value,
        "digest": str(outcome.digest or ""),
        "bytes": outcome.bytes_written,
        "blobs_written": outcome.blobs_written,
        "blobs_reused": outcome.blobs_reused,
        "seconds": round(outcome.seconds, 3),
        "error": outcome.error,
    }


def _table(summary: SyncSummary) -> str:
    rows = [(status.value, count) for status, count in summary.counts.items() if count]
    rows += [("repositories not listed", summary.failed_groups)] if summary.failed_groups else []
    rows += [("removed", summary.removed)] if summary.removed else []
    rows += [("bytes", summary.bytes_written)]
    width = max(len(name) for name, _ in rows)
    return "".join(f"{name:<{width}}  {count:>12}\n" for name, count in rows)
