"""One parser, as it is fuzzed: what it is given, and what must hold whatever that is."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from transship.errors import TransshipError

CheckFunction = Callable[[bytes], None]

_LONGEST_MESSAGE = 20_000
"""Some errors quote what a user wrote; none may be a way to fill memory."""


@dataclass(frozen=True)
class Target:
    """A parser. ``check`` takes any bytes; whatever it raises is a finding.

    ``seeds`` are inputs to begin with, ``words`` what the language is made of. ``repair`` is done to each mutated
    input, so that it gets past a checksum. ``longest`` is the most bytes of an input that fuzzing tries.
    """

    name: str
    check: CheckFunction
    seeds: Iterable[bytes]
    words: Iterable[bytes] = ()
    repair: Callable[[bytes], bytes] | None = None
    longest: int = 4096


@contextlib.contextmanager
def refusing(kinds: type[TransshipError] | tuple[type[TransshipError], ...] = TransshipError) -> Iterator[None]:
    """Let the block refuse its input, by errors of ``kinds`` alone."""
    try:
        yield
    except kinds as error:
        if len(str(error)) > _LONGEST_MESSAGE:
            raise AssertionError(f"a message of {len(str(error))} characters") from error


@contextlib.contextmanager
def file_with(data: bytes) -> Iterator[str]:
    """The path of a regular file."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        yield file.name


def text_of(data: bytes) -> str:
    """Bytes as an argument of the command line."""
    return data.decode("utf-8", "surrogateescape")
