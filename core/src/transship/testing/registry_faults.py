"""Ways for the testing registry to go wrong, switched on for some of its requests."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from transship.testing.registry_content import Content
from transship.testing.registry_messages import Headers, Request, Response

ENDLESS_LIMIT = 1 << 40
"""Even an endless body ends after this many bytes."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with the requests whose method and path (without query) match the patterns.

    ``times`` is how many requests are hit, None for all; ``after`` is how many are let through before that. All
    effects that are set happen at once. Values of headers, ``redirect`` too, may contain ``{url}`` (of the
    registry), ``{host}``, ``{elsewhere}`` (the URL of its second origin), ``{path}``, ``{target}`` (path
    and query), ``{location}`` (what the
    header Location would have been) and ``{count}`` (requests hit so far).
    """

    path: str = "*"
    method: str = "*"
    times: int | None = None
    after: int = 0

    status: int = 0
    """Answered instead of doing the work; a 401 carries the challenge of the registry."""
    redirect: str = ""
    """Where to go instead, with ``status`` or 307."""
    headers: Mapping[str, str | None] = field(default_factory=dict)
    """Lines that replace those of the answer; None leaves the line out, Content-Length included."""
    extra_headers: tuple[tuple[str, str], ...] = ()
    """Lines that are added to all others, ``headers`` too, whatever their names."""
    body: bytes | None = None
    """Sent in place of the real body."""
    truncated: int | None = None
    """The body is only this long, and declared so."""
    flipped: int | None = None
    """The offset, in the content, of a byte with a flipped bit."""
    gzip: bool = False
    """The body is compressed and says so."""
    ignore_range: bool = False
    """The answer is that to a request without Range."""
    cut_after: int | None = None
    """The connection ends after this many bytes of the body; what was declared stays declared."""
    stall_after: int | None = None
    """Nothing more comes after this many bytes of the body for ``seconds``."""
    seconds: float = 3600.0
    """How long ``stall_after`` and ``stall_request_after`` last, at most until the registry is closed."""
    delay: float = 0.0
    """Seconds before the work begins."""
    header_delay: float = 0.0
    """Seconds before each header line."""
    endless: bool = False
    """Blanks follow the body without end."""
    drop_request_after: int | None = None
    """The connection ends after this many bytes of the body of the request, which are worked on; the end of the
    body at the latest. Needs a request whose body is read, as those of uploads and manifests are."""
    stall_request_after: int | None = None
    """As ``drop_request_after``, but nothing more is read for ``seconds``, or until the client goes away."""
    drop_response: bool = False
    """The work is done, and the connection ends without an answer."""
    endless_pages: bool = False
    """A list of tags or referrers that always has another page."""

    def matches(self, method: str, path: str) -> bool:
        """Whether it is meant for such a request."""
        return fnmatchcase(method, self.method) and fnmatchcase(path, self.path)


NO_FAULT = Fault(times=0)


@dataclass(slots=True)
class _Planned:
    fault: Fault
    seen: int = 0
    hit: int = 0


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault that hits a request; ``count`` counts those that were hit, from 1."""

    fault: Fault = NO_FAULT
    count: int = 0


class FaultPlan:
    """The faults that are switched on, the earliest first: it alone hits a request that several match."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: list[_Planned] = []

    def add(self, fault: Fault) -> None:
        """Switch ``fault`` on."""
        with self._lock:
            self._planned.append(_Planned(fault))

    def clear(self) -> None:
        """Switch all faults off."""
        with self._lock:
            self._planned.clear()

    @property
    def idle(self) -> list[Fault]:
        """Those that have hit nothing."""
        with self._lock:
            return [planned.fault for planned in self._planned if not planned.hit]

    def take(self, method: str, path: str) -> Strike:
        """What hits such a request."""
        with self._lock:
            for planned in self._planned:
                fault = planned.fault
                if not fault.matches(method, path) or planned.hit == fault.times:
                    continue
                planned.seen += 1
                if planned.seen > fault.after:
                    planned.hit += 1
                    return Strike(fault, planned.hit)
            return Strike()


def replaces_work(fault: Fault) -> bool:
    """Whether nothing is done for the request."""
    return bool(fault.status or fault.redirect or fault.endless_pages)


def replacement(strike: Strike, request: Request, challenge: str) -> Response:
    """The answer to a request for which nothing was done."""
    fault = strike.fault
    if fault.endless_pages:
        return _endless_page(strike.count, request)
    if fault.redirect:
        return Response(fault.status or 307, Headers({"Location": fault.redirect}))
    code = {401: "UNAUTHORIZED", 403: "DENIED", 404: "NAME_UNKNOWN", 429: "TOOMANYREQUESTS"}
    body = f'{{"errors":[{{"code":"{code.get(fault.status, "UNKNOWN")}","message":"a fault"}}]}}'
    headers = Headers({"Content-Type": "application/json"})
    if fault.status == 401 and challenge:
        headers.set("WWW-Authenticate", challenge)
    return Response(fault.status, headers, Content(body.encode()))


def _endless_page(count: int, request: Request) -> Response:
    path = request.path
    headers = {"Content-Type": "application/json", "Link": f'<{path}?n=1&last=tag-{count}>; rel="next"'}
    body = f'{{"name":"{path.split("/")[2]}","tags":["tag-{count}"],"schemaVersion":2,"manifests":[]}}'
    return Response(200, Headers(headers), Content(body.encode()))


def alter(response: Response, strike: Strike, variables: Mapping[str, str], elsewhere: Callable[[], str]) -> None:
    """Change the answer as the fault wants it; how it is delivered is another matter."""
    fault = strike.fault
    if fault.body is not None:
        response.content, response.start, response.stop = Content(fault.body), 0, None
    if fault.gzip:
        response.content, response.start, response.stop = Content(gzip.compress(response.content.read())), 0, None
        response.headers.set("Content-Encoding", "gzip")
    if fault.truncated is not None:
        response.stop = min(response.end, response.start + fault.truncated)
    texts = [fault.redirect, *(value for _, value in fault.extra_headers), *filter(None, fault.headers.values())]
    known = {**variables, "location": response.headers.get("Location"), "count": str(strike.count)}
    known |= {"elsewhere": elsewhere()} if any("{elsewhere}" in text for text in texts) else {}
    if fault.redirect:
        response.headers.set("Location", _expanded(fault.redirect, known))
    if response.status not in (204, 304):
        response.headers.set("Content-Length", str(response.length))
    for name, replaced in fault.headers.items():
        response.headers.remove(name)
        if replaced is not None:
            response.headers.lines.append((name, _expanded(replaced, known)))
    for name, value in fault.extra_headers:
        response.headers.lines.append((name, _expanded(value, known)))


def _expanded(text: str, variables: Mapping[str, str]) -> str:
    for name, value in variables.items():
        text = text.replace(f"{{{name}}}", value)
    return text
