"""What registries answer instead of what was asked for.

TransportError
├─ NetworkError                   no answer came
└─ RegistryError                  an answer came, and it is a refusal
   ├─ ManifestUnknownError        also a NotFoundError
   └─ BlobUnknownError            also a BlobNotFoundError
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from transship.errors import BlobNotFoundError, NotFoundError, TransportError
from transship_docker.challenge import parse_challenges
from transship_docker.secrecy import Secrets

if TYPE_CHECKING:
    from transship_docker.messages import Response

ERROR_BODY_LIMIT = 1 << 20
"""More of a body that tells of an error is not read."""

_UNABLE = (501, 505)
_TEXT_LIMIT = 1000
_SNIPPET = 50
_FINAL_CODES = ("UNAUTHORIZED", "DENIED", "NAME_UNKNOWN", "MANIFEST_UNKNOWN")
_DEFAULT_TEXTS = {
    "BLOB_UNKNOWN": "blob unknown to registry",
    "BLOB_UPLOAD_INVALID": "blob upload invalid",
    "BLOB_UPLOAD_UNKNOWN": "blob upload unknown to registry",
    "DENIED": "requested access to the resource is denied",
    "DIGEST_INVALID": "provided digest did not match uploaded content",
    "MANIFEST_BLOB_UNKNOWN": "blob unknown to registry",
    "MANIFEST_INVALID": "manifest invalid",
    "MANIFEST_UNKNOWN": "manifest unknown",
    "MANIFEST_UNVERIFIED": "manifest failed signature verification",
    "NAME_INVALID": "invalid repository name",
    "NAME_UNKNOWN": "repository name not known to registry",
    "PAGINATION_NUMBER_INVALID": "invalid number of results requested",
    "SIZE_INVALID": "provided length did not match content length",
    "TAG_INVALID": "manifest tag did not match URI",
    "TOOMANYREQUESTS": "too many requests",
    "UNAUTHORIZED": "authentication required",
    "UNAVAILABLE": "service unavailable",
    "UNKNOWN": "unknown error",
    "UNSUPPORTED": "The operation is unsupported.",
}


class NetworkError(TransportError):
    """No answer came, or it broke off.

    ``was_connected``: there was somebody to talk to. ``timed_out``: nobody said anything for too long.
    """

    def __init__(
        self, message: str, *, retryable: bool = False, was_connected: bool = True, timed_out: bool = False
    ) -> None:
        super().__init__(message, retryable=retryable)
        self.timed_out = timed_out
        self.was_connected = was_connected


class RegistryError(TransportError):
    """A registry refused.

    ``status`` is the HTTP status, ``code`` the registry's word for it (``""``: it gave none), ``detail`` its message,
    ``url`` what was asked for, without query; ``retry_after`` the value of that header, how long it wants to be
    left alone.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str = "",
        detail: str = "",
        url: str = "",
        retry_after: str = "",
    ) -> None:
        super().__init__(message, retryable=_may_pass(status, code))
        self.status = status
        self.code = code
        self.detail = detail
        self.url = url
        self.retry_after = retry_after

    @property
    def details(self) -> Mapping[str, str | int]:
        return {"status": self.status, "code": self.code, "url": self.url}


class ManifestUnknownError(RegistryError, NotFoundError):
    """The registry has no such manifest."""


class BlobUnknownError(RegistryError, BlobNotFoundError):
    """The registry has no such blob."""

    @classmethod
    def like(cls, error: RegistryError) -> BlobUnknownError:
        """The same refusal, when it is known that a blob was asked for."""
        return cls(str(error), status=error.status, code=error.code, detail=error.detail, url=error.url)


_KINDS: dict[str, type[RegistryError]] = {"MANIFEST_UNKNOWN": ManifestUnknownError, "BLOB_UNKNOWN": BlobUnknownError}


@contextmanager
def while_doing(what: str) -> Iterator[None]:
    """Let every ``TransportError`` from inside begin with ``what``."""
    try:
        yield
    except TransportError as error:
        error.args = (f"{what}: {error}",)
        raise


def refusal(response: Response, body: bytes, secrets: Secrets | None = None) -> RegistryError:
    """The error that an unwelcome answer stands for. ``body`` may be cut.

    Of ``secrets`` it tells nothing, even if the answer does.
    """
    secrets = secrets or Secrets()
    body = secrets.hide_bytes(body)  # before anything is shortened: a part of a secret could not be found any more
    status, url = response.status_code, secrets.hide(redacted(response.request.url))
    code, detail = map(secrets.hide, _from_challenges(response) or _from_body(status, body) or ("", ""))
    wanted = response.headers.get("retry-after", "")
    if code:
        kind = _KINDS.get(code, RegistryError)
        return kind(_worded(code, detail), status=status, code=code, detail=detail, url=url, retry_after=wanted)
    message = secrets.hide(_without_code(response, body))
    return RegistryError(message, status=status, detail=printable_body(body), url=url, retry_after=wanted)


def redacted(url: str) -> str:
    """An address as it may be shown: without query, which may hold a signature, and without credentials."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an invalid address"
    host = parts.hostname or ""
    return printable(f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}")


def printable(text: str) -> str:
    """``text`` from a stranger on one line: shortened if it is long, what does not print as an escape."""
    shown = text if len(text) <= _TEXT_LIMIT else text[:_TEXT_LIMIT] + "…"
    if shown.isprintable():
        return shown
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in shown)


def printable_body(body: bytes) -> str:
    """As ``printable``, for bytes that may be anything."""
    return printable(body[: 4 * _TEXT_LIMIT].decode("utf-8", "replace"))


def is_passing(status: int) -> bool:
    """Whether a later request may be answered better: the server is busy or in trouble, not unable."""
    return status in (408, 429) or (500 <= status < 600 and status not in _UNABLE)


def _may_pass(status: int, code: str) -> bool:
    return code not in _FINAL_CODES if code else is_passing(status)


def _worded(code: str, detail: str) -> str:
    default = _DEFAULT_TEXTS.get(code, _DEFAULT_TEXTS["UNKNOWN"])
    if not detail or detail == default:
        return default
    word = code if code in _DEFAULT_TEXTS else "UNKNOWN"
    return printable(f"{word.lower().replace('_', ' ')}: {detail}")


def _without_code(response: Response, body: bytes) -> str:
    status = response.status_code
    if status == 401:
        return _DEFAULT_TEXTS["UNAUTHORIZED"]
    if not 400 <= status < 500:
        return f"received unexpected HTTP status: {printable(f'{status} {response.reason_phrase}'.strip())}"
    snippet = body[:_SNIPPET].decode("utf-8", "replace") + ("..." if len(body) > _SNIPPET else "")
    escaped = printable(snippet.replace("\\", "\\\\")).replace('"', '\\"')
    return f'StatusCode: {status}, "{escaped}"'


def _from_challenges(response: Response) -> tuple[str, str] | None:
    if response.status_code != 401:
        return None
    for challenge in parse_challenges(response.headers.get_list("www-authenticate")):
        error = challenge.parameters.get("error", "") if challenge.scheme == "bearer" else ""
        code = {"invalid_token": "UNAUTHORIZED", "insufficient_scope": "DENIED"}.get(error)
        if code:
            return code, challenge.parameters.get("error_description", "")
    return None


def _from_body(status: int, body: bytes) -> tuple[str, str] | None:
    if not 400 <= status < 500:
        return None
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    if isinstance(details := answer.get("details"), str) and details:
        return {401: "UNAUTHORIZED", 429: "TOOMANYREQUESTS"}.get(status, "UNKNOWN"), details
    errors = answer.get("errors")
    return _from_entry(errors[0]) if isinstance(errors, list) and errors else None


def _from_entry(entry: Any) -> tuple[str, str] | None:
    if not isinstance(entry, dict):
        return None
    code, message = entry.get("code"), entry.get("message")
    if not isinstance(code, str) or not code:
        code = "UNKNOWN"
    return printable(code), message if isinstance(message, str) else ""
