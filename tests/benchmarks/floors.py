"""The least that a copy costs on this machine: each byte read and hashed once, and each byte written once.

All is done by functions of the standard library that work in C or in the kernel, in as many threads as there are
processors, the largest file first. Compression is not in it, nor is the network.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

_PIECE = 1 << 20
_AT_ONCE = 1 << 30


def seconds_of_floor(hashed: Sequence[Path], written: Sequence[Path], target: Path) -> float:
    """Seconds to hash the files ``hashed`` and to copy the files ``written`` to the folder ``target``."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    jobs = [(path.stat().st_size, partial(_hash, path)) for path in hashed]
    jobs += [(path.stat().st_size, partial(_copy, path, target / str(n))) for n, path in enumerate(written)]
    jobs.sort(key=lambda job: -job[0])
    start = time.perf_counter()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for done in [pool.submit(job) for _, job in jobs]:
            done.result()
    seconds = time.perf_counter() - start
    shutil.rmtree(target)
    return seconds


def files_below(path: Path) -> list[Path]:
    """All files of a folder, or the file itself; none if there is nothing."""
    return sorted(file for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())


def total_size(files: Iterable[Path]) -> int:
    """Bytes of all of them."""
    return sum(file.stat().st_size for file in files)


def _hash(path: Path) -> None:
    digester = hashlib.sha256()
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content, memoryview(content) as view:
            for start in range(0, len(view), _PIECE):
                digester.update(view[start : start + _PIECE])


def _copy(path: Path, target: Path) -> None:
    with path.open("rb") as source, target.open("wb") as file:
        try:
            while os.copy_file_range(source.fileno(), file.fileno(), _AT_ONCE):
                pass
        except OSError:  # not between these file systems
            while os.sendfile(file.fileno(), source.fileno(), None, _AT_ONCE):
                pass
