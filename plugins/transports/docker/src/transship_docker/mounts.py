"""Finding out which blobs a registry has, in this repository or in others that it can take them from."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from urllib.parse import urlencode

from transship.errors import CancelledError, DeadlineExceededError, TransshipError
from transship.image.digest import Digest
from transship.image.reference import DockerReference
from transship_docker.blob_cache import BlobCache
from transship_docker.client import Answer, RegistryClient
from transship_docker.errors import while_doing
from transship_docker.uploads import SUCCESS, upload_location

_MEMORY_LIMIT = 20_000
_LENGTH = re.compile(r"[0-9]{1,18}")


class BlobFinder:
    """Knows which blobs the repository of ``image`` has, and asks about each once only."""

    def __init__(self, client: RegistryClient, image: DockerReference, cache: BlobCache) -> None:
        self._client = client
        self._image = image
        self._cache = cache
        self._known: dict[Digest, int | None] = {}
        self._prefers_mounts = True
        self._lock = threading.Lock()

    def size_here_or_mounted(self, digest: Digest, size: int) -> int | None:
        """The size of a blob of this repository, perhaps after it was mounted, None if it is not there.

        ``size`` is -1 if unknown. Raises ``TransportError``.
        """
        if self._prefers_mounts and not self._is_known(digest) and self._was_seen_elsewhere(digest):
            found = self.mounted(digest, size)
            self._prefers_mounts = found is not None
            return self.size_here(digest) if found is None else found
        here = self.size_here(digest)
        return self.mounted(digest, size) if here is None else here

    def size_here(self, digest: Digest) -> int | None:
        """The size of a blob of this repository, None if it is not there; raises ``TransportError``."""
        with self._lock:
            if digest in self._known:
                return self._known[digest]
        return self._asked(digest)

    def has_now(self, digest: Digest) -> bool:
        """Whether the blob is there at this moment."""
        return self._asked(digest) is not None

    def mounted(self, digest: Digest, size: int) -> int | None:
        """The size of a blob that was now mounted from another repository where it was seen, None if there is none.

        ``size`` is -1 if unknown; a blob of another size is not taken. Trouble with other repositories is no error.
        """
        host = self._client.host
        for repository in self._cache.repositories(host, digest, besides=self._image.path):
            try:
                found = self._cache.size(host, repository, digest)
                if found is None:
                    found = self._size_in(repository, digest, f"repository:{repository}:pull")
                if found is None:
                    self._cache.forget(host, repository, digest)
                elif size in (-1, found) and self._is_mounted(repository, digest):
                    self.note(digest, found)
                    return found
            except (CancelledError, DeadlineExceededError):
                raise
            except TransshipError:  # a repository that may not be read, or is gone
                continue
        return None

    def forget_all(self) -> None:
        """Ask again about every blob."""
        with self._lock:
            self._known.clear()

    def note(self, digest: Digest, size: int) -> None:
        """Know that the repository has a blob."""
        self._remember(digest, size)
        self._cache.note(self._client.host, self._image.path, [digest])

    def _is_known(self, digest: Digest) -> bool:
        with self._lock:
            return self._known.get(digest) is not None

    def _was_seen_elsewhere(self, digest: Digest) -> bool:
        return self._cache.was_seen_elsewhere(self._client.host, digest, besides=self._image.path)

    def _asked(self, digest: Digest) -> int | None:
        with while_doing(f"checking whether a blob {digest} exists in {self._image.name}"):
            size = self._size_in(self._image.path, digest)
        if size is None:
            self._remember(digest, None)
        else:
            self.note(digest, size)
        return size

    def _remember(self, digest: Digest, size: int | None) -> None:
        with self._lock:
            while len(self._known) >= _MEMORY_LIMIT:
                del self._known[next(iter(self._known))]
            self._known[digest] = size

    def _size_in(self, repository: str, digest: Digest, extra_scope: str = "") -> int | None:
        path = f"/v2/{repository}/blobs/{digest}"
        response = self._client.request("HEAD", path, extra_scope=extra_scope, accept_statuses=(200, 404))
        return _length(response, digest) if response.status_code == 200 else None

    def _is_mounted(self, repository: str, digest: Digest) -> bool:
        query = urlencode({"from": repository, "mount": str(digest)})
        response = self._client.request(
            "POST",
            f"/v2/{self._image.path}/blobs/uploads/?{query}",
            extra_scope=f"repository:{repository}:pull",
            accept_statuses=(201, 202),
        )
        if response.status_code == 201:
            return True
        with suppress(TransshipError):  # the registry has opened an upload instead, which nobody wants
            if location := upload_location(self._client, response):
                self._client.request("DELETE", location, accept_statuses=SUCCESS)
        return False


def _length(response: Answer, digest: Digest) -> int | None:
    """The length that an answer to HEAD declares, None if it declares none or is about another blob."""
    declared = response.headers.get("docker-content-digest", str(digest))
    length = response.headers.get("content-length", "")
    if not _LENGTH.fullmatch(length) or _is_other(declared, digest):
        return None
    return int(length)


def _is_other(declared: str, digest: Digest) -> bool:
    return declared.startswith(f"{digest.algorithm}:") and declared != str(digest)
