"""What the testing registry does with each request: log it, look for a fault, check who asks, answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from transship.testing.registry_access import TOKEN_PATH, Access
from transship.testing.registry_faults import FaultPlan, Strike, alter, replacement, replaces_work
from transship.testing.registry_messages import Headers, Refusal, Request, RequestRecord, Response, json_response
from transship.testing.registry_routes import Route, Router

_LOG_LIMIT = 100_000


class RegistryService:
    """Answers for the registry at ``url`` and for its second origin, whose URL ``elsewhere`` gives."""

    def __init__(
        self, url: str, elsewhere: Callable[[], str], access: Access, routes: Iterable[Route], *, signatures: bool
    ) -> None:
        self._url, self._host = url, url.partition("//")[2]
        self._elsewhere, self._access, self._signatures = elsewhere, access, signatures
        self._router = Router([*self._own_routes(), *routes])
        self._lock = threading.Lock()
        self._log: list[RequestRecord] = []
        self.faults = FaultPlan()
        self.failures: list[Exception] = []

    def _own_routes(self) -> list[Route]:
        return [
            Route(r"/v2/?", {"GET": self._ping, "HEAD": self._ping}),
            Route(TOKEN_PATH, {"GET": self._tokens, "POST": self._tokens}, is_open=True),
        ]

    @property
    def log(self) -> list[RequestRecord]:
        """All requests since the log was begun."""
        with self._lock:
            return list(self._log)

    def begin_log(self) -> None:
        """Forget the requests so far."""
        with self._lock:
            self._log.clear()

    def record(self, request: Request) -> RequestRecord:
        """Put a request into the log."""
        record = RequestRecord(request.method, request.target, Headers(list(request.headers)), request.origin)
        with self._lock:
            if len(self._log) < _LOG_LIMIT:
                self._log.append(record)
        return record

    def strike(self, request: Request) -> Strike:
        """The fault that hits it."""
        return self.faults.take(request.method, request.path)

    def failed(self, error: Exception) -> None:
        """Remember a mistake of the registry itself."""
        self.failures.append(error)

    def answer(self, request: Request, strike: Strike) -> Response:
        """Do the work as far as the fault lets it be done."""
        if replaces_work(strike.fault):
            response = replacement(strike, request, self._access.challenge())
        else:
            response = self._work(request, strike)
        response.headers.set("Docker-Distribution-Api-Version", "registry/2.0")
        if self._signatures:
            response.headers.set("X-Registry-Supports-Signatures", "1")
        variables = {"url": self._url, "host": self._host, "path": request.path, "target": request.target}
        alter(response, strike, variables, self._elsewhere)
        return response

    def _work(self, request: Request, strike: Strike) -> Response:
        if strike.fault.ignore_range:
            request.headers.remove("Range")
        try:
            found = self._router.find(request)
            is_here = request.origin == self._host
            if not (found.route.is_here if is_here else found.route.is_elsewhere):
                raise Refusal(404, "UNSUPPORTED", "no such endpoint at this origin")
            if is_here and not found.route.is_open:
                self._access.require(request, found.needs)
            return found.answer(request, found.repository, found.last)
        except Refusal as refusal:
            return refusal.response()

    def _ping(self, request: Request, name: str, last: str) -> Response:
        return json_response({})

    def _tokens(self, request: Request, name: str, last: str) -> Response:
        return self._access.tokens(request)
