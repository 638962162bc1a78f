"""Requests and answers as the testing registry sees them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote

from transship.testing.registry_content import Content


class Headers:
    """Header lines in their order; names are found in any case."""

    __slots__ = ("lines",)

    def __init__(self, lines: Iterable[tuple[str, str]] | Mapping[str, str] = ()) -> None:
        self.lines = list(lines.items() if isinstance(lines, Mapping) else lines)

    def all(self, name: str) -> list[str]:
        """The values of all lines of that name."""
        name = name.lower()
        return [value for key, value in self.lines if key.lower() == name]

    def get(self, name: str, default: str = "") -> str:
        """The value of the first line of that name."""
        return next(iter(self.all(name)), default)

    def remove(self, name: str) -> None:
        """Leave out all lines of that name."""
        name = name.lower()
        self.lines = [line for line in self.lines if line[0].lower() != name]

    def set(self, name: str, value: str) -> None:
        """Have one line of that name."""
        self.remove(name)
        self.lines.append((name, value))

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.lines)

    def __repr__(self) -> str:
        return f"Headers({self.lines!r})"


class Body(Protocol):
    """What comes after the header lines of a request."""

    def pieces(self) -> Iterator[memoryview]:
        """The bytes as they arrive; ``BrokenBodyError`` when they end too early. A piece lives until the next."""
        ...

    def read(self, limit: int) -> bytes:
        """All bytes; a ``Refusal`` if there are more than ``limit``."""
        ...


class BrokenBodyError(Exception):
    """The client went away, or was made to, in the middle of its request."""


@dataclass(eq=False)
class Request:
    """One request. ``origin`` is the host and port that were asked; ``size`` is None if it was not declared."""

    method: str
    target: str
    headers: Headers
    body: Body
    origin: str = ""
    size: int | None = None

    @cached_property
    def path(self) -> str:
        """The path without its query, decoded."""
        return unquote(self.target.partition("?")[0])

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """All parameters of the query."""
        return parse_qs(self.target.partition("?")[2], keep_blank_values=True)

    def parameter(self, name: str) -> str:
        """The first value of a parameter, ``""`` if there is none."""
        return self.query.get(name, [""])[0]


@dataclass(eq=False)
class RequestRecord:
    """What the log keeps of one request.

    ``status`` is 0 as long as nothing was answered, and for good if the connection was dropped instead.
    ``received`` and ``sent`` count the bytes of bodies, in big pieces; ``body`` are the first 64 KiB that were
    received.
    """

    method: str
    target: str
    headers: Headers
    origin: str
    status: int = 0
    received: int = 0
    sent: int = 0
    body: bytes = b""

    @property
    def path(self) -> str:
        """The path without its query, decoded."""
        return unquote(self.target.partition("?")[0])

    @property
    def query(self) -> dict[str, list[str]]:
        """All parameters of the query."""
        return parse_qs(self.target.partition("?")[2], keep_blank_values=True)

    @property
    def line(self) -> str:
        """Method, target and status in one line, as lists of what happened want it."""
        return f"{self.method} {self.target} {self.status}"


@dataclass(eq=False)
class Response:
    """An answer: the bytes of ``content`` from ``start`` to before ``stop`` (None: to the end)."""

    status: int
    headers: Headers = field(default_factory=Headers)
    content: Content = field(default_factory=Content)
    start: int = 0
    stop: int | None = None

    @property
    def end(self) -> int:
        """The offset after the last byte that is sent."""
        return self.content.size if self.stop is None else self.stop

    @property
    def length(self) -> int:
        """How many bytes are sent."""
        return self.end - self.start


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer of JSON."""
    lines = {"Content-Type": "application/json", **(headers or {})}
    return Response(status, Headers(lines), Content(json.dumps(value).encode()))


class Refusal(Exception):  # noqa: N818 - it is an answer, and raised to end the work on a request
    """An answer that says no, in the format of the distribution specification."""

    def __init__(
        self, status: int, code: str, message: str = "", detail: Any = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code = status, code
        self.message = message or code.replace("_", " ").lower()
        self.detail, self.headers = detail, headers

    def response(self) -> Response:
        """What the client is told."""
        error = {"code": self.code, "message": self.message}
        error |= {} if self.detail is None else {"detail": self.detail}
        return json_response({"errors": [error]}, self.status, self.headers)
