"""Locks for places that know none: something that only one of several writers can make."""

from __future__ import annotations

import random
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from transship.errors import TransportError
from transship.plugin.cancellation import Cancellation
from transship.plugin.context import Context

from .failures import reporting

LOCK_NAME = ".transship.lock"
# Who holds a lock reads and writes an index. One that stays for so long belongs to a writer that was killed.
STALE_SECONDS = 60.0
PATIENCE_SECONDS = 600.0
TELLING_SECONDS = 5.0
# A lock that could not be made and is not there may have been given up in between.
ATTEMPTS = 3

_process_locks: dict[str, threading.Lock] = {}
_process_locks_guard = threading.Lock()


@contextmanager
def process_lock(place: str, cancellation: Cancellation) -> Iterator[None]:
    """Keep the other threads of this process away from ``place``."""
    with _process_locks_guard:
        lock = _process_locks.setdefault(place, threading.Lock())
    while not lock.acquire(timeout=0.2):
        cancellation.check()
    try:
        yield
    finally:
        lock.release()


class Lock(ABC):
    """A lock at ``path`` of a file system."""

    def __init__(self, filesystem: Any, path: str, context: Context) -> None:
        self._filesystem = filesystem
        self._path = path
        self._context = context

    @abstractmethod
    def _take(self) -> bool:
        """Make what stands for the lock; False if somebody else has made it."""

    @abstractmethod
    def _owner(self) -> Hashable:
        """What tells the present lock from a later one; None where it cannot be told, or there is none."""

    @abstractmethod
    def _drop(self) -> None:
        """Remove what stands for the lock, if it is there."""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it for a block; raise ``TransportError`` if it cannot be had in ten minutes."""
        with reporting("lock", self._path):
            self._wait()
        try:
            yield
        finally:
            with suppress(Exception):  # a lock that stays is taken for stale by the next writer
                self._drop()

    def _wait(self) -> None:
        began = since = time.monotonic()
        owner: Hashable = None
        is_told = False
        while not self._take():
            now, before = time.monotonic(), owner
            owner = self._owner()
            if owner is None or owner != before:
                since = now
            elif now - since > STALE_SECONDS:
                self._drop()
                continue
            if now - began > TELLING_SECONDS and not is_told:
                is_told = True
                limit = f"{STALE_SECONDS:.0f} s"
                self._context.warn(f"Waiting for {self._path}, which another writer has; if it was killed, for {limit}")
            if now - began > PATIENCE_SECONDS:
                raise TransportError(f"lock {self._path}: somebody else has it; remove it if nobody does")
            self._context.cancellation.wait(random.uniform(0.05, 0.3))  # noqa: S311 - so that waiting writers do not march in step


class FolderLock(Lock):
    """A folder, as making one is exclusive where there are folders."""

    def _take(self) -> bool:
        for _ in range(ATTEMPTS):
            try:
                self._filesystem.mkdir(self._path, create_parents=False)
                return True
            except FileExistsError:
                return False
            except Exception as error:  # many file systems report any failure as the same error
                failure = error
            if self._filesystem.exists(self._path):
                return False
        raise failure

    def _owner(self) -> Hashable:
        try:
            found = self._filesystem.info(self._path)
        except FileNotFoundError:
            return None
        return next((found[name] for name in ("mtime", "modified", "created") if found.get(name)), None)

    def _drop(self) -> None:
        with suppress(FileNotFoundError):
            self._filesystem.rmdir(self._path)


class ObjectLock(Lock):
    """An object that is made on the condition that there is none, with a text that nobody else chooses."""

    def __init__(self, filesystem: Any, path: str, context: Context) -> None:
        super().__init__(filesystem, path, context)
        self._text = secrets.token_hex(16).encode()

    def _take(self) -> bool:
        if self._owner() is not None:
            return False
        try:
            self._filesystem.pipe_file(self._path, self._text, mode="create")
        except FileExistsError:
            return False
        except OSError as error:
            if not is_refused_condition(error):
                raise
        return self._owner() == self._text

    def _owner(self) -> Hashable:
        try:
            return bytes(self._filesystem.cat_file(self._path))
        except FileNotFoundError:
            return None

    def _drop(self) -> None:
        with suppress(FileNotFoundError):
            self._filesystem.rm_file(self._path)


def is_refused_condition(error: BaseException) -> bool:
    """Whether an object store refused to write because its condition does not hold."""
    response = getattr(error.__cause__, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return code in {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
