"""The file in which a blob cache outlives its process.

What it says of compressed layers is believed, so it counts only where nobody else can have written it. Nothing here
raises for trouble with the file: it is done without then.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from transship.errors import InvalidDigestError
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest, digest_of

if TYPE_CHECKING:
    import sqlite3

_LIFETIME = 90 * 86_400.0
_STALE_AFTER = 86_400.0
_BUSY_SECONDS = 3.0
_SCHEMA = (
    """
CREATE TABLE IF NOT EXISTS locations (
    host TEXT NOT NULL, digest TEXT NOT NULL, repository TEXT NOT NULL, seen REAL NOT NULL,
    PRIMARY KEY (host, digest, repository)
) WITHOUT ROWID
""",
    """
CREATE TABLE IF NOT EXISTS variants (
    uncompressed TEXT NOT NULL, recipe TEXT NOT NULL, digest TEXT NOT NULL, size INTEGER NOT NULL, seal TEXT NOT NULL,
    seen REAL NOT NULL, PRIMARY KEY (uncompressed, recipe)
) WITHOUT ROWID
""",
)
_FIND_PLACES = "SELECT repository, seen FROM locations WHERE host = ? AND digest = ? ORDER BY seen DESC LIMIT ?"
_FIND_VARIANT = "SELECT digest, size, seal FROM variants WHERE uncompressed = ? AND recipe = ?"
_FORGET = "DELETE FROM locations WHERE host = ? AND digest = ? AND repository = ?"
_EXPIRE = ("DELETE FROM locations WHERE seen < ?", "DELETE FROM variants WHERE seen < ?")
_ADD_PLACE = """
INSERT INTO locations (host, digest, repository, seen) VALUES (?, ?, ?, ?)
ON CONFLICT (host, digest, repository) DO UPDATE SET seen = excluded.seen WHERE excluded.seen > seen + ?
"""
_ADD_VARIANT = """
INSERT INTO variants (uncompressed, recipe, digest, size, seal, seen) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (uncompressed, recipe) DO UPDATE
SET digest = excluded.digest, size = excluded.size, seal = excluded.seal, seen = excluded.seen
WHERE excluded.seal <> seal OR excluded.seen > seen + ?
"""


class Location(NamedTuple):
    """Where a blob may be."""

    host: str
    digest: str
    repository: str


class Making(NamedTuple):
    """What a variant was made of, and how: the digest of the uncompressed content, and a recipe."""

    uncompressed: str
    recipe: str


class Variant(NamedTuple):
    """What came of it, and when that was last of use."""

    blob: Descriptor
    seen: float


class CacheFile:
    """A file of this user's, ``""`` for none. Threads and processes may use one at the same time."""

    def __init__(self, path: str) -> None:
        self._path = path

    def places(self, host: str, digest: str, limit: int) -> dict[str, float]:
        """The repositories of ``host`` that had a blob, and when it was last seen there; the latest ones."""
        rows = self._found(_FIND_PLACES, (host, digest, limit))
        return {str(name): seen for name, seen in rows if isinstance(seen, float)}

    def variant(self, making: Making) -> Descriptor | None:
        """The blob that once came of it."""
        for digest, size, seal in self._found(_FIND_VARIANT, making):
            with suppress(InvalidDigestError):
                blob = Descriptor("", Digest.parse(digest), size)
                if seal == _seal(making, blob):
                    return blob
        return None

    def write(
        self, places: Mapping[Location, float], gone: Iterable[Location], variants: Mapping[Making, Variant]
    ) -> None:
        """Add ``places``, with the time when they were seen, and ``variants``; remove what is ``gone`` or old."""

        def change(connection: sqlite3.Connection) -> None:
            with connection:
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.executemany(_FORGET, sorted(gone))
                connection.executemany(_ADD_PLACE, [(*place, seen, _STALE_AFTER) for place, seen in places.items()])
                connection.executemany(
                    _ADD_VARIANT,
                    [
                        (*making, str(blob.digest), blob.size, _seal(making, blob), seen, _STALE_AFTER)
                        for making, (blob, seen) in variants.items()
                    ],
                )
                for statement in _EXPIRE:
                    connection.execute(statement, (time.time() - _LIFETIME,))

        self._use(change, creates=True)

    def _found(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        self._use(lambda connection: rows.extend(connection.execute(query, values)))
        return rows

    def _use(self, work: Callable[[sqlite3.Connection], None], *, creates: bool = False) -> None:
        """Do ``work`` with the file, if it is there or ``creates`` says that it is to be."""
        if not self._path or not (creates or os.path.exists(self._path)):
            return
        import sqlite3

        try:
            if creates:
                _make_private(self._path)
            if not _is_private(self._path):
                self._path = ""
                return
            with closing(sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level="IMMEDIATE")) as connection:
                # What a crash of the machine breaks is noticed: no copy need wait for the disk.
                connection.execute("PRAGMA synchronous = OFF")
                work(connection)
        except (sqlite3.Error, OSError, ValueError) as error:
            if type(error) is sqlite3.DatabaseError:  # it is no database, or a broken one
                _remove(self._path)
            self._give_up_after(error)

    def _give_up_after(self, error: Exception) -> None:
        """Do without the file, unless others were only busy with it, or have just begun to make it."""
        if "locked" not in str(error) and "no such table" not in str(error):
            self._path = ""


def _make_private(path: str) -> None:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600))


def _seal(making: Making, blob: Descriptor) -> str:
    """Tells a row that was written as a whole from one that is broken."""
    return str(digest_of("\n".join((*making, str(blob.digest), str(blob.size))).encode()))


def _remove(path: str) -> None:
    for name in (f"{path}-journal", path):  # in this order: what is left alone would be taken for another file's
        with suppress(OSError):
            os.unlink(name)


def _is_private(path: str) -> bool:
    """Whether a file, and its folder, belong to this user, who alone may write to them."""
    file, folder = os.stat(path), os.stat(os.path.dirname(path))
    is_kind = stat.S_ISREG(file.st_mode) and stat.S_ISDIR(folder.st_mode)
    return is_kind and all(each.st_uid == os.geteuid() and not each.st_mode & 0o022 for each in (file, folder))
