"""Blobs that other images of the same run have in their folders."""

from __future__ import annotations

import threading

from transship.image.digest import Digest

_LIMIT = 20_000


class SiblingBlobs:
    """In which folder each blob was written last: under its temporary name, and later under its own."""

    def __init__(self) -> None:
        self._folders: dict[Digest, tuple[str, str]] = {}
        self._lock = threading.Lock()

    def note(self, digest: Digest, now: str, later: str) -> None:
        """Note in which folder a blob is, and in which it will be when its image is complete."""
        with self._lock:
            if len(self._folders) >= _LIMIT:
                del self._folders[next(iter(self._folders))]
            self._folders[digest] = (now, later)

    def find(self, digest: Digest) -> tuple[str, ...]:
        """In which folders to look for a blob; it may be gone."""
        with self._lock:
            return self._folders.get(digest, ())
