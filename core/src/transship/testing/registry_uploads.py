"""Uploads to the testing registry, as strict as the distribution specification allows."""

from __future__ import annotations

import re
import secrets

from transship.image.digest import Digest
from transship.testing.registry_content import Store, Upload
from transship.testing.registry_messages import BrokenBodyError, Headers, Refusal, Request, Response
from transship.testing.registry_routes import Behaviour, Route, digest_in

_CONTENT_RANGE = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")
_BUSY_SECONDS = 10.0


class Uploads:
    """The endpoints of uploads."""

    def __init__(self, store: Store, behaviour: Behaviour, url: str) -> None:
        self._store, self._behaviour, self._url = store, behaviour, url

    def routes(self) -> list[Route]:
        """What is answered here."""
        upload = {"GET": self._status, "PATCH": self._patch, "PUT": self._put, "DELETE": self._cancel}
        return [
            Route(r"/v2/(?P<name>.+)/blobs/uploads/", {"POST": self._start}),
            Route(r"/v2/(?P<name>.+)/blobs/uploads/(?P<last>[^/]+)", upload, is_elsewhere=True),
        ]

    def _start(self, request: Request, name: str, last: str) -> Response:
        if request.parameter("mount") and (mounted := self._mounted(request, name)):
            return self._created(name, mounted)
        upload = Upload(secrets.token_hex(16), name, self._store.new_spool(), secrets.token_hex(8))
        if request.parameter("digest") and self._behaviour.monolithic:
            return self._receive_whole(upload, request)
        with self._store.lock:
            self._store.uploads[upload.identifier] = upload
        response = self._progress(upload, 202)
        if self._behaviour.min_chunk:
            response.headers.set("OCI-Chunk-Min-Length", str(self._behaviour.min_chunk))
        return response

    def _receive_whole(self, upload: Upload, request: Request) -> Response:
        digest = digest_in(request.parameter("digest"))
        try:
            self._receive(upload, request)
        except (BrokenBodyError, Refusal):
            upload.spool.discard()
            raise
        return self._finish(upload, digest)

    def _mounted(self, request: Request, name: str) -> Digest | None:
        if not self._behaviour.mount:
            return None
        digest, other = digest_in(request.parameter("mount")), request.parameter("from")
        content = self._store.find_blob(other, digest)
        if content is None and not other and self._behaviour.mount_anywhere:
            content = self._store.find_anywhere(digest)
        if content is None:
            return None
        self._store.put_blob(name, digest, content)
        return digest

    def _status(self, request: Request, name: str, last: str) -> Response:
        upload = self._find(request, name, last)
        # what a broken connection still had in its buffers counts, so wait until it was read
        if upload.lock.acquire(timeout=1):
            upload.lock.release()
        return self._progress(upload, 204)

    def _patch(self, request: Request, name: str, last: str) -> Response:
        upload = self._find(request, name, last)
        with _Turn(upload):
            self._check_range(upload, request)
            self._receive(upload, request)
            return self._progress(upload, 202)

    def _put(self, request: Request, name: str, last: str) -> Response:
        upload = self._find(request, name, last)
        digest = digest_in(request.parameter("digest"))
        with _Turn(upload):
            if request.size != 0:
                self._check_range(upload, request, is_last=True)
                self._receive(upload, request)
            self._forget(upload)
            return self._finish(upload, digest)

    def _cancel(self, request: Request, name: str, last: str) -> Response:
        upload = self._find(request, name, last)
        with _Turn(upload):
            self._forget(upload)
            upload.spool.discard()
        return Response(204)

    def _find(self, request: Request, name: str, identifier: str) -> Upload:
        with self._store.lock:
            upload = self._store.uploads.get(identifier)
        if upload is None or upload.repository != name:
            raise Refusal(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        if request.parameter("state") != upload.state:
            raise Refusal(404, "BLOB_UPLOAD_UNKNOWN", "the query of the location was lost")
        return upload

    def _forget(self, upload: Upload) -> None:
        with self._store.lock:
            self._store.uploads.pop(upload.identifier, None)

    def _check_range(self, upload: Upload, request: Request, *, is_last: bool = False) -> None:
        """A chunk starts where the last one ended, and is as long as it says."""
        value = request.headers.get("Content-Range")
        if upload.short_chunk:
            raise Refusal(400, "BLOB_UPLOAD_INVALID", "only the last chunk may be shorter than OCI-Chunk-Min-Length")
        if not value:
            return
        found = _CONTENT_RANGE.fullmatch(value)
        if not found or int(found[1]) != upload.spool.size:
            headers = dict(self._progress(upload, 416).headers)
            raise Refusal(416, "BLOB_UPLOAD_INVALID", "the chunk does not continue the upload", headers=headers)
        length = int(found[2]) - int(found[1]) + 1
        if request.size != length:
            raise Refusal(400, "SIZE_INVALID", "Content-Range and Content-Length disagree")
        upload.short_chunk = length < self._behaviour.min_chunk and not is_last

    def _receive(self, upload: Upload, request: Request) -> None:
        """Append what arrives; when it ends too early, what came is kept or all is lost."""
        before = upload.spool.size
        if before + (request.size or 0) > self._behaviour.upload_limit:
            raise Refusal(413, "SIZE_INVALID", "the blob is too big for this registry")
        try:
            for piece in request.body.pieces():
                upload.spool.write(piece)
                if upload.spool.size > self._behaviour.upload_limit:
                    raise Refusal(413, "SIZE_INVALID", "the blob is too big for this registry")
        except BrokenBodyError:
            upload.short_chunk = False
            if not self._behaviour.keeps_cut_uploads:
                self._forget(upload)
                upload.spool.discard()
            raise

    def _finish(self, upload: Upload, digest: Digest) -> Response:
        content, actual = upload.spool.finish(digest.algorithm)
        if actual != digest:
            upload.spool.discard()
            raise Refusal(400, "DIGEST_INVALID", "provided digest did not match uploaded content", str(actual))
        if self._store.find_blob(upload.repository, digest):
            upload.spool.discard()
        else:
            self._store.put_blob(upload.repository, digest, content)
        return self._created(upload.repository, digest)

    def _created(self, name: str, digest: Digest) -> Response:
        location = self._location(f"/v2/{name}/blobs/{digest}")
        return Response(201, Headers({"Location": location, "Docker-Content-Digest": str(digest)}))

    def _progress(self, upload: Upload, status: int) -> Response:
        path = f"/v2/{upload.repository}/blobs/uploads/{upload.identifier}?state={upload.state}"
        headers = {
            "Location": self._location(path),
            "Range": f"0-{max(0, upload.spool.size - 1)}",
            "Docker-Upload-UUID": upload.identifier,
        }
        return Response(status, Headers(headers))

    def _location(self, path: str) -> str:
        return self._url + path if self._behaviour.absolute_locations else path


class _Turn:
    """One request at a time may change an upload."""

    def __init__(self, upload: Upload) -> None:
        self._lock = upload.lock

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=_BUSY_SECONDS):
            raise Refusal(409, "BLOB_UPLOAD_INVALID", "another request is changing this upload")

    def __exit__(self, *_: object) -> None:
        self._lock.release()
