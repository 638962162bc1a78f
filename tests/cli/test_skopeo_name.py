"""The program under the name of Skopeo, as the distribution transship-skopeo installs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import peers
import pytest

from transship import __version__
from transship.cli.application import Application
from transship.cli.main import LIKE_SKOPEO

BIN = Path(sys.executable).parent


def run(*args, program=BIN / "skopeo"):
    return subprocess.run([program, *args], capture_output=True, text=True, check=False)


@pytest.mark.uses("skopeo")
def test_it_is_ours_and_not_the_peer():
    assert os.path.realpath(BIN / "skopeo") != os.path.realpath(peers.SKOPEO)
    assert (BIN / "skopeo").read_bytes().startswith(b"#!")


@pytest.mark.uses("skopeo")
@pytest.mark.parametrize("flags", [["--version"], ["-v"], ["--debug", "--version"]])
def test_version_is_read_by_scripts_as_that_of_skopeo(flags):
    told = run(*flags).stdout
    assert re.match(r"skopeo version (\d+)\.(\d+)\.(\d+)\b", told)
    assert told.endswith(f"(transship version {__version__})\n")


@pytest.mark.interop
def test_the_version_is_that_of_the_peer():
    assert run("--version", program=peers.SKOPEO).stdout.split()[2] == LIKE_SKOPEO


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--help"],
        ["nonsense"],
        ["copy"],
        ["copy", "--help"],
        ["completion"],
        ["completion", "--help"],
        ["policy"],
        ["manifest-digest"],
        ["standalone-sign"],
        ["standalone-verify"],
        ["layers"],
        ["plugins", "nonsense"],
    ],
)
def test_usage_help_and_errors_speak_of_skopeo(capsys, args):
    Application("skopeo").run(args)
    said = "".join(capsys.readouterr())
    assert "transship" not in said
    if args != ["layers"]:
        assert "skopeo" in said or "expected" in said


@pytest.mark.uses("oci")
def test_an_error_in_a_template_names_it(capsys):
    image = Path(__file__).parents[2] / "docs/examples/image"
    Application("skopeo").run(["inspect", "--format", "{{.Nothing}}", f"oci:{image}:hello"])
    assert "skopeo inspect" in capsys.readouterr().err


@pytest.mark.uses("skopeo")
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_for_skopeo(shell):
    script = run("completion", shell).stdout
    assert "_skopeo" in script
    assert "transship" not in script
    assert run("__complete", shell, "insp").stdout == "inspect\n"


@pytest.mark.uses("oci", "skopeo")
@pytest.mark.interop
@pytest.mark.parametrize(
    "args",
    [
        ["inspect", "--raw", "oci:docs/examples/image:hello"],
        ["inspect", "--config", "oci:docs/examples/image:hello"],
        ["inspect", "--nope", "oci:docs/examples/image:hello"],
        ["inspect"],
        ["copy", "a", "b"],
    ],
)
def test_it_says_what_the_peer_says(args):
    ours, theirs = (run(*args, program=program) for program in (BIN / "skopeo", peers.SKOPEO))
    assert ours.returncode == theirs.returncode
    assert ours.stdout == theirs.stdout


def test_a_link_is_enough(tmp_path):
    (tmp_path / "skopeo").symlink_to(BIN / "transship")
    assert run("--version", program=tmp_path / "skopeo").stdout.startswith("skopeo version ")
