"""The program, run in this process, and small images to run it on."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios
import threading

import pytest

from transship.cli.application import Application
from transship.testing.images import docker_list, oci_image, oci_index, schema1_image, schema2_image
from transship.testing.writers import write_dir, write_docker_archive, write_oci_layout


@pytest.fixture
def run(transship_cli):
    """Runs ``transship`` with the arguments given; no policy is checked."""
    return lambda *args, policy=False: transship_cli(*args, *(["--insecure-policy"] if args and not policy else []))


@pytest.fixture
def on_terminal(monkeypatch):
    """Runs ``transship`` with a list of arguments, and gives what its terminal gets; the command must succeed."""

    def shown(arguments):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        pieces = []

        def read():
            try:
                while piece := os.read(master, 4096):
                    pieces.append(piece)
            except OSError:  # the other side was closed
                return

        reader = threading.Thread(target=read)
        reader.start()
        with open(slave, "w", encoding="utf-8") as terminal:
            monkeypatch.setattr(sys, "stdout", terminal)
            code = Application().run(["--insecure-policy", *arguments])
        reader.join()
        os.close(master)
        assert code == 0
        return b"".join(pieces).decode().replace("\r\n", "\n")

    return shown


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
