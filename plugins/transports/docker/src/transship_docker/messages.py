"""Heads of requests and of answers, as users of the network see them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

from transship_docker.http import httpcore

if TYPE_CHECKING:
    import httpx

_SAFE = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*"
_PLAIN = re.compile(
    rf"(?P<scheme>https?)://(?P<host>[a-z0-9._-]+)(?::(?P<port>[1-9][0-9]{{0,4}}))?(?P<target>/{_SAFE}(?:\?{_SAFE})?)"
)
_DEFAULT_PORTS = {b"http": 80, b"https": 443}
_LAST_PORT = 65535


class Address(NamedTuple):
    """Where a request goes, and what the header ``Host`` says of it."""

    url: httpcore.URL
    host: bytes

    @classmethod
    def parse(cls, text: str) -> Address:
        """An address, encoded as it is sent; raises ``ValueError``."""
        match = _plain(text)
        if match is None:
            return cls._encoded(text)
        scheme, host, target = (match[part].encode() for part in ("scheme", "host", "target"))
        port = int(match["port"] or 0)
        if port > _LAST_PORT:
            raise ValueError(f"invalid port {port}")
        if port in (0, _DEFAULT_PORTS[scheme]):
            return cls(httpcore.URL(scheme=scheme, host=host, port=None, target=target), host)
        return cls(httpcore.URL(scheme=scheme, host=host, port=port, target=target), b"%b:%d" % (host, port))

    @classmethod
    def _encoded(cls, text: str) -> Address:
        parsed = _parsed(text)
        host = parsed.raw_host
        url = httpcore.URL(scheme=parsed.raw_scheme, host=host, port=parsed.port, target=parsed.raw_path)
        return cls(url, parsed.netloc)


def encoded_address(text: str) -> str:
    """``text`` as it is sent, so that whoever looks at it sees the host that is asked; raises ``ValueError``."""
    return text if _plain(text) else str(_parsed(text))


def _plain(text: str) -> re.Match[str] | None:
    """What an address consists of that needs no encoding."""
    return None if "/." in text else _PLAIN.fullmatch(text)


def _parsed(text: str) -> httpx.URL:
    import httpx  # knows how to encode, and takes long to import

    try:
        parsed = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from error
    # Others skip a space before the scheme, and to some a path of several slashes is a host.
    if parsed.raw_scheme not in _DEFAULT_PORTS or not parsed.raw_host:
        raise ValueError("the address is neither http nor https, or names no host")
    return parsed


class Request(NamedTuple):
    """What was asked. ``hide`` keeps secrets from being shown; nothing may keep it waiting for ``stall_timeout``
    seconds.
    """

    method: str
    url: str
    stall_timeout: float
    hide: Callable[[str], str]


class Headers(Mapping[str, str]):
    """The header lines of an answer, under their names in lower case; any case finds them.

    Values of lines with the same name are joined by commas (RFC 9110, section 5.3).
    """

    def __init__(self, lines: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._values: dict[bytes, list[bytes]] = {}
        for name, value in lines:
            self._values.setdefault(name.lower(), []).append(value)

    def __getitem__(self, name: str) -> str:
        if values := self.get_list(name):
            return ", ".join(values)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._values)

    def __len__(self) -> int:
        return len(self._values)

    def get_list(self, name: str) -> list[str]:
        """The value of each line."""
        return [_text(value) for value in self._values.get(name.lower().encode(), ())]


class _Body(Protocol):
    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None: ...


class Response:
    """An answer whose body is still to be read. Close it."""

    def __init__(self, request: Request, answer: httpcore.Response, on_close: Callable[[], None]) -> None:
        self.request = request
        self.status_code = answer.status
        self.headers = Headers(answer.headers)
        self._body = cast("_Body", answer.stream)
        self._extensions = answer.extensions
        self._on_close = on_close

    @property
    def reason_phrase(self) -> str:
        """The words beside the status."""
        return _text(self._extensions.get("reason_phrase", b""))

    @property
    def connection(self) -> httpcore.NetworkStream:
        """What the answer comes through."""
        stream: httpcore.NetworkStream = self._extensions["network_stream"]
        return stream

    def iter_raw(self) -> Iterator[bytes]:
        """The body as it comes; raises ``ENGINE_ERRORS`` and ``OSError``."""
        yield from self._body
        self.close()

    def close(self) -> None:
        """Leave the rest of the body, and the connection to others. May be called more than once."""
        on_close, self._on_close = self._on_close, lambda: None  # the connection may be somebody else's then
        try:
            self._body.close()
        finally:
            on_close()


@functools.lru_cache(maxsize=64)
def encoded_headers(lines: tuple[tuple[str, str], ...]) -> list[tuple[bytes, bytes]]:
    """Header lines as they are sent; raises ``ValueError`` for characters beyond ASCII."""
    return [(name.encode("ascii"), value.encode("ascii")) for name, value in lines]


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
