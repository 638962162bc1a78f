"""Every pair of transports, every kind of image, every format: do we do what Skopeo does?

As a script it prints the sums and lists every cell that is neither done nor refused as Skopeo refuses it.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import media
import peers
from registries import DockerRegistry, RefusedError, TestingRegistry, docker_registry, quick_folder

from transship.image.media_types import DOCKER_LIST, DOCKER_MANIFEST, OCI_MANIFEST, SCHEMA1_TYPES
from transship.testing.images import (
    Image,
    artifact_with_empty_config,
    artifact_with_own_config,
    docker_list,
    files_of,
    image_with_empty_layers,
    image_with_foreign_layer,
    image_with_subject,
    oci_image,
    oci_index,
    schema1_image,
    schema2_image,
)
from transship.testing.writers import write_dir, write_docker_archive, write_oci_archive, write_oci_layout

TRANSPORTS = ("dir", "oci", "oci-archive", "docker-archive", "docker")
IMAGES: Mapping[str, Callable[[], Image]] = {
    "schema 2 gzip": schema2_image,
    "OCI gzip": oci_image,
    "OCI zstd": lambda: oci_image(compression="zstd"),
    "uncompressed": lambda: oci_image(compression=""),
    "index of 6 platforms": oci_index,
    "schema 1": schema1_image,
    "artifact with empty config": artifact_with_empty_config,
    "empty layers in history": image_with_empty_layers,
    "foreign layers": image_with_foreign_layer,
}
MORE_IMAGES: Mapping[str, Callable[[], Image]] = {
    "schema 2 uncompressed": lambda: schema2_image(compression=""),
    "list of 6 platforms": docker_list,
    "schema 1 unsigned": lambda: schema1_image(signed=False),
    "artifact with own config": artifact_with_own_config,
    "schema 2 empty layers in history": lambda: image_with_empty_layers(DOCKER_MANIFEST),
    "OCI foreign layers": lambda: image_with_foreign_layer(OCI_MANIFEST),
    "subject and annotations": image_with_subject,
}
ALL_IMAGES = {**IMAGES, **MORE_IMAGES}
INSECURE = ("--src-tls-verify=false", "--dest-tls-verify=false")
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "as is": (),
    "--format oci": ("--format", "oci"),
    "--format v2s2": ("--format", "v2s2"),
    "--all": ("--all",),
}
NAME = "app"
TAG = "1.0"
DOCKER_NAME = "docker.io/library/app:1.0"


@dataclass(frozen=True)
class Cell:
    source: str
    destination: str
    image: str
    options: str

    def __str__(self) -> str:
        return f"{self.source} to {self.destination}, {self.image}, {self.options}"


@dataclass(frozen=True)
class Difference:
    """Cells, as patterns, in which the installed Skopeo is not the judge of whether a copy succeeds.

    ``alike``: where both succeed they write the same.
    """

    source: str
    destination: str
    image: str
    options: str
    succeeds: bool
    why: str
    alike: bool = True

    def covers(self, cell: Cell) -> bool:
        patterns = (self.source, self.destination, self.image, self.options)
        values = (cell.source, cell.destination, cell.image, cell.options)
        return all(itertools.starmap(fnmatchcase, zip(values, patterns, strict=True)))


_DECOMPRESSED_FIRST = "newer ones decompress a layer before they look for its media type in the converted manifest"

_FALLBACK_TAG = "we list what refers to another manifest where the registry does not, as the specification has it"

_VARIANT_LATER = "newer ones write a config anew with the variant behind the os, as image-spec 1.1 has it"

NEWER_SKOPEO = (
    Difference("*", "docker-archive", "OCI zstd", "as is", True, _DECOMPRESSED_FIRST),
    Difference("*", "docker-archive", "OCI zstd", "--format v2s2", True, _DECOMPRESSED_FIRST),
    Difference("*", "docker-archive", "OCI zstd", "--all", True, _DECOMPRESSED_FIRST),
    Difference("*", "oci*", "list of 6 platforms", "--all", True, _VARIANT_LATER, alike=False),
    Difference("*", "docker", "subject and annotations", "as is", True, _FALLBACK_TAG, alike=False),
    Difference("*", "docker", "subject and annotations", "--format oci", True, _FALLBACK_TAG, alike=False),
    Difference("*", "docker", "subject and annotations", "--all", True, _FALLBACK_TAG, alike=False),
)
"""Where Skopeo 1.9.3 differs from the one that we follow."""

DONE, REFUSED, CANNOT_EXIST, OTHER = "done", "refused as Skopeo does", "cannot exist", "other"


@dataclass(frozen=True)
class Verdict:
    cell: Cell
    kind: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.cell}: {self.kind}" + (f": {self.detail}" if self.detail else "")


@dataclass(frozen=True)
class Place:
    """Where one copy goes: its reference, and what is there afterwards."""

    text: str
    read: Callable[[], media.Stored]


@dataclass(frozen=True)
class Run:
    """One ``copy``: whether it worked, what it said, and what it was to write."""

    succeeded: bool
    said: str
    place: Place


Program = Callable[[list[str], Path], tuple[int, str]]
"""Takes arguments and a folder for its caches; answers exit code and what it said."""


def rows(images: Iterable[str] = IMAGES) -> Iterator[list[Cell]]:
    for source, destination, image in itertools.product(TRANSPORTS, TRANSPORTS, images):
        yield [Cell(source, destination, image, options) for options in OPTIONS]


class Matrix:
    """Runs cells, all of its files under ``folder``. Sources are made once. Close it in the end."""

    def __init__(self, folder: Path) -> None:
        self._sources = folder / "sources"
        self._results = folder / "results"
        self._sources.mkdir(parents=True, exist_ok=True)
        self._references: dict[tuple[str, str], str | None] = {}
        self._open = contextlib.ExitStack()
        self._threads = self._open.enter_context(ThreadPoolExecutor(2))
        self._testing = self._open.enter_context(TestingRegistry(schema1=True))
        self._real = self._open.enter_context(docker_registry(folder))
        self._refused: set[str] = set()
        self._judged = itertools.count(1)

    def close(self) -> None:
        """Stop the registries."""
        self._open.close()

    def judge(self, row: Iterable[Cell]) -> list[Verdict]:
        """Let both programs do the copies of ``row``, and compare."""
        trials = [self._trial(cell, next(self._judged)) for cell in row]
        their_runs = [self._threads.submit(trial.run, skopeo, "theirs") for trial in trials]
        our_runs = [trial.run(transship, "ours") for trial in trials]
        verdicts = [
            self._threads.submit(trial.verdict, ours, theirs.result())
            for trial, ours, theirs in zip(trials, our_runs, their_runs, strict=True)
        ]
        return [verdict.result() for verdict in verdicts]

    def _trial(self, cell: Cell, number: int) -> Trial:
        source = self._source(cell.source, cell.image)
        folder = self._results / str(number)
        folder.mkdir(parents=True)
        if cell.destination != "docker":
            return Trial(cell, source, folder, lambda who: _file_place(cell, folder / who))
        registry, name = self._registry(cell.image), f"results/{number}"
        return Trial(cell, source, folder, lambda who: _registry_place(registry, f"{name}/{who}"))

    def _source(self, transport: str, image: str) -> str | None:
        key = (transport, image)
        if key not in self._references:
            path = self._sources / f"{transport}-{image}".replace(" ", "-")
            made = ALL_IMAGES[image]()
            self._references[key] = (
                self._pushed(image, made) if transport == "docker" else make_source(transport, made, path)
            )
        return self._references[key]

    def _pushed(self, name: str, image: Image) -> str:
        text = f"sources/{name.replace(' ', '-').lower()}"
        registry = self._registry(name)
        registry.put_image(text, TAG, image)
        return f"docker://{registry.host}/{text}:{TAG}"

    def _registry(self, image: str) -> DockerRegistry | TestingRegistry:
        """The real registry, but for images that it refuses."""
        if not self._refused:
            self._refused = set(self._refused_images())
        return self._testing if image in self._refused else self._real

    def _refused_images(self) -> Iterator[str]:
        yield ""
        for number, (name, make) in enumerate(ALL_IMAGES.items()):
            try:
                self._real.put_image(f"trial/{number}", TAG, make())
            except RefusedError:
                yield name


@dataclass(frozen=True)
class Trial:
    """One cell, to be done by both programs. ``source`` is None if there can be none."""

    cell: Cell
    source: str | None
    folder: Path
    place: Callable[[str], Place]

    def run(self, program: Program, who: str) -> Run:
        """Let ``program`` do the copy."""
        place = self.place(who)
        if self.source is None:
            return Run(False, CANNOT_EXIST, place)
        arguments = ["--insecure-policy", "copy", *INSECURE, *OPTIONS[self.cell.options], self.source, place.text]
        code, said = program(arguments, self.folder / f"caches of {who}")
        return Run(code == 0, said.strip().rpartition("msg=")[2], place)

    def verdict(self, ours: Run, theirs: Run) -> Verdict:
        """Compare what was done, and clear it away."""
        if self.source is None:
            return Verdict(self.cell, CANNOT_EXIST)
        try:
            return _compared(self.cell, ours, theirs, self.folder)
        except (media.UnreadableError, AssertionError) as error:
            return Verdict(self.cell, OTHER, str(error))
        finally:
            shutil.rmtree(self.folder)


def _file_place(cell: Cell, path: Path) -> Place:
    return Place(destination_text(cell.destination, path), lambda: media.read(cell.destination, path))


def _registry_place(registry: DockerRegistry | TestingRegistry, name: str) -> Place:
    return Place(f"docker://{registry.host}/{name}:{TAG}", lambda: registry.read(name, TAG))


def make_source(transport: str, image: Image, path: Path) -> str | None:
    """Store ``image`` and give its reference, None if it cannot be stored there."""
    if transport == "dir":
        write_dir(image, path)
        return f"dir:{path}"
    if transport == "docker-archive":
        return _docker_archive(image, path)
    if image.media_type in SCHEMA1_TYPES:
        return None
    # The installed Skopeo finds Docker's manifests in a layout only without a name.
    name = "" if image.media_type in (DOCKER_MANIFEST, DOCKER_LIST) else NAME
    write = write_oci_layout if transport == "oci" else write_oci_archive
    write({name: image}, path)
    return f"{transport}:{path}:{name}".removesuffix(":")


def _docker_archive(image: Image, path: Path) -> str | None:
    if image.media_type in SCHEMA1_TYPES:
        folder = path.with_name(path.name + "-dir")
        write_dir(image, folder)
        code, said = skopeo(
            ["--insecure-policy", "copy", f"dir:{folder}", f"docker-archive:{path}:{DOCKER_NAME}"], folder
        )
        assert code == 0, said
    elif image.config is None or not image.tars:
        return None
    else:
        write_docker_archive({DOCKER_NAME: image}, path)
    return f"docker-archive:{path}"


def destination_text(transport: str, path: Path) -> str:
    names = {"dir": "", "oci": f":{NAME}", "oci-archive": f":{NAME}", "docker-archive": f":{DOCKER_NAME}"}
    return f"{transport}:{path}{names[transport]}"


def skopeo(arguments: list[str], caches: Path) -> tuple[int, str]:
    """Run Skopeo with its caches in a folder; exit code and what it said."""
    # Root's cache has a fixed place, that of other users has not.
    environment = {**os.environ, "_CONTAINERS_ROOTLESS_UID": "1", "XDG_DATA_HOME": str(caches)}
    done = subprocess.run(
        [peers.SKOPEO, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stderr


def transship(arguments: list[str], caches: Path | None = None) -> tuple[int, str]:
    """Run our command line in this process, with its caches in a folder; exit code and what it said."""
    from transship.cli.application import Application

    if caches is not None:
        os.environ["XDG_CACHE_HOME"] = str(caches)
    said = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        code = Application().run(arguments)
    return code, said.getvalue()


def _compared(cell: Cell, ours: Run, theirs: Run, folder: Path) -> Verdict:
    difference = next((row for row in NEWER_SKOPEO if row.covers(cell)), None)
    expected = difference.succeeds if difference else theirs.succeeded
    if not ours.succeeded:
        return Verdict(cell, OTHER if expected else REFUSED, f"we say {ours.said}; Skopeo says {theirs.said}")
    if not expected:
        return Verdict(cell, OTHER, f"we copied what Skopeo refuses: {theirs.said}")
    stored = ours.place.read()
    media.check(stored)
    _read_by_skopeo(ours, stored, folder)
    if theirs.succeeded and (difference is None or difference.alike):
        recompressed = cell.source == "docker-archive" or "uncompressed" in cell.image
        media.compare(stored, theirs.place.read(), recompressed=recompressed)
    if cell.destination == "oci" and media.is_plain_oci_image(stored):
        _unpacked_by_umoci(ours, folder)
    return Verdict(cell, DONE)


def _read_by_skopeo(ours: Run, stored: media.Stored, folder: Path) -> None:
    text = ours.place.text
    if text.startswith("oci") and media.is_docker_manifest(stored):
        text = text.removesuffix(f":{NAME}")  # see make_source
    if media.refers_elsewhere(stored):
        arguments = [peers.SKOPEO, "inspect", "--raw", "--tls-verify=false", text]
        raw = subprocess.run(arguments, capture_output=True, check=False, timeout=60)
        assert raw.returncode == 0, f"Skopeo cannot inspect what we wrote: {raw.stderr.decode()}"
        found = raw.stdout
    else:
        arguments = ["--insecure-policy", "copy", "--all", INSECURE[0], text, f"dir:{folder / 'read'}"]
        code, said = skopeo(arguments, folder / "caches of the reader")
        assert code == 0, f"Skopeo cannot copy what we wrote: {said}"
        found = (folder / "read/manifest.json").read_bytes()
    if stored.manifest is not None:
        assert media.payload(found) == media.payload(stored.manifest), "Skopeo finds another manifest than we do"


def _unpacked_by_umoci(ours: Run, folder: Path) -> None:
    bundle = folder / "bundle"
    command = ["umoci", "unpack", "--rootless", "--image", ours.place.text.removeprefix("oci:"), str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"umoci cannot unpack what we wrote: {done.stderr}"
    for name, data in itertools.chain.from_iterable(layer.items() for layer in files_of()):
        assert (bundle / "rootfs" / name).read_bytes() == data, f"umoci unpacks {name} otherwise"


def main() -> int:
    """Run the whole measure; with ``--more`` also on images that are not part of it."""
    images = ALL_IMAGES if "--more" in sys.argv else IMAGES
    with tempfile.TemporaryDirectory(prefix="transship-matrix-", dir=quick_folder()) as folder:
        os.environ["HOME"] = folder
        with contextlib.closing(Matrix(Path(folder))) as matrix:
            verdicts = [verdict for row in rows(images) for verdict in matrix.judge(row)]
    counts = Counter(verdict.kind for verdict in verdicts)
    print(
        f"{counts[DONE]} done, {counts[REFUSED]} refused as Skopeo does, {counts[OTHER]} other "
        f"({counts[CANNOT_EXIST]} of {len(verdicts)} cannot exist)"
    )
    for verdict in verdicts:
        if verdict.kind == OTHER or ("--verbose" in sys.argv and verdict.kind == REFUSED):
            print(f"  {verdict}")
    return 1 if counts[OTHER] else 0


if __name__ == "__main__":
    sys.exit(main())
