"""Blobs on their way down: a body that breaks off is continued where it broke, from another place if need be."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from transship.errors import TransportError
from transship.plugin.blob import Buffer, Content
from transship.plugin.cancellation import Cancellation
from transship_docker.errors import NetworkError
from transship_docker.responses import pieces

if TYPE_CHECKING:
    from transship_docker.messages import Response

OpenPlace = Callable[[Mapping[str, str]], "Response"]
"""Asks one place for a blob with further headers; answers 200, 206 or 416, or raises ``TransportError``."""

_PROGRESS = 64 << 10
_PATIENCE = 60.0
_FRUITLESS_ATTEMPTS = 4
_FIRST_DELAY = 0.1
_LONGEST_DELAY = 10.0
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/(\*|[0-9]{1,19})")


class Download(Content):
    """A blob that comes from the first of ``places`` that has it. What it is must be checked by its digest.

    Its first ``offset`` bytes are left out. ``expected_size`` is that of the whole blob, -1 if unknown.
    ``on_abandoned`` is told the number of a place that failed in the middle.
    """

    def __init__(
        self,
        places: Sequence[OpenPlace],
        cancellation: Cancellation,
        *,
        offset: int = 0,
        expected_size: int = -1,
        on_abandoned: Callable[[int], None] = lambda number: None,
    ) -> None:
        self._places = places
        self._cancellation = cancellation
        self._on_abandoned = on_abandoned
        self._place = 0
        self._offset = offset
        self._total = expected_size
        self._validator = ""
        self._takes_ranges = True
        self._fruitless = 0
        self._reconnected = (offset, time.monotonic())
        first, self._known = self._opened_first()
        self._response: Response | None = first
        self.size = self._length(first, self._known)

    def __iter__(self) -> Iterator[Buffer]:
        skip = self._known
        while True:
            try:
                for piece in self._pieces(skip):
                    self._offset += len(piece)
                    yield piece
                if self._offset >= self._total:
                    return
                raise NetworkError("fetching blob: unexpected EOF", retryable=True)
            except NetworkError as error:
                if not error.retryable:
                    raise
                skip = self._continued(error)

    def close(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    def _opened_first(self) -> tuple[Response, int]:
        """The first answer, and how many bytes of it are known already.

        A place that does not have the blob is passed over, the last one's error counts.
        """
        while True:
            try:
                response, known = self._begun()
            except TransportError:
                if self._place + 1 >= len(self._places):
                    raise
                self._place += 1
                continue
            self._validator = _validator(response)
            return response, known

    def _begun(self) -> tuple[Response, int]:
        ask = self._places[self._place]
        if self._offset:
            response = ask({"Range": f"bytes={self._offset}-"})
            if response.status_code == 206 and self._is_the_rest(response):
                return response, 0
            if response.status_code == 200:
                return response, self._offset
            response.close()
        return ask({}), self._offset

    def _length(self, response: Response, known: int) -> int:
        """How many bytes are to come, -1 if nobody says so."""
        text = response.headers.get("content-length", "")
        length = int(text) - known if text.isascii() and text.isdigit() and len(text) < 20 else -1
        if self._total < 0 <= length:
            self._total = self._offset + length
        return max(length, -1)

    def _pieces(self, skip: int) -> Iterator[Buffer]:
        if self._response is None:
            return
        for piece in pieces(self._response):
            if skip >= len(piece):
                skip -= len(piece)
                continue
            yield memoryview(piece)[skip:] if skip else piece
            skip = 0

    def _continued(self, failure: TransportError) -> int:
        """Go on after ``failure``; how many bytes of the new answer are known already. Raises if there is no way."""
        self.close()
        reason: TransportError = failure
        while True:
            if self._is_hopeless():
                self._turn_to_next_place(failure, reason)
            self._pause()
            try:
                return self._reopened()
            except NetworkError as error:
                reason = error
            except TransportError as error:
                self._turn_to_next_place(failure, error)

    def _is_hopeless(self) -> bool:
        """Whether attempt after attempt brought nothing."""
        offset, moment = self._reconnected
        if self._offset - offset >= _PROGRESS or time.monotonic() - moment >= _PATIENCE * (self._fruitless + 1):
            self._fruitless = 0
        return self._fruitless >= _FRUITLESS_ATTEMPTS

    def _pause(self) -> None:
        import random  # hardly any run needs it

        delay = min(_FIRST_DELAY * 4**self._fruitless, _LONGEST_DELAY)
        self._fruitless += 1
        self._reconnected = (self._offset, time.monotonic())
        self._cancellation.wait(delay * random.uniform(1, 1.2))  # noqa: S311 - jitter, not a secret

    def _turn_to_next_place(self, failure: TransportError, reason: TransportError) -> None:
        """Ask another place from now on; where there is none, raise ``failure``, and ``reason`` if it says more."""
        self._on_abandoned(self._place)
        if self._place + 1 >= len(self._places):
            if reason is not failure:
                failure.args = (f"{failure} (after reconnecting, {reason})",)
            raise failure
        self._place += 1
        self._fruitless = 0
        self._validator = ""
        self._takes_ranges = True

    def _reopened(self) -> int:
        response = self._places[self._place](self._range_headers())
        self._response = response
        if response.status_code == 206 and self._is_the_rest(response):
            return 0
        if response.status_code == 200 and not self._has_changed(response):
            self._takes_ranges = False
            return self._offset
        self.close()
        self._takes_ranges = False
        raise NetworkError(_oddity(response), retryable=True)

    def _range_headers(self) -> dict[str, str]:
        if not self._offset or not self._takes_ranges:
            return {}
        headers = {"Range": f"bytes={self._offset}-"}
        if self._validator:
            headers["If-Range"] = self._validator
        return headers

    def _is_the_rest(self, response: Response) -> bool:
        lines = response.headers.get_list("content-range")
        match = _CONTENT_RANGE.fullmatch(lines[0].strip()) if len(lines) == 1 else None
        if match is None or int(match[1]) != self._offset or self._has_changed(response):
            return False
        end = int(match[2]) + 1
        return end > self._offset and match[3] in ("*", str(end)) and (self._total < 0 or end == self._total)

    def _has_changed(self, response: Response) -> bool:
        validator = _validator(response)
        return bool(self._validator and validator and validator != self._validator)


def _validator(response: Response) -> str:
    """The strong entity tag, ``""`` if there is none."""
    tag: str = response.headers.get("etag", "")
    return tag if tag.startswith('"') and len(tag) <= 256 else ""


def _oddity(response: Response) -> str:
    if response.status_code == 206:
        return "the server sent another range than the one that was asked for"
    if response.status_code == 416:
        return "the server has no such range"
    return "the content has changed meanwhile"
