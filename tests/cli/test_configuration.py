"""Defaults of flags from a file."""

from __future__ import annotations

import json
import os

import pytest

from transship.cli.application import Application
from transship.cli.configuration import configuration_path

COPY = ("copy", "oci:layout:v1", "oci:target:v1")


@pytest.fixture
def write(images, monkeypatch):
    """Writes the file of defaults to its place; gives the path."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(images / "config"))
    monkeypatch.delenv("TRANSSHIP_CONFIG", raising=False)

    def write(text):
        path = images / "config" / "transship" / "config.toml"
        path.parent.mkdir(parents=True)
        path.write_text(text)
        return path

    return write


def annotations(run):
    return json.loads(run("inspect", "--raw", "oci:target:v1", "--no-config").out).get("annotations", {})


@pytest.mark.uses("oci")
def test_defaults_count_where_the_command_line_is_silent(run, write):
    write('[global]\nlog-level = "error"\n[copy]\nquiet = true\nannotation = ["a=1", "b=2"]\n')
    outcome = run(*COPY)
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert {"a": "1", "b": "2"}.items() <= annotations(run).items()


@pytest.mark.uses("oci")
def test_the_command_line_goes_before_them(run, write):
    write('[copy]\nquiet = true\nannotation = ["a=1"]\n')
    assert run(*COPY, "--quiet=false", "--annotation", "c=3").out
    assert "a" not in annotations(run)
    assert annotations(run)["c"] == "3"


@pytest.mark.uses("oci")
@pytest.mark.parametrize(
    ("default", "flags"),
    [
        ("quiet = true", ["--progress=plain"]),
        ("progress = 'plain'", ["--quiet"]),
        ("report = 'report.json'", ["--json"]),
        ("all = true", ["--multi-arch=system"]),
        ("platform = ['linux/none']", ["--all"]),
        ("src-no-creds = true", ["--src-creds=a:b"]),
    ],
)
def test_a_flag_goes_before_defaults_that_it_excludes(run, write, default, flags):
    write(f"[copy]\n{default}\n")
    assert run(*COPY, *flags).code == 0


@pytest.mark.uses("oci")
def test_defaults_for_one_use_of_a_command_do_not_forbid_the_others(run, write, images):
    write("[plugins]\njson = true\noutput = 'made'\n")
    assert json.loads(run("plugins").out)
    assert json.loads(run("plugins", "show", "transports", "oci").out)["name"] == "oci"
    assert run("plugins", "new", "transport", "acme").code == 0
    assert os.path.exists("made/pyproject.toml")
    assert run("plugins", "--output", "other").code == 1


@pytest.mark.uses("oci")
@pytest.mark.parametrize("how", ["flag", "variable", "name"])
def test_they_can_be_left_out(run, write, monkeypatch, capsys, how):
    write("[copy]\nquiet = true\n")
    if how == "name":
        assert Application("skopeo").run(["--insecure-policy", *COPY]) == 0
        assert capsys.readouterr().out
        return
    if how == "variable":
        monkeypatch.setenv("TRANSSHIP_CONFIG", "")
    assert run(*COPY, *(["--no-config"] if how == "flag" else [])).out


@pytest.mark.uses("oci")
def test_they_are_for_one_command(run, write):
    write('[inspect]\nformat = "{{.Os}}"\n[copy]\nquiet = true\n')
    assert run("inspect", "oci:layout:v1").out == "linux\n"
    assert run("list-tags", "oci:layout").code == 0


@pytest.mark.uses("oci")
def test_log_lines_can_be_json_by_default(run, write):
    write('[global]\nlog-format = "json"\n')
    assert json.loads(run("inspect", "oci:layout:none").err)["exit_code"] == 2


@pytest.mark.parametrize(
    ("text", "line", "hint"),
    [
        ("[copy]\nretry-times = 3\nretry-tims = 3\n", 3, "--retry-times"),
        ("[copy]\nquiet = 'perhaps'\n", 2, "quiet"),
        ("[copy]\nretry-times = 1.5\n", 2, "whole number"),
        ("[copy]\nretry-times = {a = 1}\n", 2, "whole number"),
        ("\n[kopy]\nquiet = true\n", 2, "no command"),
        ("quiet = true\n", 1, "no table"),
        ("[copy]\nsrc-creds = 'a:b'\n", 2, "secret"),
        ("[copy]\ndest-password = 'x'\n", 2, "secret"),
        ("[copy]\nsrc-registry-token = 'x'\n", 2, "secret"),
        ("[copy]\nscreds = 'x'\n", 2, "secret"),
        ("[copy]\nsrc-tls-verify = false\n", 2, "command line"),
        ("[global]\ninsecure-policy = true\n", 2, "command line"),
        ("[copy]\ninsecure-policy = true\n", 2, "command line"),
        ("[copy]\ndebug = true\n", 2, "unknown"),
        ("[global]\nno-config = true\n", 2, "command line"),
        ("[global]\ndebug = false\nlog-level = 'loud'\n", 3, "warn"),
        ("[copy]\nformat = 'v3'\n", 2, "v2s2"),
        ("[copy]\nprogress = 'loud'\n", 2, "plain"),
        ('[copy]\nsrc-cert-dir = "a\\u0000b"\n', 2, "zero"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(run, write, text, line, hint):
    path = write(text)
    outcome = run(*COPY)
    assert outcome.code == 1
    assert outcome.fatal.startswith(f"{path}:{line}: ")
    assert outcome.fatal.count(str(path)) == 1
    assert hint in outcome.fatal
    assert "x" not in outcome.fatal.rpartition(": ")[2].split()
    assert not os.path.exists("target")


@pytest.mark.parametrize("data", [b"[copy\n", b"\xff", b"[a]\n" * 300_000, b"a=" + b"[" * 10_000])
def test_nonsense_is_one_line(run, write, data):
    write("").write_bytes(data)
    outcome = run(*COPY)
    assert outcome.code == 1
    assert "config.toml" in outcome.fatal


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_refused_and_not_waited_for(run, write, make):
    path = write("")
    path.unlink()
    make(path)
    assert str(path) in run(*COPY).fatal


@pytest.mark.uses("oci")
def test_the_null_device_says_nothing(run, write):
    path = write("")
    path.unlink()
    path.symlink_to(os.devnull)
    assert run(*COPY).code == 0


@pytest.mark.uses("oci")
def test_a_file_that_is_named_may_be_a_pipe(run, images, monkeypatch):
    reading, writing = os.pipe()
    os.write(writing, b"[copy]\nquiet = true\n")
    os.close(writing)
    monkeypatch.setenv("TRANSSHIP_CONFIG", f"/dev/fd/{reading}")
    outcome = run(*COPY)
    os.close(reading)
    assert (outcome.code, outcome.out) == (0, "")


def test_a_file_that_is_named_must_be_there(run, images, monkeypatch):
    monkeypatch.setenv("TRANSSHIP_CONFIG", "nowhere.toml")
    assert "nowhere.toml" in run(*COPY).fatal


def test_help_is_shown_whatever_it_says(run, write):
    write("[copy]\nnonsense = 1\n")
    assert run("copy", "--help", policy=True).code == 0


@pytest.mark.parametrize(
    ("environment", "path"),
    [
        ({"HOME": "/h"}, ("/h/.config/transship/config.toml", False)),
        ({"HOME": "/h", "XDG_CONFIG_HOME": "/x"}, ("/x/transship/config.toml", False)),
        ({"HOME": "/h", "XDG_CONFIG_HOME": "relative"}, ("/h/.config/transship/config.toml", False)),
        ({"HOME": "relative"}, ("", False)),
        ({"HOME": "/h", "TRANSSHIP_CONFIG": "mine"}, ("mine", True)),
    ],
)
def test_where_it_is(monkeypatch, environment, path):
    for name in ("HOME", "XDG_CONFIG_HOME", "TRANSSHIP_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert configuration_path() == path
