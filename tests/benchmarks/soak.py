#!/usr/bin/env python3
"""Syncs many images for a long time, with faults and kills, and watches what the processes hold on to.

A registry with images answers wrongly now and then; syncs of all of it into a folder are killed at random and started
again. When one has ended, what is there is verified, some of it is removed, and the next round begins, until the time
is over. The exit code is 1 if an image is not right in the end, or if open files, memory, threads or what lies in
temporary places grow. Everything is removed at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from commands import default_transship

from transship.image.digest import digest_of
from transship.testing.images import Image, image_of_layers
from transship.testing.layers import tar_of
from transship.testing.registry import Fault, Registry

_MEMORY = 256 << 20
_TAGS = 100
_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
_FAULTS: tuple[dict[str, object], ...] = (
    {"cut_after": 20},
    {"drop_response": True},
    {"status": 500},
    {"status": 503},
    {"status": 429, "headers": {"Retry-After": "0"}},
    {"headers": {"Content-Length": "99999"}},
    {"stall_after": 5, "seconds": 3.0},
    {"delay": 2.0},
    {"flipped": 7},
    {"truncated": 5},
    {"status": 404},
)
"""The last three are not survived without another run."""


def image(number: int, shared: list[bytes]) -> Image:
    """A small image: layers that all have, and one of its own."""
    return image_of_layers([*shared, tar_of({"number": str(number).encode()})])


@dataclass
class Watch:
    """What one process holds, looked at twice a second."""

    temporary: list[Path]
    samples: list[tuple[int, int, int, int]] = field(default_factory=list)

    def look(self, process: int) -> None:
        with contextlib.suppress(OSError, KeyError):  # it may end meanwhile
            files = len(os.listdir(f"/proc/{process}/fd"))
            status = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
            memory = int(status["VmRSS"].split()[0]) << 10
            self.samples.append((files, memory, int(status["Threads"]), self._held()))

    def _held(self) -> int:
        """Bytes in what has a temporary name."""
        return sum(_size(path) for folder in self.temporary for path in folder.glob(".*"))

    def summary(self) -> dict[str, list[float]]:
        """For each of them: the median of the first and of the last third, and the most."""
        told = {}
        for name, values in zip(
            ("files", "memory", "threads", "temporary"), zip(*self.samples, strict=True), strict=True
        ):
            third = max(len(values) // 3, 1)
            told[name] = [statistics.median(values[:third]), statistics.median(values[-third:]), max(values)]
        return told


def _size(path: Path) -> int:
    try:
        if path.is_dir():
            return sum(_size(inner) for inner in path.iterdir())
        return path.stat().st_size
    except OSError:
        return 0


class Soak:
    """The registry, the folder, and what came of it."""

    def __init__(self, folder: Path, registry: Registry, arguments: argparse.Namespace) -> None:
        self._registry, self._arguments = registry, arguments
        self._chance = random.Random(arguments.seed)
        self._tree, self._temporary = folder / "tree", folder / "tmp"
        self._document = folder / "sync.yaml"
        self._images: dict[str, bytes] = {}
        self._tree.mkdir()
        self._temporary.mkdir()
        self.kills = self.runs = self.rounds = self.faults = 0
        self.watches: list[Watch] = []
        self._end = time.monotonic() + arguments.minutes * 60

    def fill(self) -> None:
        """Have the images."""
        shared = [tar_of({f"shared-{number}": random.Random(number).randbytes(3000)}) for number in range(2)]
        for number in range(self._arguments.images):
            name, tag = f"app-{number // _TAGS}", f"v{number % _TAGS}"
            made = image(number, shared)
            self._registry.put_image(name, tag, made)
            self._images[f"{name}:{tag}"] = made.manifest
        names = sorted({name.partition(":")[0] for name in self._images})
        sources = "".join(f"    {name}: []\n" for name in names)
        self._document.write_text(f"{self._registry.host}:\n  tls-verify: false\n  images:\n{sources}")

    def run(self) -> None:
        """Rounds until the time is over; the last one is finished."""
        while time.monotonic() < self._end or not self.rounds:
            while not self._attempt():
                pass
            self.rounds += 1
            self.verify()
            print(f"round {self.rounds}: {len(self._images)} images right, {self.runs} runs, {self.kills} kills")
            self._disturb()
        while not self._attempt():
            pass
        self.verify()

    def _attempt(self) -> bool:
        """One run, killed or not; True if it has ended well."""
        is_over = time.monotonic() >= self._end
        moment = None if is_over else self._chance.uniform(2, self._arguments.kill_after)
        command = [default_transship(), "--insecure-policy", "--tmpdir", str(self._temporary), "sync", "--src=yaml"]
        command += ["--dest=dir", "--update", "--keep-going", "--retry-times=3", "--retry-delay=100ms", "-q"]
        command += [str(self._document), str(self._tree)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.runs += 1
        watch = Watch([self._tree, self._temporary])
        self.watches.append(watch)
        started = time.monotonic()
        while process.poll() is None:
            watch.look(process.pid)
            if not is_over:
                self._switch_fault_on()
            time.sleep(0.5)
            if moment is not None and time.monotonic() - started > moment:
                process.send_signal(self._chance.choice(_SIGNALS))
                process.wait(30)
                self.kills += 1
                return False
        self._registry.clear_faults()
        return process.returncode == 0

    def _switch_fault_on(self) -> None:
        self.faults += 1
        where = self._chance.choice(["*/manifests/*", "*/blobs/*", "*/tags/list", "*"])
        self._registry.clear_faults()
        self._registry.add_fault(Fault(where, "GET", times=3, **self._chance.choice(_FAULTS)))  # type: ignore[arg-type]

    def verify(self) -> None:
        """Every image is there and right."""
        for name, manifest in self._images.items():
            folder = self._tree / name
            if (folder / "manifest.json").read_bytes() != manifest:
                raise SystemExit(f"{name} has another manifest")
            members = json.loads(manifest)
            for blob in (members["config"], *members["layers"]):
                if str(digest_of((folder / blob["digest"][7:]).read_bytes())) != blob["digest"]:
                    raise SystemExit(f"{name} has a wrong blob {blob['digest']}")

    def _disturb(self) -> None:
        """Remove a part, so that the next round has something to do."""
        names = self._chance.sample(sorted(self._images), max(len(self._images) // 5, 1))
        for name in names[::10]:
            next((self._tree / name).glob("[0-9a-f]*")).unlink()
        for name in set(names) - set(names[::10]):
            shutil.rmtree(self._tree / name)

    def leftovers(self) -> int:
        """Bytes under temporary names now."""
        return Watch([self._tree, self._temporary])._held()


def told(soak: Soak) -> Iterator[str]:
    """What was found, and in the end what is wrong."""
    yield f"{soak.runs} runs, {soak.kills} kills, {soak.faults} faults switched on, {soak.rounds + 1} rounds verified"
    longest = max(soak.watches, key=lambda watch: len(watch.samples))
    summary = longest.summary()
    for name, (first, last, most) in summary.items():
        overall = max(watch.summary()[name][2] for watch in soak.watches if watch.samples)
        yield f"{name}: {first:.0f} in the first third of the longest run, {last:.0f} in the last, at most {most:.0f}; "
        yield f"    in all runs at most {overall:.0f}"
    yield f"left under temporary names after the last run: {soak.leftovers()} bytes"


def grown(soak: Soak) -> list[str]:
    """What is not flat."""
    summary = max(soak.watches, key=lambda watch: len(watch.samples)).summary()
    found = [name for name in ("files", "threads") if summary[name][1] > summary[name][0] * 1.5 + 10]
    found += ["memory"] if summary["memory"][1] > summary["memory"][0] * 1.5 + (32 << 20) else []
    found += (
        ["memory"] if any(watch.summary()["memory"][2] > _MEMORY for watch in soak.watches if watch.samples) else []
    )
    return found


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000, help="how many (default: 10000)")
    parser.add_argument("--minutes", type=float, default=50, help="begin no new round after this time (default: 50)")
    parser.add_argument("--kill-after", type=float, default=90, help="most seconds before a kill (default: 90)")
    parser.add_argument("--seed", type=int, default=1, help="another one makes other faults and kills")
    parser.add_argument("--folder", type=Path, help="where to work (default: the folder for temporary files)")
    return parser.parse_args()


def main() -> int:
    arguments = parsed()
    folder = Path(tempfile.mkdtemp(prefix="transship-soak-", dir=arguments.folder))
    watchdog = threading.Timer(arguments.minutes * 60 + 600, lambda: os.kill(os.getpid(), signal.SIGTERM))
    watchdog.daemon = True
    watchdog.start()
    try:
        with Registry() as registry:
            soak = Soak(folder, registry, arguments)
            soak.fill()
            soak.run()
            print("\n".join(told(soak)))
            found = grown(soak)
            print(f"growing: {', '.join(found) or 'nothing'}")
            return bool(found)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
