"""Blobs on their way up: an upload that breaks off is continued where the registry says that it stopped.

The form is Skopeo's: POST opens an upload, one PATCH carries the body, or several its chunks, PUT closes it. Where
the registry discards what a broken request brought, as docker-registry 2.8 does, the upload begins anew.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit, urlunsplit

from transship.errors import ContentMismatchError, InvalidDigestError, TransportError, TransshipError
from transship.image.digest import Digest
from transship.plugin.blob import BlobReader
from transship.plugin.context import Context
from transship_docker.backoff import retry_after
from transship_docker.client import Answer, RegistryClient
from transship_docker.errors import NetworkError, RegistryError, is_passing, printable, while_doing
from transship_docker.network import absolute_url
from transship_docker.rate_limit import RateLimit, parse_size
from transship_docker.replay import ReplayableBlob

CHUNK_SIZE = "chunk-size"

SUCCESS = range(200, 300)

_CHUNK_AFTER_REFUSAL = 8 << 20
_FINISHING_PATIENCE = 600.0
_GIVING_UP_PATIENCE = 5.0
_PROGRESS = 64 << 10
_PATIENCE = 60.0
_FRUITLESS_ATTEMPTS = 5
_RESTARTS = 4
_FIRST_DELAY = 0.1
_LONGEST_DELAY = 10.0
_TOO_LARGE = 413
_UNAUTHORIZED = 401
_LOST_STATUSES = (404, 409, 416)
_MANGLED_CODES = ("DIGEST_INVALID", "SIZE_INVALID", "BLOB_UPLOAD_INVALID")
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,18})")
_LENGTH = re.compile(r"[0-9]{1,15}")


class Uploader(NamedTuple):
    """Uploads blobs to one repository. ``chunk_size`` 0: each in one piece.

    ``exists`` finds out whether the repository has a blob: the answer to the end of an upload may get lost.
    """

    client: RegistryClient
    context: Context
    chunk_size: int
    limit: RateLimit
    exists: Callable[[Digest], bool]

    @classmethod
    def of(
        cls, client: RegistryClient, context: Context, limit: RateLimit, exists: Callable[[Digest], bool]
    ) -> Uploader:
        """An uploader as the user wants it."""
        text = context.options.get(CHUNK_SIZE, "")
        return cls(client, context, parse_size(text, CHUNK_SIZE) if text else 0, limit, exists)

    def upload(self, blob: ReplayableBlob) -> None:
        """Read ``blob`` to its end and have the registry store it; raises ``TransshipError``."""
        _Upload(self, blob).run()

    def upload_blob(self, blob: BlobReader) -> None:
        """As ``upload``, for a blob that nobody has looked at."""
        kept = ReplayableBlob(blob, self.context.temporary_directory)
        try:
            self.upload(kept)
        finally:
            kept.close()

    def upload_url(self) -> str:
        """The path that opens an upload."""
        return f"/v2/{self.client.repository}/blobs/uploads/"


class _Upload:
    """One blob. ``_location`` is where its upload goes on, ``""``: it has still to be opened."""

    def __init__(self, uploader: Uploader, blob: ReplayableBlob) -> None:
        self._uploader = uploader
        self._client = uploader.client
        self._blob = blob
        self._chunk_size = uploader.chunk_size
        self._smallest_chunk = 0
        self._location = ""
        self._offset = 0
        self._was_sent = False
        self._is_finishing = False
        self._was_resumed = False
        self._hope = _Hope(uploader.context)

    def run(self) -> None:
        try:
            while not self._has_advanced():
                pass
        except BaseException as error:
            self._abandon(error)
            if self._blob.failure is not None and error is not self._blob.failure:
                raise self._blob.failure from None
            raise

    def _has_advanced(self) -> bool:
        """Whether the blob is stored; False: an attempt failed, and another one makes sense."""
        try:
            if not self._location:
                self._begin()
            while not (self._was_sent and self._offset == self._blob.size):
                self._send()
            self._finish()
        except (NetworkError, RegistryError) as error:
            if self._blob.failure is not None or not self._is_passing(error):
                raise
            return self._recovered(error)
        return True

    def _begin(self) -> None:
        path = self._uploader.upload_url()
        with while_doing(f"initiating layer upload to {path} in {self._client.host}"):
            response = self._client.request("POST", path, accept_statuses=(202,))
        self._offset, self._was_sent = 0, False
        smallest = response.headers.get("oci-chunk-min-length", "")
        self._smallest_chunk = int(smallest) if _LENGTH.fullmatch(smallest) else 0
        self._location = upload_location(self._client, response)
        if not self._location:
            raise TransportError("determining upload URL: the registry names none")

    def _send(self) -> None:
        start, stop = self._offset, self._stop()
        headers = {"Content-Type": "application/octet-stream"}
        if stop is not None:
            headers["Content-Length"] = str(stop - start)
            if stop > start and (start or self._chunk_size):
                headers["Content-Range"] = f"{start}-{stop - 1}"
        try:
            response = self._client.request(
                "PATCH",
                self._location,
                headers=headers,
                content=self._limited(start, stop),
                accept_statuses=SUCCESS,
                stall_timeout=_FINISHING_PATIENCE,
            )
        except TransportError as error:
            if error is not self._blob.failure:
                error.args = (f"uploading layer chunked: {error}",)
            raise
        self._was_sent = True
        self._offset = self._acknowledged(response, self._blob.end if stop is None else stop)
        self._location = upload_location(self._client, response) or self._location
        self._hope.progress(self._offset)

    def _stop(self) -> int | None:
        """Where the next request ends, None: where the blob does, wherever that may be."""
        if self._chunk_size:
            stop = self._offset + max(self._chunk_size, self._smallest_chunk)
            if self._blob.size < 0:
                self._blob.read_until(stop)
                return min(stop, self._blob.end)
            return min(stop, self._blob.size)
        if self._blob.size >= 0:
            return self._blob.size
        return self._blob.end if self._blob.end > self._offset else None

    def _limited(self, start: int, stop: int | None) -> Iterator[bytes]:
        for piece in self._blob.pieces(start, stop):
            self._uploader.limit.take(len(piece))
            yield piece

    def _acknowledged(self, response: Answer, sent: int) -> int:
        """How far the registry says it has come. Of one that was not asked for chunks that is not believed: some
        talk nonsense, and the digest will tell.
        """
        is_careful = bool(self._chunk_size) or self._was_resumed
        held = _held(response)
        return held if is_careful and held is not None and self._offset < held < sent else sent

    def _finish(self) -> None:
        digest = self._blob.finish().digest
        self._is_finishing = True
        with while_doing(f"uploading layer to {self._client.shown(self._location)}"):
            response = self._client.request(
                "PUT",
                _with_digest(self._location, digest),
                headers={"Content-Type": "application/octet-stream"},
                accept_statuses=(201,),
                stall_timeout=_FINISHING_PATIENCE,
            )
        require_digest(response, digest)

    def _is_passing(self, error: NetworkError | RegistryError) -> bool:
        """Whether another attempt may succeed after ``error``."""
        if isinstance(error, NetworkError):
            return error.retryable
        if not self._location:
            return is_passing(error.status)
        if error.status == _TOO_LARGE:
            return not self._chunk_size
        if error.code in _MANGLED_CODES:
            return self._was_resumed
        # A token may expire in the middle; what asks for the offset gets a new one.
        return is_passing(error.status) or error.status in (*_LOST_STATUSES, _UNAUTHORIZED)

    def _recovered(self, error: NetworkError | RegistryError) -> bool:
        """Get ready for another attempt; True if the registry has the blob after all."""
        self._hope.wait(error)
        if self._is_finishing and self._uploader.exists(self._blob.finish().digest):
            return True
        self._is_finishing = False
        if isinstance(error, RegistryError) and error.status == _TOO_LARGE:
            self._chunk_size = _CHUNK_AFTER_REFUSAL
        offset = None if self._is_mangled(error) else self._offset_there()
        if offset is None or not self._blob.can_replay(offset):
            self._hope.restart(error)
            self._location, offset = "", 0
        if not self._blob.can_replay(offset):
            raise error
        self._was_resumed = True
        self._was_sent = offset > 0
        self._offset = offset
        self._hope.progress(offset)
        return False

    @staticmethod
    def _is_mangled(error: NetworkError | RegistryError) -> bool:
        return isinstance(error, RegistryError) and error.code in _MANGLED_CODES and error.status != 416

    def _offset_there(self) -> int | None:
        """How many bytes the registry has of an upload, None: it is better to begin anew."""
        if not self._location:
            return None
        try:
            response = self._client.request("GET", self._location, accept_statuses=(200, 204))
            location = upload_location(self._client, response)
        except (NetworkError, RegistryError):
            return None
        held = _held(response)
        if held is None or held > self._blob.end:
            return None
        self._location = location or self._location
        return held

    def _abandon(self, error: BaseException) -> None:
        """Tell the registry that nothing more will come, if it still listens."""
        is_heard = self._blob.failure is not None or not isinstance(error, NetworkError)
        if self._location and not self._is_finishing and is_heard:
            with suppress(TransshipError):
                self._client.request(
                    "DELETE", self._location, accept_statuses=SUCCESS, stall_timeout=_GIVING_UP_PATIENCE
                )


class _Hope:
    """Decides how often to try: as often as there is progress, a few times without."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._best = 0
        self._fruitless = 0
        self._restarts = 0
        self._since = time.monotonic()

    def progress(self, offset: int) -> None:
        """Note how far the registry has come."""
        now = time.monotonic()
        if offset >= self._best + _PROGRESS or (offset > self._best and now - self._since >= _PATIENCE):
            self._best, self._fruitless, self._since = offset, 0, now

    def restart(self, error: TransportError) -> None:
        """Begin anew; raise ``error`` if that was done too often."""
        if self._restarts >= _RESTARTS:
            raise error
        self._restarts += 1
        self._best = 0

    def wait(self, error: TransportError) -> None:
        """Wait before another attempt, as long as ``error`` asks for; raise it if there were enough of them."""
        import random  # hardly any run needs it

        if self._fruitless >= _FRUITLESS_ATTEMPTS:
            raise error
        asked = retry_after(error.retry_after) if isinstance(error, RegistryError) else None
        delay = min(_FIRST_DELAY * 4**self._fruitless, _LONGEST_DELAY) if asked is None else min(asked, _PATIENCE)
        self._fruitless += 1
        self._context.cancellation.wait(delay * random.uniform(1, 1.2))  # noqa: S311 - jitter, not a secret


def upload_location(client: RegistryClient, response: Answer) -> str:
    """Where an upload goes on, ``""`` if the registry does not say. Never from https to http by itself."""
    location = response.headers.get("location", "")
    if not location:
        return ""
    base = response.url
    with while_doing("determining upload URL"):
        url = absolute_url(location, base)
        if base.startswith("https:") and not url.startswith("https:") and not client.insecure:
            raise TransportError(f"refusing to go on without https at {client.shown(url)}")
    return url


def require_digest(response: Answer, digest: Digest) -> None:
    """Raise ``ContentMismatchError`` if the registry says that it stored something else."""
    text = response.headers.get("docker-content-digest", "")
    with suppress(InvalidDigestError):
        stored = Digest.parse(text)
        if stored.algorithm == digest.algorithm and stored != digest:
            raise ContentMismatchError(f"the registry stored {printable(text)} instead of {digest}")


def _held(response: Answer) -> int | None:
    """How many bytes the registry has by its Range, None if that cannot be told.

    ``0-0`` is one byte by the book, and none with docker-registry: none is the safe guess, as it starts anew.
    """
    match = _RANGE.fullmatch(response.headers.get("range", "").strip())
    if match is None or not int(match[1]):
        return None
    return int(match[1]) + 1


def _with_digest(location: str, digest: Digest) -> str:
    parts = urlsplit(location)
    added = urlencode({"digest": str(digest)})
    return urlunsplit(parts._replace(query=f"{parts.query}&{added}" if parts.query else added, fragment=""))
