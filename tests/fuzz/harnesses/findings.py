"""What fuzzing found, one file for each input, kept so that it is never found again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "findings"


def findings(target: str) -> Iterator[bytes]:
    """The inputs that once were too much for a target."""
    for path in sorted((FOLDER / target).glob("*")):
        yield path.read_bytes()
