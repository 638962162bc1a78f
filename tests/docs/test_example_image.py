"""The image that the repository ships is what its script makes, and a good image."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import peers
import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
IMAGE = EXAMPLES / "image"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def made(tmp_path):
    subprocess.run([sys.executable, "-I", EXAMPLES / "make_image.py", tmp_path / "image"], check=True)
    return tmp_path / "image"


def test_the_script_makes_the_image_byte_for_byte(made):
    assert contents(made) == contents(IMAGE)


def test_the_image_is_small():
    assert sum(map(len, contents(IMAGE).values())) < 300 << 10


@pytest.mark.interop
def test_skopeo_copies_all_of_it(tmp_path):
    source, target = f"oci:{IMAGE}:hello-multi", f"dir:{tmp_path / 'copy'}"
    subprocess.run(
        [peers.SKOPEO, "--insecure-policy", "copy", "--all", source, target], check=True, capture_output=True
    )


def test_its_program_says_hello(made, tmp_path):
    layers = [path for path in (made / "blobs" / "sha256").iterdir() if path.read_bytes().startswith(b"\x1f\x8b")]
    machines = {}
    for layer in layers:
        with tarfile.open(layer) as archive:
            if "bin/hello" in archive.getnames():
                program = archive.extractfile("bin/hello").read()
                machines[program[18]] = program
    assert {62: "x86-64", 183: "AArch64"}.keys() == machines.keys()
    own = {"x86_64": 62, "aarch64": 183}.get(platform.machine())
    if own is not None:  # no other machine can run either of them
        path = tmp_path / "hello"
        path.write_bytes(machines[own])
        path.chmod(0o755)
        said = subprocess.run([path], capture_output=True, check=True).stdout
        assert re.fullmatch(rb"Hello .*\n", said)
