"""What a copy shows while it runs: Skopeo's lines, bars on a terminal, or what ``--progress`` asks for."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from transship.cli.flags import UsageError
from transship.cli.output import Log, printable
from transship.cli.sizes import size_text
from transship.errors import UnsupportedError
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

Observer = Callable[[Event], None]

_PLAIN_INTERVAL = 5.0
_RECORD_INTERVAL = 1.0
_WORD = re.compile(r"(?<!^)(?=[A-Z])")


def progress_way(flags: Mapping[str, Any], *, is_taken: bool = False) -> str:
    """What ``--progress`` and ``--quiet`` come to: ``auto``, ``bar``, ``plain``, ``json`` or ``none``.

    ``is_taken``: standard output holds something else.
    """
    way: str = flags["progress"]
    if way in ("bar", "plain"):
        if flags["quiet"]:
            raise UsageError(f"--quiet and --progress {way} are mutually exclusive")
        if is_taken:
            raise UsageError(f"--progress {way} would spoil what goes to standard output; use json or none")
    if way == "bar" and not sys.stdout.isatty():
        raise UsageError("--progress bar needs a terminal; use plain")
    return "none" if way == "auto" and (flags["quiet"] or is_taken) else way


@contextmanager
def copy_progress(log: Log, way: str) -> Iterator[Observer]:
    """An observer for one command: warnings go to the log, and progress where ``way`` says."""
    if way == "bar" or (way == "auto" and sys.stdout.isatty() and _has_bars()):
        require_bars()
        from transship.cli.bars import BlobBars, on_screen

        with on_screen(log), contextlib.closing(BlobBars(log)) as bars:
            yield bars.observe
    elif way == "none":
        yield _Warnings(log).observe
    else:
        yield {"json": _Records, "plain": _PlainLines}.get(way, Lines)(log).observe


def require_bars() -> None:
    """Raise ``UnsupportedError`` where nothing can draw bars."""
    if not _has_bars():
        raise UnsupportedError("--progress bar needs tqdm: install transship-core[progress]")


def _has_bars() -> bool:
    from importlib.util import find_spec

    return find_spec("tqdm") is not None


class Tally:
    """Counts blobs and the bytes that were read of them. ``note`` is to be called by one thread at a time."""

    def __init__(self) -> None:
        self.started = 0
        self.finished = 0
        self._sizes: dict[tuple[str, int], int] = {}
        self._read: dict[tuple[str, int], int] = {}
        self._before = 0

    @property
    def read(self) -> int:
        """The bytes read so far."""
        return self._before + sum(self._read.values())

    def note(self, event: Event) -> None:
        """Count what happened."""
        match event:
            case BlobStarted():
                self.started += 1
                self._sizes[event.image, event.key] = max(event.size, 0)
            case BlobProgress():
                self._read[event.image, event.key] = event.done
            case BlobFinished():
                self.finished += 1
                size = self._sizes.pop((event.image, event.key), 0)
                read = self._read.pop((event.image, event.key), 0)
                self._before += read if event.reused else max(read, size)


class _Warnings:
    def __init__(self, log: Log) -> None:
        self._log = log

    def observe(self, event: Event) -> None:
        if isinstance(event, Warned):
            self._log.warning(event.message)


class Lines(_Warnings):
    """One line for each moment that Skopeo has a line for."""

    def observe(self, event: Event) -> None:
        """Say what happened."""
        super().observe(event)
        line = line_of(event)
        if line:
            self.show(line)

    def show(self, line: str) -> None:
        """Write a line to standard output."""
        sys.stdout.write(printable(line) + "\n")
        sys.stdout.flush()


class Pulse:
    """Says every few seconds how far a long copy is, for logs that nobody sees move."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._started = self._told = time.monotonic()
        self._lock = threading.Lock()

    def note(self, event: Event) -> str:
        """Count what happened; the answer is a line if it is time for one, ``""`` if not."""
        with self._lock:
            self._tally.note(event)
            now = time.monotonic()
            if now - self._told < _PLAIN_INTERVAL or not isinstance(event, BlobProgress):
                return ""
            self._told = now
            rate = self._tally.read / (now - self._started)
            return (
                f"Copied {size_text(self._tally.read)} in {now - self._started:.0f}s ({size_text(int(rate))}/s), "
                f"{self._tally.finished} of {self._tally.started} blobs done"
            )


class _PlainLines(Lines):
    """Skopeo's lines, and now and then one that says how far it is."""

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self._pulse = Pulse()

    def observe(self, event: Event) -> None:
        super().observe(event)
        line = self._pulse.note(event)
        if line:
            self.show(line)


class _Records(_Warnings):
    """A line of JSON on standard error for each moment."""

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self._thinned = Thinned()

    def observe(self, event: Event) -> None:
        super().observe(event)
        if self._thinned.lets_pass(event):
            self._log.record(record_of(event))


class Thinned:
    """Lets every event pass, but of what a blob's bytes say only one in a second. Warnings are for the log."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, int], float] = {}

    def lets_pass(self, event: Event) -> bool:
        """Whether to tell of ``event``."""
        if isinstance(event, BlobProgress):
            now = time.monotonic()
            is_due = now - self._told.get((event.image, event.key), 0) >= _RECORD_INTERVAL
            if is_due:
                self._told[event.image, event.key] = now
            return is_due
        if isinstance(event, BlobFinished):
            self._told.pop((event.image, event.key), None)
        return not isinstance(event, Warned)


def record_of(event: Event) -> dict[str, Any]:
    """An event as JSON: its name, as in ``blob-started``, and its fields."""
    fields = {name: _plain(value) for name, value in event._asdict().items()}
    return {"event": _WORD.sub("-", type(event).__name__).lower(), **fields}


def _plain(value: Any) -> Any:
    if isinstance(value, (str, int, float, bool, type(None))):
        return value
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {name: _plain(each) for name, each in value._asdict().items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return str(value)


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
