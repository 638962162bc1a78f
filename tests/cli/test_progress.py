"""What a copy and a sync show while they run, as ``--progress`` asks for."""

from __future__ import annotations

import io
import json
import re
import signal
import sys
import threading
import time

import pytest

from transship.cli import progress
from transship.cli.bars import BlobBars
from transship.cli.output import Log
from transship.image.digest import digest_of
from transship.plugin.events import BlobProgress, BlobStarted
from transship.testing.images import oci_image
from transship.testing.registry import Registry

pytestmark = pytest.mark.uses("dir", "oci")

COPY = ("copy", "oci:layout:v1", "dir:target")
SYNC = ("sync", "--src", "oci", "--dest", "dir", "layout", "out")
BOTH = pytest.mark.parametrize("command", [COPY, SYNC], ids=["copy", "sync"])


def records(outcome):
    return [json.loads(line) for line in outcome.err.splitlines() if line.startswith("{")]


@BOTH
def test_without_the_flag_there_are_skopeos_lines(run, images, command):
    lines = run(*command).lines
    assert "Writing manifest to image destination" in lines
    assert lines[0] == "Getting image source signatures"


@BOTH
@pytest.mark.parametrize("flags", [["--progress", "none"], ["--quiet"], ["-q", "--progress=none"]])
def test_none_is_quiet(run, images, command, flags):
    outcome = run(*command, *flags)
    assert (outcome.code, outcome.out) == (0, "")


@BOTH
def test_json_is_a_line_for_each_moment_on_standard_error(run, images, command):
    outcome = run(*command, "--progress", "json")
    assert (outcome.code, outcome.out) == (0, "")
    told = records(outcome)
    names = [record["event"] for record in told]
    assert names.index("image-started") < names.index("blob-started") < names.index("writing-manifest")
    assert all(record["time"] for record in told)
    config = next(each for each in told if each["event"] == "blob-started" and each["is_config"])
    mine = (config["image"], config["key"])
    (finished,) = [each for each in told if each["event"] == "blob-finished" and (each["image"], each["key"]) == mine]
    assert finished["digest"] == config["digest"]


def test_json_tells_of_a_judgement_what_the_record_of_the_copy_does(run, images, tmp_path):
    told = records(run(*COPY, "--progress", "json", "--report", str(tmp_path / "report.json")))
    (judged,) = [each for each in told if each["event"] == "image-judged"]
    (recorded,) = json.loads((tmp_path / "report.json").read_text())["judged"]
    assert recorded["requirements"]
    assert {name: judged[name] for name in recorded} == recorded


def test_json_of_a_sync_tells_which_image_each_moment_is_of(run, images):
    told = records(run(*SYNC, "--progress", "json", "--jobs", "2"))
    assert {each["source"] for each in told} == {f"oci:layout:{tag}" for tag in ("v1", "plain", "zstd", "index")}
    finished = [each for each in told if each["event"] == "job-finished"]
    assert [each["status"] for each in finished] == ["copied"] * 4


def test_json_and_json_log_lines_can_be_told_apart(run, images):
    outcome = run(*SYNC, "--progress=json", "--log-format=json")
    told = [json.loads(line) for line in outcome.err.splitlines()]
    assert all(("level" in each) is ("event" not in each) for each in told)
    assert any("level" in each for each in told)


@pytest.mark.uses("docker")
@pytest.mark.parametrize("way", ["plain", "json"])
@BOTH
def test_a_long_copy_says_how_far_it_is(run, images, monkeypatch, command, way):
    monkeypatch.setattr(progress, "_PLAIN_INTERVAL", 0.05)
    with Registry() as registry:
        registry.put_image("app", "v1", oci_image(compression=""))
        if command is COPY:
            moves = ["copy", f"docker://{registry.host}/app:v1", "dir:target", "--limit-rate", "20k"]
        else:
            moves = ["sync", "--src=docker", "--dest=dir", f"{registry.host}/app", "out", "--src-opt=limit-rate=20k"]
        outcome = run(*moves, "--src-tls-verify=false", "--progress", way)
    assert outcome.code == 0
    if way == "plain":
        lines = outcome.lines
        assert sum("blobs done" in line for line in lines) >= 2
        assert [line for line in lines if "blobs done" not in line][-1:] == ["Writing manifest to image destination"]
    else:
        assert [each for each in records(outcome) if each["event"] == "blob-progress" and each["done"] > 0]


@BOTH
@pytest.mark.parametrize(
    ("flags", "hint"),
    [
        (["--progress", "bar"], "plain"),
        (["--progress", "fancy"], "auto, bar, plain, json, none"),
        (["--progress", "plain", "--quiet"], "--quiet"),
        (["--progress", "bar", "-q"], "--quiet"),
    ],
)
def test_what_makes_no_sense_is_refused(run, images, command, flags, hint):
    outcome = run(*command, *flags)
    assert outcome.code == 1
    assert hint in outcome.fatal
    assert not (images / "target").exists()


@pytest.mark.uses("docker-archive")
def test_progress_does_not_spoil_an_archive_on_standard_output(run, images):
    command = ("copy", "oci:layout:v1", "docker-archive:/dev/stdout", "--progress", "plain")
    assert "standard output" in run(*command).fatal


@pytest.mark.parametrize("flags", [[], ["--progress", "bar"]])
def test_a_terminal_gets_bars_in_a_copy(images, on_terminal, flags):
    shown = on_terminal([*COPY, *flags])
    assert "Copying blob" in shown
    assert " done " in shown
    assert shown.endswith("\r\x1b[J")


def test_a_bar_on_a_narrow_terminal_leaves_out_what_does_not_fit(images, on_terminal, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    bars = [line for line in drawn(on_terminal([*COPY, "--progress", "bar"])) if "%" in line]
    assert bars
    assert all(len(bar) <= 40 and bar.endswith("|") for bar in bars)


def test_a_bar_becomes_as_narrow_as_its_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "100")
    bars = BlobBars(Log())
    bars.observe(BlobStarted("", 1, digest_of(b""), 1000, is_config=False))
    monkeypatch.setenv("COLUMNS", "50")
    time.sleep(0.15)  # it is not drawn more often
    bars.observe(BlobProgress("", 1, 500))
    bars.close()
    first, *_, last = [line for line in drawn(capsys.readouterr().out) if "%" in line]
    assert (len(first) <= 100, len(last) <= 50) == (True, True)
    assert len(first) > 50


@pytest.fixture
def interruptible():
    """Has Ctrl-C do here what it does in Python, whatever a command of an earlier test has left."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_waits_for_what_is_being_drawn(monkeypatch, interruptible):
    class Screen(io.StringIO):
        def write(self, text):
            if "blob" in text:
                signal.raise_signal(signal.SIGINT)
            return super().write(text)

    bars = BlobBars(Log())
    screens = []
    for key in (1, 2):  # the second is drawn one line below, and then the cursor goes back
        monkeypatch.setattr(sys, "stdout", Screen())
        with pytest.raises(KeyboardInterrupt):
            bars.observe(BlobStarted("", key, digest_of(b""), 1000, is_config=False))
        screens.append(sys.stdout.getvalue())
    bars.close()
    assert screens[0].rstrip().endswith("]")
    assert screens[1].count("\n") == screens[1].count("\x1b[A") == 1


def test_a_terminal_that_is_stuck_is_not_waited_for(monkeypatch, interruptible):
    class Screen(io.StringIO):
        is_stuck = True

        def write(self, text):
            if self.is_stuck:
                time.sleep(10)
            return super().write(text)

    monkeypatch.setattr(sys, "stdout", Screen())
    bars = BlobBars(Log())
    begin = time.monotonic()
    threading.Timer(0.1, signal.pthread_kill, (threading.get_ident(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        bars.observe(BlobStarted("", 1, digest_of(b""), 1000, is_config=False))
    assert time.monotonic() - begin < 5
    sys.stdout.is_stuck = False
    bars.close()


def drawn(shown):
    """The lines on a terminal, each as it was drawn anew."""
    return [line.rstrip() for line in re.split(r"[\r\n]|\x1b\[[A-Z]", shown)]


def test_a_terminal_gets_one_bar_in_a_sync_if_asked_for(images, on_terminal):
    shown = on_terminal([*SYNC, "--progress", "bar"])
    assert "4 images done, 0 under way" in shown
    assert shown.rpartition("\x1b[J")[0].rstrip().splitlines()[-1].startswith("bytes ")


@BOTH
def test_bars_that_nothing_can_draw_are_refused(images, monkeypatch, on_terminal, command, capfd):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(AssertionError):
        on_terminal([*command, "--progress", "bar"])
    assert "tqdm" in capfd.readouterr().err
    shown = on_terminal(list(command))
    assert "Writing manifest to image destination" in shown
