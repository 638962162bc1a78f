"""When images were created, as their configs say."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING

from transship.image.digest import Digest
from transship.image.platform import PlatformRequest
from transship.inspection import inspect_image
from transship.places import Place
from transship.plugin.machine import machine_platform
from transship.plugin.private_database import PrivateDatabase
from transship.plugin.transport import DigestReader
from transship.retry import Retries, with_retries

if TYPE_CHECKING:
    import sqlite3

_PARALLEL = 8
_FRACTION = re.compile(r"(\.[0-9]{6})[0-9]+")
_LIFETIME = 90 * 86_400.0
_FIND = "SELECT created FROM creation WHERE digest = ? AND platform = ?"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS creation (
    digest TEXT NOT NULL, platform TEXT NOT NULL, created TEXT NOT NULL, noted REAL NOT NULL,
    PRIMARY KEY (digest, platform)
) WITHOUT ROWID
"""


def created_at(
    tags: Sequence[str], place_of: Callable[[str], Place], retries: Retries, cache_path: str = ""
) -> dict[str, datetime]:
    """When the image of each tag was created; those that do not say are left out. Several are read at a time.

    The file ``cache_path`` remembers it of images that were read before, ``""``: none does. Raises ``TransshipError``
    if one cannot be read: to leave it out would be a guess.
    """
    cache = _CreationCache(cache_path)
    known: dict[str, datetime] = {}

    def created(tag: str) -> str:
        place = place_of(tag)
        return with_retries(lambda: _created(place, cache), retries, place.context.cancellation, place.context.warn)

    try:
        with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="transship-created") as pool:
            for tag, text in zip(tags, pool.map(created, tags), strict=True):
                if (moment := _parsed(text)) is not None:
                    known[tag] = moment
    finally:
        cache.save()
    return known


class _CreationCache:
    """What configs said, by the digest of what a tag names, and this machine's platform, which chooses in an index."""

    def __init__(self, path: str) -> None:
        self._file = PrivateDatabase(path)
        self._platform = str(machine_platform())
        self._news: dict[Digest, str] = {}
        self.is_used = bool(path)

    def find(self, digest: Digest) -> str | None:
        """What the config of an image said, None if nobody remembers."""
        found = self._file.find(_FIND, (str(digest), self._platform))
        return str(found[0][0]) if found else None

    def note(self, digest: Digest, created: str) -> None:
        """Remember it from the next ``save`` on."""
        self._news[digest] = created

    def save(self) -> None:
        """Write what was noted, and forget what was noted long ago."""
        if self._news:
            self._file.change(self._write)

    def _write(self, connection: sqlite3.Connection) -> None:
        now = time.time()
        rows = [(str(digest), self._platform, created, now) for digest, created in self._news.items()]
        with connection:
            connection.execute(_SCHEMA)
            connection.executemany("INSERT OR REPLACE INTO creation VALUES (?, ?, ?, ?)", rows)
            connection.execute("DELETE FROM creation WHERE noted < ?", (now - _LIFETIME,))


def _created(place: Place, cache: _CreationCache) -> str:
    """What the config says, ``""`` if nothing."""
    digest = _digest(place) if cache.is_used else None
    if digest is not None and (remembered := cache.find(digest)) is not None:
        return remembered
    image = inspect_image(place.transport, place.reference, place.context, PlatformRequest())
    created = _said(image.config)
    cache.note(image.digest(digest.algorithm if digest else "sha256"), created)
    return created


def _digest(place: Place) -> Digest | None:
    if not isinstance(place.transport, DigestReader):
        return None
    identity = place.transport.get_digest(place.reference, place.context)
    return None if identity is None else identity.digest


def _said(config: bytes | None) -> str:
    try:
        text = json.loads(config or b"{}").get("created")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return text if isinstance(text, str) else ""


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(_FRACTION.sub(r"\1", text)) if text else None
    except ValueError:
        return None
