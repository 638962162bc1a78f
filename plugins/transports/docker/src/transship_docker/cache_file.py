"""The file in which a blob cache outlives its process.

What it says of compressed layers is believed: only this user can have written it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from transship.errors import InvalidDigestError
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest, digest_of
from transship.plugin.private_database import PrivateDatabase

if TYPE_CHECKING:
    import sqlite3

_LIFETIME = 90 * 86_400.0
_STALE_AFTER = 86_400.0
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
        self._file = PrivateDatabase(path)

    def places(self, host: str, digest: str, limit: int) -> dict[str, float]:
        """The repositories of ``host`` that had a blob, and when it was last seen there; the latest ones."""
        rows = self._file.find(_FIND_PLACES, (host, digest, limit))
        return {str(name): seen for name, seen in rows if isinstance(seen, float)}

    def variant(self, making: Making) -> Descriptor | None:
        """The blob that once came of it."""
        for digest, size, seal in self._file.find(_FIND_VARIANT, making):
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

        self._file.change(change)


def _seal(making: Making, blob: Descriptor) -> str:
    """Tells a row that was written as a whole from one that is broken."""
    return str(digest_of("\n".join((*making, str(blob.digest), str(blob.size))).encode()))
