"""Blobs that other images of the same run have in their folders."""

from __future__ import annotations

import threading
from typing import NamedTuple

from transship.image.digest import Digest

_LIMIT = 20_000


class BlobFile(NamedTuple):
    """A file that holds a blob, ``path``, inside of ``folder``."""

    folder: str
    path: str


class SiblingBlobs:
    """Where each blob was written last: under the folder's temporary name, and later under its own."""

    def __init__(self) -> None:
        self._files: dict[Digest, tuple[BlobFile, BlobFile]] = {}
        self._lock = threading.Lock()

    def note(self, digest: Digest, now: BlobFile, later: BlobFile) -> None:
        """Note that a blob is there, and where it will be when its image is complete."""
        with self._lock:
            if len(self._files) >= _LIMIT:
                del self._files[next(iter(self._files))]
            self._files[digest] = (now, later)

    def find(self, digest: Digest) -> tuple[BlobFile, ...]:
        """Where to look for a blob; it may be gone."""
        with self._lock:
            return self._files.get(digest, ())
