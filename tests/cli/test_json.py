"""Results for programs: ``--json``."""

from __future__ import annotations

import json

import pytest


def test_digest_of_a_manifest(run, images):
    digest = run("manifest-digest", "folder/manifest.json").out.strip()
    assert json.loads(run("manifest-digest", "--json", "folder/manifest.json").out) == {"digest": digest}


@pytest.mark.uses("dir", "oci")
def test_record_of_a_copy(run, images):
    outcome = run("copy", "--json", "oci:layout:v1", "dir:target")
    record = json.loads(outcome.out)
    assert record["succeeded"]
    assert record["destinations"][0]["digest"] == run("manifest-digest", "target/manifest.json").out.strip()


@pytest.mark.uses("dir", "oci")
def test_record_of_a_copy_that_fails(run, images):
    outcome = run("copy", "--json", "oci:layout:none", "dir:target")
    assert outcome.code == 2
    assert not json.loads(outcome.out)["succeeded"]


@pytest.mark.uses("dir", "oci")
def test_record_of_a_dry_run(run, images):
    assert json.loads(run("copy", "--json", "--dry-run", "oci:layout:v1", "dir:target").out)["dry_run"]


@pytest.mark.uses("dir", "oci")
def test_a_record_is_added_to_what_is_in_a_file(images):
    import subprocess
    import sys

    with open("log", "w") as file:
        file.write("before\n")
        file.flush()
        command = [sys.executable, "-m", "transship", "--insecure-policy", "copy", "--json", "oci:layout:v1", "dir:t"]
        subprocess.run(command, stdout=file, check=True)
    with open("log") as file:
        before, _, record = file.read().partition("\n")
    assert before == "before"
    assert json.loads(record)["succeeded"]


@pytest.mark.uses("dir", "oci")
def test_lines_of_a_sync(run, images):
    outcome = run("sync", "--json", "--src", "oci", "--dest", "dir", "layout", "out")
    assert [json.loads(line)["status"] for line in outcome.lines] == ["copied"] * 4


@pytest.mark.uses("oci")
def test_images_that_were_deleted(run, images):
    outcome = run("delete", "--json", "oci:layout:v1", "oci:layout:none")
    assert outcome.code == 1
    told = json.loads(outcome.out)
    assert [(each["image"], each["deleted"]) for each in told] == [("oci:layout:v1", True), ("oci:layout:none", False)]
    assert [bool(each["error"]) for each in told] == [False, True]


@pytest.mark.uses("dir", "oci")
@pytest.mark.parametrize("command", ["copy oci:layout:v1 dir:t", "sync --src oci --dest dir layout out"])
@pytest.mark.parametrize("flags", ["--report file", "--progress plain"])
def test_what_else_would_go_there_is_refused(run, images, command, flags):
    outcome = run(*command.split(), "--json", *flags.split())
    assert (outcome.code, outcome.out) == (1, "")


@pytest.mark.uses("docker-archive", "oci")
def test_an_image_on_standard_output_is_not_spoilt(run, images):
    assert run("copy", "--json", "oci:layout:v1", "docker-archive:/dev/stdout").code == 1
