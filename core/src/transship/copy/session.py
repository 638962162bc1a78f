"""What the steps of one copy share."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

from transship.copy.flights import BlobFlights
from transship.copy.options import CopyOptions
from transship.copy.signers import SharedSigner
from transship.discovery import PluginManager
from transship.errors import CancelledError, CopyError, TransshipError
from transship.image.conversion import WrittenLayer
from transship.image.digest import Digest
from transship.image.platform import Platform
from transship.plugin.blob import Buffer
from transship.plugin.cancellation import Cancellation
from transship.plugin.events import BlobProgress, Event, Warned
from transship.plugin.mechanism import SignatureStore
from transship.plugin.transport import Destination, DestinationTraits, Reference, Source
from transship.policy.document import Policy

Observer = Callable[[Event], None]

_PROGRESS_INTERVAL = 0.1


@dataclass(eq=False)
class Target:
    """One destination, and what it has received so far. ``store`` keeps its signatures, if not it itself.

    The keys of ``known`` are a layer's digest, whether it may be compressed otherwise, and whether its diff ID is
    found out.
    """

    reference: Reference
    destination: Destination
    traits: DestinationTraits
    store: SignatureStore | None = None
    known: dict[tuple[Digest, bool, bool], Future[WrittenLayer]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    blobs_written: int = 0
    blobs_reused: int = 0
    bytes_written: int = 0

    def count(self, size: int, *, reused: bool) -> None:
        """Note that a blob of ``size`` bytes was written, or reused."""
        with self.lock:
            if reused:
                self.blobs_reused += 1
            else:
                self.blobs_written += 1
                self.bytes_written += max(size, 0)


@dataclass(eq=False)
class Session:
    """One copy from one source to all its destinations.

    ``store`` has further signatures of the source. ``threads`` move its blobs; they may be shared with other copies,
    as ``flights`` are, None: there are none.
    """

    manager: PluginManager
    reference: Reference
    source: Source
    targets: list[Target]
    policy: Policy
    options: CopyOptions
    machine: Platform
    cancellation: Cancellation
    observer: Observer
    threads: Executor
    signers: Sequence[SharedSigner] = ()
    store: SignatureStore | None = None
    flights: BlobFlights | None = None
    keys: Iterator[int] = field(default_factory=itertools.count)
    diff_ids: dict[Digest, Digest] = field(default_factory=dict)

    def bringing(self, digest: Digest) -> AbstractContextManager[None]:
        """Keep other copies of this run, if there are any, from bringing the same blob at the same time."""
        return nullcontext() if self.flights is None else self.flights.bringing(digest, self.cancellation)

    def emit(self, event: Event) -> None:
        """Tell every observer; one that fails is named, and the copy goes on."""
        self.observer(event)
        hook = self.manager.hook.transship_event
        if not hook.get_hookimpls():  # to call nobody takes longer than all the rest
            return
        try:
            hook(event=event)
        except Exception as error:  # an observer must not break a copy
            self.observer(Warned(event.image, f"an observer failed: {type(error).__name__}: {error}"))

    @property
    def image(self) -> str:
        """The source's reference as text, for events."""
        return str(self.reference)


class Progress:
    """Counts the bytes of one blob, tells observers now and then, and ends the work when it was cancelled.

    Of several that read the same blob only one ``reports``.
    """

    def __init__(self, session: Session, key: int, *, reports: bool = True) -> None:
        self._session = session
        self._key = key
        self._reports = reports
        self._done = 0
        self._told = time.monotonic()

    def advance(self, count: int) -> None:
        """Note ``count`` more bytes."""
        self._session.cancellation.check()
        self._done += count
        now = time.monotonic()
        if self._reports and now - self._told >= _PROGRESS_INTERVAL:
            self._told = now
            self._session.emit(BlobProgress(self._session.image, self._key, self._done))

    def counted(self, chunks: Iterable[Buffer]) -> Iterator[Buffer]:
        """``chunks``, noted as they pass."""
        for chunk in chunks:
            self.advance(len(chunk))
            yield chunk


def failure(prefix: str, error: Exception, *, operation: str, side: str = "") -> CopyError:
    """The error of a step, as one line: ``prefix`` and why. Raise it from ``error``."""
    if isinstance(error, TransshipError):
        reason = str(error)
    elif isinstance(error, OSError):
        named = f" {error.filename!r}" if error.filename else ""
        reason = f"{(error.strerror or str(error)).lower()}{named}"
    else:
        raise error
    return CopyError(f"{prefix}: {reason}", operation=operation, side=side)


@contextmanager
def naming_failure(prefix: str) -> Iterator[None]:
    """Let what fails in the block say ``prefix`` first, if there is any. What was only cancelled passes as it is."""
    try:
        yield
    except CancelledError:
        raise
    except (TransshipError, OSError) as error:
        if not prefix:
            raise
        raise failure(prefix, error, operation="copy") from error
