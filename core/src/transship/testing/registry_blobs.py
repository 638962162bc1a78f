"""Blobs of the testing registry: reading, ranges, redirects, deleting."""

from __future__ import annotations

import re
from collections.abc import Callable

from transship.image.digest import Digest
from transship.testing.registry_content import Content, Store
from transship.testing.registry_messages import Headers, Refusal, Request, Response
from transship.testing.registry_routes import Behaviour, Route, digest_in

_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")


class Blobs:
    """The endpoints of blobs, and the storage that ``blob_redirect`` sends clients to."""

    def __init__(self, store: Store, behaviour: Behaviour, elsewhere: Callable[[], str]) -> None:
        self._store, self._behaviour, self._elsewhere = store, behaviour, elsewhere

    def routes(self) -> list[Route]:
        """What is answered here."""
        blob = {"GET": self._get, "HEAD": self._head, "DELETE": self._delete}
        storage = {"GET": self._get_stored, "HEAD": self._get_stored}
        return [
            Route(r"/v2/(?P<name>.+)/blobs/(?P<last>[^/]+)", blob),
            Route(r"/storage/(?P<last>[^/]+)", storage, is_here=False, is_elsewhere=True),
        ]

    def _find(self, name: str, digest: Digest) -> Content:
        content = self._store.find_blob(name, digest)
        if content is None:
            raise Refusal(404, "BLOB_UNKNOWN", "blob unknown to registry", {"digest": str(digest)})
        return content

    def _get(self, request: Request, name: str, last: str) -> Response:
        digest = digest_in(last)
        content = self._find(name, digest)
        if self._behaviour.blob_redirect:
            location = f"{self._elsewhere()}/storage/{digest}?signature=of-the-storage"
            return Response(307, Headers({"Location": location, "Docker-Content-Digest": str(digest)}))
        return _ranged(request, digest, content)

    def _head(self, request: Request, name: str, last: str) -> Response:
        digest = digest_in(last)
        return _whole(digest, self._find(name, digest))

    def _get_stored(self, request: Request, name: str, last: str) -> Response:
        """As object stores do: the address is the permission, and another one beside it is an error."""
        if "Authorization" in request.headers:
            raise Refusal(400, "UNSUPPORTED", "only one way to authenticate is allowed")
        if request.parameter("signature") != "of-the-storage":
            raise Refusal(403, "DENIED", "the query of the address was lost")
        digest = digest_in(last)
        content = self._store.find_anywhere(digest)
        if content is None:
            raise Refusal(404, "BLOB_UNKNOWN")
        return _ranged(request, digest, content)

    def _delete(self, request: Request, name: str, last: str) -> Response:
        if not self._behaviour.delete_enabled:
            raise Refusal(405, "UNSUPPORTED", "The operation is unsupported.")
        digest = digest_in(last)
        with self._store.lock:
            self._find(name, digest)
            del self._store.repository(name).blobs[digest]
        return Response(202)


def _whole(digest: Digest, content: Content) -> Response:
    headers = {
        "Content-Type": "application/octet-stream",
        "Docker-Content-Digest": str(digest),
        "ETag": f'"{digest}"',
        "Accept-Ranges": "bytes",
    }
    return Response(200, Headers(headers), content)


def _ranged(request: Request, digest: Digest, content: Content) -> Response:
    """The whole, or the one range that was asked for (RFC 9110 section 14; several are answered by the whole)."""
    response = _whole(digest, content)
    found = _RANGE.fullmatch(request.headers.get("Range"))
    if not found or request.headers.get("If-Range", f'"{digest}"') != f'"{digest}"':
        return response
    first, last, suffix = found.groups()
    size = content.size
    start = int(first) if first else max(0, size - int(suffix))
    stop = min(size, int(last) + 1) if last else size
    if last and int(last) < start:
        return response
    if start >= size or suffix == "0":
        headers = {"Content-Range": f"bytes */{size}"}
        raise Refusal(416, "RANGE_INVALID", "there are no such bytes", headers=headers)
    response.status, response.start, response.stop = 206, start, stop
    response.headers.set("Content-Range", f"bytes {start}-{stop - 1}/{size}")
    return response
