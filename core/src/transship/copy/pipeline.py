"""Stages of one blob's way that run at the same time."""

from __future__ import annotations

import functools
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from transship.errors import CancelledError
from transship.plugin.blob import Buffer

_DEPTH = 4
_LARGE = 8 << 20


@functools.cache
def keep_freed_memory() -> None:
    """Let pieces that are freed leave their memory to the next ones.

    Otherwise glibc gives it back to the system at once, which takes it back page by page on all cores and hands it
    out again, page by page. Once a large block was freed it keeps twice that much (mallopt(3), M_MMAP_THRESHOLD).
    """
    bytes(_LARGE)  # never touched, so it takes no memory


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


_END = object()


def ahead(chunks: Iterable[Buffer], depth: int = _DEPTH) -> Iterator[bytes]:
    """``chunks``, produced by a thread of their own up to ``depth`` pieces ahead.

    The thread ends when the iterator is closed, also in the middle; what ``chunks`` raises is raised here.
    """
    pieces: queue.Queue[object] = queue.Queue(depth)
    closed = threading.Event()

    def produce() -> None:
        try:
            for chunk in chunks:
                _offer(pieces, bytes(chunk) if isinstance(chunk, (memoryview, bytearray)) else chunk, closed)
                if closed.is_set():
                    return
            _offer(pieces, _END, closed)
        except BaseException as error:
            _offer(pieces, _Failure(error), closed)

    thread = threading.Thread(target=produce, name="transship-ahead", daemon=True)
    thread.start()
    try:
        while (piece := pieces.get()) is not _END:
            if isinstance(piece, _Failure):
                raise piece.error
            assert isinstance(piece, bytes)  # noqa: S101 - tells the type checker what produce() put there
            yield piece
    finally:
        closed.set()
        thread.join()


def _offer(pieces: queue.Queue[object], piece: object, closed: threading.Event) -> None:
    while not closed.is_set():
        try:
            pieces.put(piece, timeout=0.1)
            return
        except queue.Full:
            continue


class Tee:
    """One stream of pieces for several readers, each in a thread of its own, read once and held briefly.

    Every reader must be read, or closed, or the others wait.
    """

    def __init__(self, chunks: Iterable[Buffer], readers: int) -> None:
        self._chunks = iter(chunks)
        self._lock = threading.Condition()
        self._pieces: list[bytes] = []
        self._first = 0
        self._positions: dict[int, int] = dict.fromkeys(range(readers), 0)
        self._fetching = False
        self._end: BaseException | None = None

    def reader(self, number: int) -> TeeReader:
        """The pieces for reader ``number``, counted from 0."""
        return TeeReader(self, number)

    def leave(self, number: int) -> None:
        """Let the others wait for reader ``number`` no longer."""
        with self._lock:
            self._positions.pop(number, None)
            self._drop()
            self._lock.notify_all()

    def next_piece(self, number: int) -> bytes | None:
        """The next piece for reader ``number``, None at the end; raises what the source raised."""
        while True:
            with self._lock:
                if number not in self._positions:
                    raise CancelledError("cancelled")
                position = self._positions[number]
                if position - self._first < len(self._pieces):
                    self._positions[number] = position + 1
                    piece = self._pieces[position - self._first]
                    self._drop()
                    self._lock.notify_all()
                    return piece
                if self._end is not None:
                    if isinstance(self._end, StopIteration):
                        return None
                    raise self._end
                if self._fetching or len(self._pieces) >= _DEPTH:
                    self._lock.wait()
                    continue
                self._fetching = True
            self._fetch()

    def _fetch(self) -> None:
        piece, end = b"", None
        try:
            piece = bytes(next(self._chunks))
        except BaseException as error:
            end = error
        with self._lock:
            self._fetching = False
            if end is None:
                self._pieces.append(piece)
            else:
                self._end = end
            self._lock.notify_all()

    def _drop(self) -> None:
        slowest = min(self._positions.values(), default=self._first + len(self._pieces))
        del self._pieces[: slowest - self._first]
        self._first = max(self._first, slowest)


class TeeReader(Iterator[bytes]):
    """One reader of a ``Tee``. To be closed, also if it was never read."""

    def __init__(self, tee: Tee, number: int) -> None:
        self._tee = tee
        self._number = number
        self._ended = False

    def __next__(self) -> bytes:
        piece = None if self._ended else self._tee.next_piece(self._number)
        if piece is None:
            self._ended = True
            self.close()
            raise StopIteration
        return piece

    def close(self) -> None:
        """Take no more. May be called more than once, and from another thread."""
        self._tee.leave(self._number)


def raise_first_failure(futures: Sequence[Future[Any]]) -> None:
    """Wait for all, or for the first failure. Those that were cancelled are not the first: that one comes later."""
    from concurrent.futures import ALL_COMPLETED, FIRST_EXCEPTION, wait

    errors: list[BaseException] = []
    for until in (FIRST_EXCEPTION, ALL_COMPLETED):
        done, _ = wait(futures, return_when=until)
        errors = [error for future in done if (error := future.exception()) is not None]
        if not all(isinstance(error, CancelledError) for error in errors):
            break
    for error in sorted(errors, key=lambda error: isinstance(error, CancelledError)):
        raise error
