"""What a transport is told beside the reference."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from transship.plugin.blob import Buffer
from transship.plugin.cancellation import Cancellation
from transship.plugin.credentials import Credentials, FindCredentials
from transship.plugin.shared import Shared

_Thing = TypeVar("_Thing")

DecompressFunction = Callable[[Iterable[Buffer]], Iterator[Buffer]]


def _as_it_is(chunks: Iterable[Buffer]) -> Iterator[Buffer]:
    yield from chunks


@dataclass(frozen=True, slots=True)
class Context:
    """One side of one command.

    ``temporary_directory`` is for files too big for memory. ``options`` holds what only some transports understand,
    by the names that they declare. ``decompress`` finds out how bytes are compressed and undoes it; uncompressed
    bytes pass. ``warn`` shows the user one line, ``debug`` one that only those want to see who look for a mistake;
    neither may hold a secret. ``cancellation`` ends long work. ``credentials`` were given for this
    image and go before all others; ``anonymous``: none may be used. ``find_credentials`` asks the plugins that know
    some. ``dry_run``: the destination may be asked what it has, and nothing there may change. ``shared`` holds what
    several images of one run have in common, None: this image stands alone.
    """

    temporary_directory: str = "/var/tmp"  # noqa: S108 - where skopeo puts big files, so that /tmp in memory is spared
    options: Mapping[str, str] = field(default_factory=dict)
    decompress: DecompressFunction = _as_it_is
    warn: Callable[[str], None] = lambda message: None
    cancellation: Cancellation = field(default_factory=Cancellation)
    credentials: Credentials | None = None
    anonymous: bool = False
    find_credentials: FindCredentials = lambda registry, repository: None
    dry_run: bool = False
    shared: Shared | None = None
    debug: Callable[[str], None] = lambda message: None

    def flag(self, name: str) -> bool:
        """Whether the option ``name`` was given as true."""
        return self.options.get(name, "false") == "true"

    def obtain(self, key: Hashable, make: Callable[[], _Thing]) -> _Thing:
        """What the images of this run have in common under ``key``; what ``make`` gives if this one stands alone."""
        return make() if self.shared is None else self.shared.obtain(key, make)
