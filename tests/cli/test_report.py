"""copy --report: a record of what happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime

import pytest

from transship.cli.application import Application

pytestmark = pytest.mark.uses("dir", "oci")

IDENTITY = "example.com/app:1.0"


@pytest.fixture
def reported(run, images, seal, monkeypatch):
    """Copies, and reads the record of it."""
    (images / "seal.key").write_bytes(b"open sesame")
    original = Application.__init__

    def init(self) -> None:
        original(self)
        self.manager.register(seal)

    monkeypatch.setattr(Application, "__init__", init)

    def copy(*args: str, **settings):
        outcome = run("copy", "--report", "report.json", *args, **settings)
        return outcome, json.loads((images / "report.json").read_bytes())

    return copy


def digest_in(folder: str) -> str:
    from transship.image.digest import digest_of

    with open(f"{folder}/manifest.json", "rb") as file:
        return str(digest_of(file.read()))


def test_record_has_what_an_audit_asks_for(reported):
    flags = ("--sign-with", "seal=seal.key", "--sign-identity", IDENTITY, "--format", "v2s2")
    outcome, record = reported(*flags, "oci:layout:v1", "dir:out")
    assert outcome.code == 0
    assert (record["succeeded"], record["error"], record["policy"]) == (True, "", "--insecure-policy")
    assert record["source"] == "oci:layout:v1"
    (judged,) = record["judged"]
    assert (judged["digest"], judged["scope"], judged["accepted"]) == (record["source_digest"], "default", True)
    assert judged["requirements"][0]["type"] == "insecureAcceptAnything"
    (destination,) = record["destinations"]
    after = digest_in("out")
    assert destination["destination"] == "dir:out"
    assert destination["digest"] == after != record["source_digest"]
    assert destination["signatures"] == [{"digest": after, "mechanism": "seal", "identity": IDENTITY}]
    assert destination["blobs_written"] > 0
    assert datetime.fromisoformat(record["started"]) <= datetime.fromisoformat(record["finished"])


def test_every_instance_and_destination_is_in_it(reported):
    _, record = reported("--all", "--also-to", "dir:second", "oci:layout:index", "dir:first")
    assert len(record["judged"]) > 1
    assert [each["destination"] for each in record["destinations"]] == ["dir:first", "dir:second"]


def test_refusal_is_recorded(reported, images):
    (images / "policy.json").write_text('{"default": [{"type": "reject"}]}')
    outcome, record = reported("--policy", "policy.json", "oci:layout:v1", "dir:out", policy=True)
    assert outcome.code == 1
    assert (record["succeeded"], record["error"]) == (False, outcome.fatal)
    assert [judged["accepted"] for judged in record["judged"]] == [False]
    assert record["destinations"] == [{"destination": "dir:out"}]


@pytest.mark.parametrize(
    "args", [["oci:layout:none", "dir:out"], ["--sign-with", "seal=none", "dir:folder", "dir:out"]]
)
def test_failure_is_recorded(reported, args):
    outcome, record = reported(*args)
    assert outcome.code != 0
    assert (record["succeeded"], record["error"]) == (False, outcome.fatal)


def test_dry_run_is_recorded_as_one(reported):
    _, record = reported("--dry-run", "oci:layout:v1", "dir:out")
    assert (record["dry_run"], record["succeeded"]) == (True, True)
    assert not os.path.exists("out")


def test_path_that_cannot_be_written_fails_before_the_copy(run, images):
    outcome = run("copy", "--report", "nowhere/report.json", "oci:layout:v1", "dir:out")
    assert outcome.code == 1
    assert "nowhere" in outcome.fatal
    assert not os.path.exists("out")


def test_record_that_cannot_be_finished_fails_with_its_path(run, images):
    outcome = run("copy", "--report", "/dev/full", "oci:layout:v1", "dir:out")
    assert outcome.code == 1
    assert "/dev/full" in outcome.fatal


def test_record_may_go_to_standard_output(images):
    flags = ["--insecure-policy", "copy", "-q", "--report", "/dev/stdout", "dir:folder", "dir:out"]
    told = subprocess.run([sys.executable, "-m", "transship", *flags], capture_output=True, check=True)
    assert json.loads(told.stdout)["succeeded"]


def test_control_characters_do_not_reach_a_terminal(reported, images):
    name = "oci:no\x9b31m\u202e\x85layout:v1"
    _, record = reported(name, "dir:out")
    assert record["source"] == name
    assert (images / "report.json").read_bytes().isascii()


def test_link_keeps_leading_nowhere_else(reported, images):
    (images / "real.json").write_text("old")
    (images / "report.json").symlink_to("real.json")
    reported("oci:layout:v1", "dir:out")
    assert (images / "real.json").read_text() == "old"
