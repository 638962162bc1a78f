"""What a sync must stand: very many tags, kills at any moment, a registry that fails now and then.

With TRANSSHIP_FULL_MEASURES=1 there are 100,000 tags, 200 images and 20 kills; TRANSSHIP_KILL_SEED repeats a run.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from registries import quick_folder

from transship.image.digest import digest_of
from transship.testing.images import Image, image_of_layers
from transship.testing.layers import tar_of
from transship.testing.registry import Fault, Registry

pytestmark = pytest.mark.interop

FULL = bool(os.environ.get("TRANSSHIP_FULL_MEASURES"))
SEED = int(os.environ.get("TRANSSHIP_KILL_SEED", "1"))
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
MOST_TAGS = 100_000
MEMORY_LIMIT = 200  # MiB
COUNT = 200 if FULL else 30
KILLS = 20 if FULL else 2
SHARE_OF_FAULTS = 0.05
FAULTS = (
    {"status": 500},
    {"status": 429, "headers": {"Retry-After": "0"}},
    {"cut_after": 20},
    {"drop_response": True},
    {"stall_after": 20, "seconds": 0.2},
)
READING, WRITING = 3, 11
"""So many requests are made for an image on each side."""
COMMAND = [sys.executable, "-m", "transship", "--insecure-policy", "sync", "-q", "--src", "docker"]
INSECURE = ["--src-tls-verify=false", "--dest-tls-verify=false"]


def small_image(generator: random.Random, shared: bytes) -> Image:
    """One layer of its own beside one that all have in common."""
    return image_of_layers([shared, tar_of({"own": generator.randbytes(generator.randrange(1000, 60_000))})])


@pytest.fixture(scope="module")
def images():
    generator = random.Random(3)
    shared = tar_of({"base": generator.randbytes(300_000)})
    return {f"t{number}": small_image(generator, shared) for number in range(COUNT)}


@pytest.fixture
def registry(images):
    with Registry() as registry:
        for tag, image in images.items():
            registry.put_image("many", tag, image)
        yield registry


@pytest.fixture
def folder():
    """A folder where much can be written in no time."""
    with tempfile.TemporaryDirectory(prefix="transship-sync-", dir=quick_folder()) as name:
        yield Path(name)


class Goal:
    """Where images go: a ``dir:`` folder, or a registry."""

    def __init__(self, kind: str, folder: Path, stack: contextlib.ExitStack) -> None:
        self.kind = kind
        self._folder = folder
        self.registry = stack.enter_context(Registry(mount=False)) if kind == "docker" else None
        self.text = self.registry.host if self.registry else str(folder)

    def names(self) -> set[str]:
        """The tags that are there."""
        if self.registry:
            return set(self.registry.tags.get("many", {}))
        with contextlib.suppress(FileNotFoundError):
            return {entry.name.partition(":")[2] for entry in os.scandir(self._folder) if entry.name[0] != "."}
        return set()

    def require(self, tag: str, image: Image) -> None:
        """An image is there under its tag, with all its bytes: they are hashed again."""
        if self.registry:
            assert self.registry.tags["many"][tag] == image.digest
            found = {digest: self.registry.blobs["many"][digest].read() for digest in image.blobs}
        else:
            path = self._folder / f"many:{tag}"
            assert digest_of((path / "manifest.json").read_bytes()) == image.digest
            found = {digest: (path / digest.encoded).read_bytes() for digest in image.blobs}
        assert all(digest_of(data) == digest for digest, data in found.items())

    def received(self) -> int:
        """How many bytes of blobs were sent there."""
        records = self.registry.requests if self.registry else []
        return sum(record.received for record in records if "/blobs/" in record.target)


def sent(registry: Registry) -> int:
    return sum(record.sent for record in registry.requests if record.method == "GET" and "/blobs/" in record.target)


def command(registry: Registry, goal: Goal, *flags: str) -> list[str]:
    return [*COMMAND, "--dest", goal.kind, "--update", *INSECURE, *flags, f"{registry.host}/many", goal.text]


def complete(registry: Registry, goal: Goal, images: dict[str, Image], *flags: str) -> None:
    done = subprocess.run(
        command(registry, goal, *flags), capture_output=True, text=True, check=False, timeout=600 if FULL else 100
    )
    assert done.returncode == 0, done.stderr
    assert goal.names() == set(images)
    for tag, image in images.items():
        goal.require(tag, image)


def test_very_many_tags_that_are_there_need_little_memory(tmp_path):
    report = tmp_path / "report"
    most = MOST_TAGS if FULL else 10_000
    script = [sys.executable, str(BENCHMARKS / "growth.py"), "--only", "there", "--runs", "1", "--most", str(most)]
    done = subprocess.run([*script, "--json", str(report)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    (growth,) = json.loads(report.read_text())
    *_, earlier, last = growth["memory_mebibytes"]  # the first point has not warmed up
    beyond = (last - earlier) / (growth["points"][-1] - growth["points"][-2])
    assert last + beyond * (MOST_TAGS - growth["points"][-1]) <= MEMORY_LIMIT


@pytest.mark.parametrize("turn", range(KILLS))
@pytest.mark.parametrize("kind", ["dir", "docker"])
def test_a_sync_that_was_killed_is_completed_with_few_bytes_more(registry, images, folder, kind, turn):
    chance = random.Random(f"{SEED} {kind} {turn}")
    least = sum(
        len(data) for data in {d: data for image in images.values() for d, data in image.blobs.items()}.values()
    )
    with contextlib.ExitStack() as stack:
        goal = Goal(kind, folder / "out", stack)
        process = subprocess.Popen(
            command(registry, goal, "--src-opt", "limit-rate=8M"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wanted = chance.randrange(COUNT)
        while len(goal.names()) < wanted and process.poll() is None:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.05))
        process.kill()
        assert process.wait() in (-9, 0)
        whole = goal.names()
        for tag in whole:
            goal.require(tag, images[tag])
        complete(registry, goal, images)
        ratios = [sent(registry) / least, *([goal.received() / least] if kind == "docker" else [])]
    print(f"{len(whole)} of {COUNT} images were there; bytes to the minimum: {ratios}")
    assert max(ratios) <= 1.3


@pytest.mark.parametrize("kind", ["dir", "docker"])
def test_random_faults_lose_nothing(registry, images, folder, kind):
    chance = random.Random(f"{SEED} {kind}")
    planned = 0
    with contextlib.ExitStack() as stack:
        goal = Goal(kind, folder / "out", stack)
        for hit, requests in ((registry, READING * COUNT), (goal.registry, WRITING * COUNT)):
            for _ in range(round(SHARE_OF_FAULTS * requests) if hit else 0):
                hit.add_fault(Fault(after=chance.randrange(requests), times=1, **chance.choice(FAULTS)))
                planned += 1
        if FULL:
            registry.add_fault(Fault("/v2/many/blobs/*", stall_after=20, after=COUNT, times=2))
        complete(registry, goal, images, "--retry-times", "5", "--retry-delay", "10ms")
        registries = [registry, *([goal.registry] if goal.registry else [])]
        idle = sum(len(each.idle_faults) for each in registries)
        print(f"{planned - idle} of {sum(len(each.requests) for each in registries)} requests went wrong")
    assert planned - idle > planned // 2
