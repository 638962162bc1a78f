"""What a transport is told beside the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from transship.plugin.blob import Buffer
from transship.plugin.cancellation import Cancellation
from transship.plugin.credentials import Credentials, FindCredentials

DecompressFunction = Callable[[Iterable[Buffer]], Iterator[Buffer]]


def _as_it_is(chunks: Iterable[Buffer]) -> Iterator[Buffer]:
    yield from chunks


@dataclass(frozen=True, slots=True)
class Context:
    """One side of one command.

    ``temporary_directory`` is for files too big for memory. ``options`` holds what only some transports understand,
    by the names that they declare. ``decompress`` finds out how bytes are compressed and undoes it; uncompressed
    bytes pass. ``warn`` shows the user one line. ``cancellation`` ends long work. ``credentials`` were given for this
    image and go before all others; ``anonymous``: none may be used. ``find_credentials`` asks the plugins that know
    some. ``dry_run``: the destination may be asked what it has, and nothing there may change.
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

    def flag(self, name: str) -> bool:
        """Whether the option ``name`` was given as true."""
        return self.options.get(name, "false") == "true"
