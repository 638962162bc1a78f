"""Progress bars, drawn on a terminal by tqdm."""

from __future__ import annotations

import contextlib
import functools
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from tqdm import tqdm

from transship.cli.output import Log, printable
from transship.cli.progress import Lines, Tally
from transship.cli.sizes import size_text
from transship.plugin.events import BlobFinished, BlobProgress, BlobStarted, Event

_SHORT_DIGEST = 12
_PATIENCE = 0.3
"""Seconds that Ctrl-C waits for a bar to be drawn: longer takes only a terminal that is stuck."""
_SHORT = "{l_bar}{bar}|"
_ALL_FITS = 64
_MARGIN = 3
"""Columns right of the bars, so that what the terminal shows of Ctrl-C does not break a line."""


@contextlib.contextmanager
def on_screen(log: Log) -> Iterator[None]:
    """Let log lines stand above the bars, and leave the screen tidy at the end."""
    before, log.interlude = log.interlude, functools.partial(tqdm.external_write_mode, file=sys.stderr)
    try:
        yield
    finally:
        log.interlude = before
        sys.stdout.write("\r\x1b[J")  # what is below: of Ctrl-C, or of a bar that was just begun
        sys.stdout.flush()


class BlobBars(Lines):
    """A bar for each blob under way; a line above them for each that is done."""

    def __init__(self, log: Log) -> None:
        super().__init__(log)
        self._bars: dict[int, tqdm[Any]] = {}
        self._drawing = functools.partial(_in_one_go, threading.Lock())

    def observe(self, event: Event) -> None:
        """Draw what happened."""
        with self._drawing():
            match event:
                case BlobStarted():
                    label = _label(event.is_config, event.digest.encoded)
                    self._bars[event.key] = _bar(label, event.size if event.size >= 0 else None)
                case BlobProgress():
                    self._advance(event)
                case BlobFinished():
                    self._finish(event)
                case _:
                    super().observe(event)

    def show(self, line: str) -> None:
        """Write a line above the bars."""
        tqdm.write(printable(line), file=sys.stdout)

    def close(self) -> None:
        """Take the bars that are left off the screen."""
        with self._drawing():
            for bar in self._bars.values():
                _take_off(bar)
            self._bars.clear()

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
        moved = f"done {size_text(max(event.size, 0))} in {seconds:.1f}s"
        outcome = "skipped: already exists" if event.reused else moved
        self.show(f"{label} {outcome}")


class ImageBar:
    """One bar for all images of a sync."""

    def __init__(self) -> None:
        self._bar = _bar("", None)
        self._tally = Tally()
        self._drawing = functools.partial(_in_one_go, threading.Lock())

    def update(self, images: str, event: Event | None = None) -> None:
        """Draw how many ``images`` there are by now, and what has moved since."""
        with self._drawing():
            self._bar.set_description_str(images, refresh=False)
            if event is not None:
                self._tally.note(event)
            self._bar.update(self._tally.read - self._bar.n)
            if event is None:
                self._bar.refresh()

    def close(self) -> None:
        """Take the bar off the screen."""
        with self._drawing():
            _take_off(self._bar)


@contextlib.contextmanager
def _in_one_go(lock: threading.Lock) -> Iterator[None]:
    """Hold ``lock`` for a block that Ctrl-C does not break off, which would leave the cursor on any line.

    What comes meanwhile takes effect afterwards; at once if it comes again, as it does by itself where that takes too
    long. Signals interrupt the main thread only.
    """
    if threading.current_thread() is not threading.main_thread():
        with lock:
            yield
        return
    came: dict[int, threading.Timer] = {}
    before = {int(number): signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: FrameType | None) -> None:
        if number in came:
            came.pop(number).cancel()
            signal.signal(number, before[number])
            signal.raise_signal(number)
            return
        came[number] = threading.Timer(_PATIENCE, signal.pthread_kill, (threading.get_ident(), number))
        came[number].daemon = True
        came[number].start()

    try:
        for number in before:
            signal.signal(number, note)
        with lock:
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for timer in came.values():
            timer.cancel()
        for late in came:
            signal.raise_signal(late)


def _bar(description: str, total: int | None) -> tqdm[Any]:
    columns, _ = _shape()
    bar = tqdm(
        desc=description,
        total=total,
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        leave=False,
        ncols=columns,
        bar_format=_SHORT if total and columns < _ALL_FITS else None,
        file=sys.stdout,
    )
    # a terminal may be made narrower, and a line longer than it would break; tqdm calls what it finds here
    bar.dynamic_ncols = _shape  # type: ignore[assignment]  # which its stubs do not say
    return bar


def _shape(stream: object = None) -> tuple[int, int]:
    """How wide a bar may be by now, and how many lines there are."""
    columns, lines = shutil.get_terminal_size()
    return max(columns - _MARGIN, 1), lines


def _take_off(bar: tqdm[Any]) -> None:
    bar.close()
    sys.stdout.write("\r")  # tqdm leaves the cursor behind the bar unless it was the first one
    sys.stdout.flush()


def _label(is_config: bool, encoded: str) -> str:
    return f"Copying {'config' if is_config else 'blob'} {encoded[:_SHORT_DIGEST]}"
