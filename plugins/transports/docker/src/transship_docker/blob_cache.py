"""Remembers of blobs where they were seen, and what came of those that were compressed.

So a registry can be asked to mount one, and one need not be compressed and uploaded again. The file is our own, never
Skopeo's, and holds no secrets. Where it cannot be used, the process remembers by itself. Where blobs are is asked of
the registry before it counts; what a layer became when it was compressed is believed, so only what this user's own
copies computed gets in.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TypeVar

from transship.errors import InvalidManifestError, InvalidReferenceError
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest
from transship.image.manifest import parse_manifest
from transship.image.reference import DockerReference
from transship.plugin.context import Context
from transship.plugin.private_database import cache_file
from transship.plugin.transport import RawManifest
from transship_docker.cache_file import CacheFile, Location, Making, Variant

NO_CACHE = "no-cache"

CANDIDATES = 5
"""No more places are tried for one blob."""

_FILE = "blob-locations-v1.sqlite"
_MEMORY_LIMIT = 20_000

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def open_cache(context: Context) -> BlobCache:
    """The cache of this user, which all parts of the process share; with ``no-cache`` an empty one."""
    return BlobCache() if context.flag(NO_CACHE) else _shared(cache_file(_FILE))


def save_cache(context: Context, cache: BlobCache) -> None:
    """Write to the file what was noted: now, or at the end of the run that this image is part of."""
    if context.shared is None:
        cache.save()
    else:
        context.obtain(("docker blob cache", cache), lambda: _SavedAtEnd(cache))


class _SavedAtEnd:
    def __init__(self, cache: BlobCache) -> None:
        self.close = cache.save


@functools.lru_cache(maxsize=8)
def _shared(path: str) -> BlobCache:
    return BlobCache(path)


class BlobCache:
    """Where blobs are, and what they became. Threads and processes may use one at the same time.

    ``path`` is the file to keep it in, ``""`` for none. What is noted is seen at once in this process, and by others
    after ``save``. Nothing here ever raises for trouble with the file.
    """

    def __init__(self, path: str = "") -> None:
        self._file = CacheFile(path)
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], dict[str, float]] = {}
        self._unsaved: dict[Location, float] = {}
        self._gone: set[Location] = set()
        self._sizes: dict[Location, int] = {}
        self._variants: dict[Making, Variant] = {}
        self._unsaved_variants: dict[Making, Variant] = {}

    def note(self, host: str, repository: str, digests: Iterable[Digest]) -> None:
        """Note that a repository has these blobs."""
        now = time.time()
        with self._lock:
            for digest in map(str, digests):
                place = Location(host, digest, repository)
                self._seen.setdefault((host, digest), {})[repository] = now
                self._unsaved[place] = now
                self._gone.discard(place)
            _drop_oldest(self._seen)
            _drop_oldest(self._unsaved)

    def note_manifest(self, host: str, repository: str, manifest: RawManifest) -> None:
        """Note the blobs of an image that a repository has; an index names none."""
        with suppress(InvalidManifestError):
            parsed = parse_manifest(manifest.data, manifest.media_type)
            descriptors = [layer.descriptor for layer in parsed.layers] + ([parsed.config] if parsed.config else [])
            self.note(host, repository, [blob.digest for blob in descriptors if not blob.urls])

    def note_size(self, host: str, repository: str, digest: Digest, size: int) -> None:
        """Note how many bytes a repository said that a blob has which it gave to this process."""
        with self._lock:
            self._sizes[Location(host, str(digest), repository)] = size
            _drop_oldest(self._sizes)

    def size(self, host: str, repository: str, digest: Digest) -> int | None:
        """What ``note_size`` said, None if nothing."""
        with self._lock:
            return self._sizes.get(Location(host, str(digest), repository))

    def forget(self, host: str, repository: str, digest: Digest) -> None:
        """Note that a repository does not have a blob."""
        place = Location(host, str(digest), repository)
        with self._lock:
            self._seen.get((host, place.digest), {}).pop(repository, None)
            self._unsaved.pop(place, None)
            self._sizes.pop(place, None)
            if len(self._gone) < _MEMORY_LIMIT:
                self._gone.add(place)

    def repositories(self, host: str, digest: Digest, *, besides: str) -> list[str]:
        """Repositories of ``host`` that had a blob, the one where it was seen last first; at most ``CANDIDATES``."""
        key = (host, str(digest))
        with self._lock:
            found = self._seen.get(key, {})
            if not found.keys() - {besides}:  # what this process has seen itself is the best that there is
                found = self._file.places(*key, 4 * CANDIDATES) | found
            gone = {name for name in found if Location(*key, name) in self._gone}
        names = sorted(found.keys() - gone - {besides}, key=lambda name: (-found[name], name))
        return [name for name in names if _is_repository(host, name)][:CANDIDATES]

    def was_seen_elsewhere(self, host: str, digest: Digest, *, besides: str) -> bool:
        """Whether this process has seen a blob in another repository of ``host``."""
        with self._lock:
            return bool(self._seen.get((host, str(digest)), {}).keys() - {besides})

    def note_variant(self, uncompressed: Digest, recipe: str, made: Descriptor) -> None:
        """Note what ``recipe`` made of the content with the digest ``uncompressed``."""
        making, variant = Making(str(uncompressed), recipe), Variant(made, time.time())
        with self._lock:
            for held in (self._variants, self._unsaved_variants):
                held[making] = variant
                _drop_oldest(held)

    def variant(self, uncompressed: Digest, recipe: str) -> Descriptor | None:
        """The blob that ``recipe`` made of the content with the digest ``uncompressed``, None if nobody knows."""
        making = Making(str(uncompressed), recipe)
        with self._lock:
            known = self._variants.get(making)
            found = self._file.variant(making) if known is None else known.blob
        if known is None and found is not None:
            self.note_variant(uncompressed, recipe, found)  # what is used does not grow old
        return found

    def save(self) -> None:
        """Write what was noted to the file."""
        with self._lock:
            unsaved, variants, gone = self._unsaved, self._unsaved_variants, self._gone
            self._unsaved, self._unsaved_variants, self._gone = {}, {}, set()
            if unsaved or variants or gone:
                self._file.write(unsaved, gone, variants)


def _drop_oldest(held: dict[_Key, _Value]) -> None:
    while len(held) > _MEMORY_LIMIT:
        del held[next(iter(held))]


def _is_repository(host: str, path: str) -> bool:
    try:
        DockerReference(host, path)
    except InvalidReferenceError:
        return False
    return True
