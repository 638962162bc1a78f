"""Whatever is wrong with a source: one line, the right exit code, and a destination that nobody has touched."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from broken_media import CASES
from processes import Finished, Nursery

from transship.testing.images import oci_image
from transship.testing.writers import write_dir, write_docker_archive, write_oci_archive, write_oci_layout

TIMEOUT = 30
MEMORY = 256 << 20
DESTINATIONS = ("dir", "oci", "oci-archive", "docker-archive")
FATAL = re.compile(r'time="[^"]+" level=fatal msg=.+\n')

WARM_UP = """
for place in ("dir:/dev/null", "oci:/dev/null", "oci-archive:/dev/null", "docker-archive:/dev/null"):
    for command in (["copy", place, place], ["inspect", place], ["list-tags", place], ["delete", place]):
        Application().run(["--insecure-policy", *command])
"""


@pytest.fixture(scope="module")
def nurseries():
    started = [Nursery(WARM_UP, timeout=TIMEOUT), Nursery(WARM_UP, timeout=TIMEOUT)]
    yield started
    for nursery in started:
        nursery.close()


def write_old_image(transport: str, path: Path) -> None:
    image = oci_image(architecture="arm64", variant="v8")
    match transport:
        case "dir":
            write_dir(image, path)
        case "oci":
            write_oci_layout({"old": image}, path)
        case "oci-archive":
            write_oci_archive({"old": image}, path)
        case "docker-archive":
            write_docker_archive({"example.org/app:old": image}, path)


def destination(transport: str, path: Path) -> str:
    suffix = {"dir": "", "docker-archive": ":example.org/app:new"}.get(transport, ":new")
    return f"{transport}:{path}{suffix}"


def everything_below(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }


def check_copy(nursery: Nursery, folder: Path, source: str, transport: str, *, over_old: bool, code: int) -> None:
    """Copy, and check that it failed without a trace."""
    place = folder / ("over-old" if over_old else "absent")
    place.mkdir()
    if over_old:
        write_old_image(transport, place / "image")
    before = everything_below(place)
    options = ("--dest-opt", "append=true") if transport == "docker-archive" and over_old else ()
    outcome = nursery.transship(folder, "copy", *options, source, destination(transport, place / "image"))
    assert everything_below(place) == before
    assert outcome.code == code, outcome
    check_refused(outcome)


def check_refused(outcome: Finished) -> None:
    assert FATAL.fullmatch(outcome.stderr), outcome
    assert outcome.code in (1, 2), outcome
    assert outcome.peak <= MEMORY


def other_commands(source: str) -> Iterator[tuple[str, str]]:
    """What reads only a part of the image, and need not see what is wrong with the rest."""
    transport, _, text = source.partition(":")
    yield "inspect", source
    if transport != "dir":
        yield "list-tags", f"{transport}:{text.partition(':')[0]}"
    if transport == "oci":
        yield "delete", source


@pytest.mark.parametrize("name", CASES)
def test_broken_image_is_refused_without_a_trace(tmp_path, nurseries, name):
    broken = CASES[name]
    (tmp_path / "source").mkdir()
    source = broken.make(tmp_path / "source")
    transport = broken.destination or DESTINATIONS[list(CASES).index(name) % len(DESTINATIONS)]
    with ThreadPoolExecutor(2) as pool:
        copies = [
            pool.submit(check_copy, nursery, tmp_path, source, transport, over_old=over_old, code=broken.code)
            for nursery, over_old in zip(nurseries, (False, True), strict=True)
        ]
        for future in copies:
            future.result()
    for command in other_commands(source):
        outcome = nurseries[0].transship(tmp_path, *command)
        if outcome.code or outcome.stderr:
            check_refused(outcome)


@pytest.mark.parametrize(
    "name", ["oci: index.json no JSON", "oci: layer missing", "docker-archive: no tar", "dir: layer cut"]
)
def test_program_started_anew_says_one_line_too(tmp_path, name):
    source = CASES[name].make(tmp_path)
    command = [sys.executable, "-m", "transship", "--insecure-policy", "copy", source, f"oci:{tmp_path}/new"]
    process = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert process.returncode == 1
    assert FATAL.fullmatch(process.stderr)
    assert not (tmp_path / "new").exists()
