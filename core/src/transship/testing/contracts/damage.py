"""Places on this machine that are damaged, or where something is in the way."""
# ruff: noqa: S101, S311 - assert is how tests speak, and random bytes are no secret here

from __future__ import annotations

import contextlib
import os
import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

_RUBBISH = (
    b"",
    b"\0" * 1024,
    b"\xff\xfe",
    b"{}",
    b"[]",
    b"null",
    b"1",
    b'"text"',
    b'{"manifests": [7], "layers": null, "config": "x"}',
    b"[" * 5000,
    b"one\ntwo three\n",
)
_FAR_TOO_BIG = 160 << 20
_MUCH_MEMORY = 100 << 20


def damages(place: Path | None) -> Iterator[Path]:
    """Damage each file and folder of a place in each of many ways, one at a time. Afterwards all is as before."""
    for path in _all_in(place):
        with _put_aside(path) as aside:
            for data in _damaged(aside.read_bytes() if aside.is_file() else b""):
                path.write_bytes(data)
                yield path
            path.unlink()
            yield path
            path.symlink_to(path.name)  # a link that never ends
            yield path
            path.unlink()
            path.mkdir()
            yield path
            path.rmdir()


def overgrown(place: Path | None) -> Iterator[Path]:
    """Make each file of a place far too big, one at a time."""
    for path in _all_in(place):
        if path.is_file():
            size = path.stat().st_size
            os.truncate(path, _FAR_TOO_BIG)
            yield path
            os.truncate(path, size)


@contextlib.contextmanager
def limited_memory(what: str) -> Iterator[None]:
    """The block must not take as much memory as what is far too big would."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < _MUCH_MEMORY, f"{peak >> 20} MiB {what} were held in memory"


def _all_in(place: Path | None) -> list[Path]:
    """All files and folders of a place, itself included."""
    return [] if place is None or not place.exists() else [place, *sorted(place.rglob("*"))]


@contextlib.contextmanager
def _put_aside(path: Path) -> Iterator[Path]:
    """Meanwhile the file or folder has another name."""
    aside = path.with_name(f".{path.name}.aside")
    path.rename(aside)
    yield aside
    aside.rename(path)


def _damaged(data: bytes) -> Iterator[bytes]:
    yield from _RUBBISH
    for tenths in (1, 5, 9):
        yield data[: len(data) * tenths // 10]
    yield data + b"\nmore"
    yield bytes(random.Random(17).sample(data, len(data)))
