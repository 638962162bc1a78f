"""Copies of several images at the same time that share blobs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from transship.image.digest import Digest
from transship.plugin.cancellation import Cancellation

_PATIENCE = 0.2


class BlobFlights:
    """Lets one copy at a time bring a blob, so that the others find it there instead of reading it again."""

    def __init__(self) -> None:
        self._under_way: set[Digest] = set()
        self._changed = threading.Condition()

    @contextmanager
    def bringing(self, digest: Digest, cancellation: Cancellation) -> Iterator[None]:
        """Wait until nobody else is bringing the blob, then let everybody else wait."""
        with self._changed:
            while digest in self._under_way:
                cancellation.check()
                self._changed.wait(_PATIENCE)
            self._under_way.add(digest)
        try:
            yield
        finally:
            with self._changed:
                self._under_way.discard(digest)
                self._changed.notify_all()
