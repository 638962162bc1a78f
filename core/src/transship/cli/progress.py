"""What a copy shows while it runs: Skopeo's lines, or bars on a terminal."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from transship.cli.output import Log, printable
from transship.plugin.events import (
    BlobFinished,
    BlobPlanned,
    BlobProgress,
    BlobStarted,
    CheckingSignatureSupport,
    CreatingSignature,
    Event,
    ImagePresent,
    IndexStarted,
    InstanceStarted,
    ReadingSignatures,
    ReferrerStarted,
    StoringSignatures,
    Warned,
    WritingManifest,
)

if TYPE_CHECKING:
    from tqdm import tqdm

Observer = Callable[[Event], None]

_SHORT_DIGEST = 12
_MARGIN = 3
"""Columns right of the bars, so that what the terminal shows of Ctrl-C does not break a line."""


@contextmanager
def copy_progress(log: Log, *, quiet: bool) -> Iterator[Observer]:
    """An observer for one command: warnings go to the log, and unless ``quiet``, progress to standard output."""
    if quiet:
        yield _Warnings(log).observe
    elif sys.stdout.isatty() and (bars := _bars(log)) is not None:
        try:
            yield bars.observe
        finally:
            bars.close()
    else:
        yield _Lines(log).observe


def _bars(log: Log) -> _Bars | None:
    """Bars, where the library that draws them is installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return _Bars(log, tqdm)


class _Warnings:
    def __init__(self, log: Log) -> None:
        self._log = log

    def observe(self, event: Event) -> None:
        if isinstance(event, Warned):
            self._log.warning(event.message)


class _Lines(_Warnings):
    """One line for each moment that Skopeo has a line for."""

    def observe(self, event: Event) -> None:
        super().observe(event)
        line = line_of(event)
        if line:
            self.show(line)

    def show(self, line: str) -> None:
        sys.stdout.write(printable(line) + "\n")
        sys.stdout.flush()


def line_of(event: Event) -> str:
    """What Skopeo says of this moment, ``""`` if nothing."""
    match event:
        case BlobStarted():
            return f"Copying {'config' if event.is_config else 'blob'} {event.digest}"
        case BlobPlanned():
            verb = "leave" if event.reused else "copy"
            kind = "config" if event.is_config else "blob"
            size = f"{event.size} bytes" if event.size >= 0 else "unknown size"
            return f"Would {verb} {kind} {event.digest} ({size})"
        case ReadingSignatures():
            return f"Getting image {'list' if event.of_index else 'source'} signatures"
        case CheckingSignatureSupport():
            return f"Checking if image {'list ' if event.of_index else ''}destination supports signatures"
        case IndexStarted():
            return f"Copying {event.chosen} images generated from {event.total} images in list"
        case InstanceStarted():
            return f"Copying image {event.digest} ({event.number}/{event.total})"
        case ReferrerStarted():
            return f"Copying {event.digest}, which refers to {event.subject}"
        case WritingManifest():
            return f"Writing manifest {'list ' if event.of_index else ''}to image destination"
        case CreatingSignature():
            return f"Creating signature{f' {event.number}' if event.total > 1 else ''}: {event.description}"
        case ImagePresent():
            return "Skipping: image already present at destination"
        case StoringSignatures():
            return f"Storing {'list ' if event.of_index else ''}signatures"
    return ""


class _Bars(_Lines):
    """A bar for each blob under way; a line above them for each that is done."""

    def __init__(self, log: Log, bar_class: type[tqdm[Any]]) -> None:
        super().__init__(log)
        self._bar_class = bar_class
        self._bars: dict[int, tqdm[Any]] = {}
        self._lock = threading.Lock()

    def observe(self, event: Event) -> None:
        with self._lock:
            match event:
                case BlobStarted():
                    self._start(event)
                case BlobProgress():
                    self._advance(event)
                case BlobFinished():
                    self._finish(event)
                case Warned():
                    self._bar_class.write(printable(f"warning: {event.message}"), file=sys.stderr)
                case _:
                    super().observe(event)

    def show(self, line: str) -> None:
        self._bar_class.write(printable(line), file=sys.stdout)

    def close(self) -> None:
        """Take the bars that are left off the screen."""
        with self._lock:
            for bar in self._bars.values():
                _take_off(bar)
            self._bars.clear()
            sys.stdout.write("\r\x1b[J")  # and what else is below: of Ctrl-C, or of a bar that was just begun
            sys.stdout.flush()

    def _start(self, event: BlobStarted) -> None:
        self._bars[event.key] = self._bar_class(
            desc=_label(event.is_config, event.digest.encoded),
            total=event.size if event.size >= 0 else None,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            leave=False,
            ncols=shutil.get_terminal_size().columns - _MARGIN,
            file=sys.stdout,
        )

    def _advance(self, event: BlobProgress) -> None:
        bar = self._bars.get(event.key)
        if bar is not None:
            bar.update(event.done - bar.n)

    def _finish(self, event: BlobFinished) -> None:
        bar = self._bars.pop(event.key, None)
        if bar is None:
            return
        label, seconds = bar.desc.removesuffix(": "), bar.format_dict["elapsed"]
        _take_off(bar)
        outcome = "skipped: already exists" if event.reused else f"done {_amount(event.size)} in {seconds:.1f}s"
        self.show(f"{label} {outcome}")


def _take_off(bar: tqdm[Any]) -> None:
    bar.close()
    sys.stdout.write("\r")  # tqdm leaves the cursor behind the bar unless it was the first one
    sys.stdout.flush()


def _label(is_config: bool, encoded: str) -> str:
    return f"Copying {'config' if is_config else 'blob'} {encoded[:_SHORT_DIGEST]}"


def _amount(size: int) -> str:
    """``size`` bytes in the largest unit that leaves at least one."""
    amount, units = float(max(size, 0)), ["B", "KiB", "MiB", "GiB", "TiB"]
    while amount >= 1024 and len(units) > 1:
        amount /= 1024
        units.pop(0)
    return f"{amount:.0f} {units[0]}" if units[0] == "B" else f"{amount:.1f} {units[0]}"
