"""Remembers where blobs were seen, so that a registry can be asked to mount one instead of receiving it again.

The file is our own, never Skopeo's. It holds no secrets and nothing that is believed: whatever it says is asked of
the registry before it counts. Where it cannot be used, the process remembers by itself.
"""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from typing import TYPE_CHECKING, TypeVar

from transship.errors import InvalidManifestError, InvalidReferenceError
from transship.image.digest import Digest
from transship.image.manifest import parse_manifest
from transship.image.reference import DockerReference
from transship.plugin.context import Context
from transship.plugin.transport import RawManifest
from transship_docker.configuration import home

if TYPE_CHECKING:
    import sqlite3

NO_CACHE = "no-cache"

CANDIDATES = 5
"""No more places are tried for one blob."""

_FILE = "blob-locations-v1.sqlite"
_MEMORY_LIMIT = 20_000
_LIFETIME = 90 * 86_400.0
_STALE_AFTER = 86_400.0
_BUSY_SECONDS = 3.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS locations (
    host TEXT NOT NULL, digest TEXT NOT NULL, repository TEXT NOT NULL, seen REAL NOT NULL,
    PRIMARY KEY (host, digest, repository)
) WITHOUT ROWID
"""
_FIND = "SELECT repository, seen FROM locations WHERE host = ? AND digest = ? ORDER BY seen DESC LIMIT ?"
_FORGET = "DELETE FROM locations WHERE host = ? AND digest = ? AND repository = ?"
_EXPIRE = "DELETE FROM locations WHERE seen < ?"
_ADD = """
INSERT INTO locations (host, digest, repository, seen) VALUES (?, ?, ?, ?)
ON CONFLICT (host, digest, repository) DO UPDATE SET seen = excluded.seen WHERE excluded.seen > seen + ?
"""

_Place = tuple[str, str, str]  # host, digest, repository
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def open_cache(context: Context) -> BlobCache:
    """The cache of this user, which all parts of the process share; with ``no-cache`` an empty one."""
    return BlobCache() if context.flag(NO_CACHE) else _shared(_default_path())


@functools.lru_cache(maxsize=8)
def _shared(path: str) -> BlobCache:
    return BlobCache(path)


def _default_path() -> str:
    folder = os.environ.get("XDG_CACHE_HOME", "")
    return os.path.join(folder if os.path.isabs(folder) else f"{home()}/.cache", "transship", _FILE)


class BlobCache:
    """Where blobs are, by the digest of each. Threads and processes may use one at the same time.

    ``path`` is the file to keep it in, ``""`` for none. What is noted is seen at once in this process, and by others
    after ``save``. Nothing here ever raises for trouble with the file.
    """

    def __init__(self, path: str = "") -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], dict[str, float]] = {}
        self._unsaved: dict[_Place, float] = {}
        self._gone: set[_Place] = set()

    def note(self, host: str, repository: str, digests: Iterable[Digest]) -> None:
        """Note that a repository has these blobs."""
        now = time.time()
        with self._lock:
            for digest in map(str, digests):
                self._seen.setdefault((host, digest), {})[repository] = now
                self._unsaved[host, digest, repository] = now
                self._gone.discard((host, digest, repository))
            _drop_oldest(self._seen)
            _drop_oldest(self._unsaved)

    def note_manifest(self, host: str, repository: str, manifest: RawManifest) -> None:
        """Note the blobs of an image that a repository has; an index names none."""
        with suppress(InvalidManifestError):
            parsed = parse_manifest(manifest.data, manifest.media_type)
            descriptors = [layer.descriptor for layer in parsed.layers] + ([parsed.config] if parsed.config else [])
            self.note(host, repository, [blob.digest for blob in descriptors if not blob.urls])

    def forget(self, host: str, repository: str, digest: Digest) -> None:
        """Note that a repository does not have a blob."""
        place = (host, str(digest), repository)
        with self._lock:
            self._seen.get(place[:2], {}).pop(repository, None)
            self._unsaved.pop(place, None)
            if len(self._gone) < _MEMORY_LIMIT:
                self._gone.add(place)

    def repositories(self, host: str, digest: Digest, *, besides: str) -> list[str]:
        """Repositories of ``host`` that had a blob, the one where it was seen last first; at most ``CANDIDATES``."""
        key = (host, str(digest))
        with self._lock:
            found = dict(self._stored(*key)) | self._seen.get(key, {})
            gone = {name for name in found if (*key, name) in self._gone}
        names = sorted(found.keys() - gone - {besides}, key=lambda name: (-found[name], name))
        return [name for name in names if _is_repository(host, name)][:CANDIDATES]

    def save(self) -> None:
        """Write what was noted to the file."""
        with self._lock:
            unsaved, self._unsaved = self._unsaved, {}
            if self._path and (unsaved or self._gone):
                self._write(unsaved, self._gone)
                self._gone = set()

    def _stored(self, host: str, digest: str) -> list[tuple[str, float]]:
        if not self._path or not os.path.exists(self._path):
            return []
        import sqlite3

        try:
            with closing(self._connected()) as connection:
                rows = connection.execute(_FIND, (host, digest, 4 * CANDIDATES)).fetchall()
                return [(str(name), float(seen)) for name, seen in rows]
        except (sqlite3.Error, OSError, ValueError, TypeError) as error:
            self._give_up_after(error)
            return []

    def _write(self, noted: dict[_Place, float], gone: set[_Place]) -> None:
        import sqlite3

        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            with closing(self._connected()) as connection, connection:
                connection.execute(_SCHEMA)
                connection.executemany(_FORGET, sorted(gone))
                connection.executemany(_ADD, [(*place, seen, _STALE_AFTER) for place, seen in noted.items()])
                connection.execute(_EXPIRE, (time.time() - _LIFETIME,))
        except (sqlite3.Error, OSError) as error:
            self._give_up_after(error)

    def _connected(self) -> sqlite3.Connection:
        import sqlite3

        return sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level="IMMEDIATE")

    def _give_up_after(self, error: Exception) -> None:
        """Do without the file, unless others were only busy with it, or have just begun to make it."""
        if "locked" not in str(error) and "no such table" not in str(error):
            self._path = ""


def _drop_oldest(held: dict[_Key, _Value]) -> None:
    while len(held) > _MEMORY_LIMIT:
        del held[next(iter(held))]


def _is_repository(host: str, path: str) -> bool:
    try:
        DockerReference(host, path)
    except InvalidReferenceError:
        return False
    return True
