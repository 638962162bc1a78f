"""The program, run in this process, and small images to run it on."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass

import pytest

from transship.cli.application import Application
from transship.testing.images import docker_list, oci_image, oci_index, schema1_image, schema2_image
from transship.testing.writers import write_dir, write_docker_archive, write_oci_layout


@dataclass
class Outcome:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def fatal(self) -> str:
        """The one fatal line's message, as it was quoted."""
        (message,) = re.findall(r'level=fatal msg=(?:"(.*)"|(\S+))$', self.err, re.MULTILINE)
        return (message[0] or message[1]).replace('\\"', '"').replace("\\n", "\n").replace("\\t", "\t")


@pytest.fixture
def run(capsys):
    """Runs ``transship`` with the arguments given; no policy is checked."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run_with(*args: str, policy: bool = False) -> Outcome:
        capsys.readouterr()
        code = Application().run([*args] if policy or not args else [*args, "--insecure-policy"])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    yield run_with
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def images(tmp_path, monkeypatch):
    """The current folder, with images in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    write_oci_layout(
        {
            "v1": oci_image(),
            "plain": oci_image(compression=""),
            "zstd": oci_image(compression="zstd"),
            "index": oci_index(),
        },
        tmp_path / "layout",
    )
    write_dir(schema2_image(), tmp_path / "folder")
    write_dir(schema1_image(), tmp_path / "old")
    write_dir(docker_list(), tmp_path / "list")
    write_docker_archive({"example.com/app:1.0": schema2_image()}, tmp_path / "archive.tar")
    return tmp_path
