"""A copy that is killed at any moment leaves nothing that looks complete, and the next one goes on where it stopped.

With TRANSSHIP_FULL_MEASURES=1 each pair of transports is killed many times; TRANSSHIP_KILL_SEED repeats a run.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from processes import Nursery
from registries import TestingRegistry, quick_folder

from transship.testing.images import image_of_layers, oci_image
from transship.testing.layers import tar_of
from transship.testing.writers import REF_NAME, write_dir, write_docker_archive, write_oci_archive, write_oci_layout

pytestmark = pytest.mark.interop

KIB = 1 << 10
MIB = 1 << 20
TRANSPORTS = ("dir", "oci", "oci-archive", "docker-archive", "docker")
PAIRS = list(itertools.product(TRANSPORTS, TRANSPORTS))
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
FULL = bool(os.environ.get("TRANSSHIP_FULL_MEASURES"))
ROUNDS = 6 if FULL else 1
SEED = int(os.environ.get("TRANSSHIP_KILL_SEED", "1"))
LAYER_SIZES = (16 * MIB, 9 * MIB, 300 * KIB) if FULL else (4 * MIB, MIB, 300 * KIB)
SLOWLY = ("--limit-rate", "40M" if FULL else "16M")
TIMEOUT = 60
PATIENCE = 5.0  # a second or two on a machine that is busy with other tests
EXIT_CODES = {signal.SIGKILL: {-9}, signal.SIGTERM: {143, -15}, signal.SIGINT: {130, -2}}
WARM_UP = "import transship.cli.copy, transship.copy.run, transship_docker.transport, transship_oci.transport"
NAME = "app"


def big_image():
    generator = random.Random(5)
    return image_of_layers(
        [tar_of({f"file-{number}": generator.randbytes(size)}) for number, size in enumerate(LAYER_SIZES)]
    )


OLD = oci_image()
NEW = big_image()
LAYERS = {digest: data for digest, data in NEW.blobs.items() if data != NEW.config}


def write(transport, image, path):
    if transport == "dir":
        write_dir(image, path)
    elif transport == "docker-archive":
        write_docker_archive({f"docker.io/library/{NAME}:latest": image}, path)
    else:
        {"oci": write_oci_layout, "oci-archive": write_oci_archive}[transport]({NAME: image}, path)


def files_in(folder):
    """All files below a folder, those with dot names too, by their paths; what vanishes meanwhile is left out."""
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            with contextlib.suppress(FileNotFoundError):
                yield path, path.stat().st_size


@dataclass
class Place:
    """Where copies go: a file or folder alone in a folder of its own."""

    transport: str
    folder: Path

    def __post_init__(self):
        self.folder.mkdir()
        self.path = self.folder / "place"
        if self.transport != "docker-archive":  # Skopeo refuses to change one
            write(self.transport, OLD, self.path)

    @property
    def text(self):
        name = {"oci": f":{NAME}", "oci-archive": f":{NAME}", "docker-archive": f":docker.io/library/{NAME}:latest"}
        return f"{self.transport}:{self.path}{name.get(self.transport, '')}"

    def bytes_so_far(self):
        return sum(size for _, size in files_in(self.folder))

    def shown(self):
        """What is there for those who look for an image, by path. In a layout blobs count if something names them."""
        if not self.path.is_dir():
            return {"": sha256(self.path)} if self.path.exists() else {}
        found = {str(path.relative_to(self.path)): sha256(path) for path, _ in files_in(self.path)}
        visible = {path: digest for path, digest in found.items() if not Path(path).name.startswith(".")}
        if self.transport == "oci":
            assert all(Path(path).name == visible[path] for path in visible if path.startswith("blobs/"))
            named = referred(self.path)
            assert named <= {visible[path] for path in visible}
            visible = {path: visible[path] for path in visible if path == "index.json" or Path(path).name in named}
        return visible


class RepositoryPlace:
    """As ``Place``, in a registry."""

    transport = "docker"

    def __init__(self, registry, name):
        self._registry, self._name = registry, name
        registry.put_image(name, "latest", OLD)
        self.text = f"docker://{registry.host}/{name}:latest"

    def bytes_so_far(self):
        return sum(request.received for request in self._registry.requests if f"/{self._name}/" in request.path)

    def missing_bytes(self):
        present = self._registry.blobs[self._name]
        return sum(len(data) for digest, data in LAYERS.items() if digest not in present)

    def shown(self):
        return {"latest": self._registry.tags[self._name]["latest"].encoded}


@functools.cache
def sha256_of_file(path, size, modified):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sha256(path):
    status = path.stat()
    return sha256_of_file(path, status.st_size, status.st_mtime_ns)


def referred(layout):
    """The hexadecimal digests of all that is found from a layout's index, which must all be there."""
    found = set()
    for entry in json.loads((layout / "index.json").read_bytes())["manifests"]:
        members = json.loads((layout / "blobs/sha256" / entry["digest"][7:]).read_bytes())
        found |= {each["digest"][7:] for each in (entry, members["config"], *members["layers"])}
    return found


def kept_in_layout(layout):
    """How many bytes of the new image's layers are in a layout, whole or not."""
    kept = 0
    for digest in LAYERS:
        names = (f"blobs/sha256/{digest.encoded}", f"blobs/.transship.sha256-{digest.encoded}.partial")
        kept += max([(layout / name).stat().st_size for name in names if (layout / name).exists()], default=0)
    return kept


class Lab:
    """Copies of one image, whole or killed, between places of their own."""

    def __init__(self, folder, registry, target, nursery):
        self.registry = registry
        self.target = target
        self._folder = folder
        self._nursery = nursery
        self._numbers = itertools.count(1)
        self._references = {}
        for transport in TRANSPORTS[:-1]:
            write(transport, NEW, folder / f"source-{transport}")
        registry.put_image("source", "latest", NEW)

    def source(self, transport):
        if transport == "docker":
            return f"docker://{self.registry.host}/source:latest"
        return f"{transport}:{self._folder / f'source-{transport}'}"

    def place(self, transport):
        number = next(self._numbers)
        if transport == "docker":
            return RepositoryPlace(self.target, f"results/{number}")
        return Place(transport, self._folder / str(number))

    def undisturbed(self, source, destination):
        """What a copy that is let alone shows, and how many bytes there are then."""
        if (source, destination) not in self._references:
            place = self.place(destination)
            self.copy(source, place)
            self._references[source, destination] = place.shown(), place.bytes_so_far()
        return self._references[source, destination]

    def copy(self, source, place):
        done = self._nursery.transship(self._folder, "copy", *self._arguments(source, place, ()))
        assert done.code == 0, done.stderr

    def kill(self, source, place, number, moment, delay):
        """Send a signal when the share ``moment`` of the bytes is there, and ``delay`` seconds later."""
        _, expected = self.undisturbed(source, place.transport)
        begin = place.bytes_so_far()
        slowly = SLOWLY if "docker" in (source, place.transport) else ()
        process = self.start(*self._arguments(source, place, slowly))
        while place.bytes_so_far() - begin < moment * (expected - begin) and process.poll() is None:
            time.sleep(0.001)
        time.sleep(delay)
        process.send_signal(number)
        signalled = time.monotonic()
        _, said = process.communicate(timeout=TIMEOUT)
        assert process.returncode in {0, *EXIT_CODES[number]}, said.decode()
        assert time.monotonic() - signalled < PATIENCE
        print("ended before" if process.returncode == 0 else f"ended by signal {number.value}")

    def start(self, *arguments):
        command = [sys.executable, "-m", "transship", "--insecure-policy", "copy", *arguments]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def _arguments(self, source, place, options):
        insecure = ["--src-tls-verify=false"] if source == "docker" else []
        insecure += ["--dest-tls-verify=false"] if place.transport == "docker" else []
        return ["-q", *insecure, *options, self.source(source), place.text]


@pytest.fixture(scope="module")
def lab():
    folder = Path(tempfile.mkdtemp(prefix="transship-kills-", dir=quick_folder()))
    with (
        TestingRegistry() as registry,
        TestingRegistry(mount=False) as target,
        contextlib.closing(Nursery(WARM_UP, timeout=TIMEOUT)) as nursery,
    ):
        yield Lab(folder, registry, target, nursery)
    shutil.rmtree(folder)


@pytest.fixture
def chance(request):
    return random.Random(f"{SEED} {request.node.name}")


@pytest.mark.parametrize("turn", range(ROUNDS))
@pytest.mark.parametrize(("source", "destination"), PAIRS, ids=map(" to ".join, PAIRS))
def test_a_killed_copy_shows_nothing_half_done_and_the_next_one_completes_it(lab, chance, source, destination, turn):
    whole, _ = lab.undisturbed(source, destination)
    place = lab.place(destination)
    before = place.shown()
    number = SIGNALS[(PAIRS.index((source, destination)) + turn) % len(SIGNALS)]
    lab.kill(source, place, number, chance.uniform(0, 1.05), chance.choice([0, chance.uniform(0, 0.05)]))
    assert place.shown() in (before, whole)
    if destination != "docker-archive" or place.shown() != whole:  # one that is there is not replaced
        lab.copy(source, place)
    assert place.shown() == whole
    if destination == "oci":
        assert not list(place.path.glob("blobs/.*.partial"))


@pytest.mark.parametrize("number", SIGNALS if FULL else SIGNALS[:2])
@pytest.mark.parametrize("turn", range(ROUNDS))
def test_what_a_layout_has_is_not_fetched_again(lab, chance, number, turn):
    place = lab.place("oci")
    lab.kill("docker", place, number, chance.uniform(0.1, 0.95), 0)
    missing = sum(map(len, LAYERS.values())) - kept_in_layout(place.path)
    lab.registry.forget_requests()
    lab.copy("docker", place)
    sent = sum(request.sent for request in lab.registry.requests if any(str(one) in request.path for one in LAYERS))
    print(f"missing {missing}, sent {sent}")
    assert missing <= sent <= 1.1 * missing


@pytest.mark.parametrize("turn", range(ROUNDS))
def test_copies_into_one_layout_are_killed_without_harm_to_each_other(lab, chance, turn):
    place = lab.place("oci")
    names = [f"app-{number}" for number in range(4)]

    def start(name):
        return lab.start("-q", "--src-tls-verify=false", *SLOWLY, lab.source("docker"), f"oci:{place.path}:{name}")

    processes = [start(name) for name in names]
    for process in processes[::2]:
        time.sleep(chance.uniform(0.1, 0.4))
        process.kill()
    again = [start(name) for name in names[::2]]
    for process in (*processes, *again):
        _, said = process.communicate(timeout=TIMEOUT)
        assert process.returncode in ({0, -9} if process in processes[::2] else {0}), said.decode()
    entries = json.loads((place.path / "index.json").read_bytes())["manifests"]
    found = {entry["annotations"][REF_NAME]: entry["digest"] for entry in entries}
    assert found == {NAME: str(OLD.digest), **dict.fromkeys(names, str(NEW.digest))}
    place.shown()
    assert not list(place.path.glob("blobs/.*.partial"))


@pytest.mark.parametrize("number", SIGNALS if FULL else SIGNALS[:1])
@pytest.mark.parametrize("turn", range(ROUNDS))
def test_blobs_that_a_registry_has_are_not_uploaded_again(lab, chance, number, turn):
    place = lab.place("docker")
    lab.kill("oci", place, number, chance.uniform(0.1, 0.95), 0)
    missing = place.missing_bytes()
    lab.target.forget_requests()
    lab.copy("oci", place)
    received = place.bytes_so_far()
    print(f"missing {missing}, received {received}")
    assert place.missing_bytes() == 0
    assert received <= missing + 64 * KIB  # config, manifest and forms; what was under way may have arrived meanwhile
