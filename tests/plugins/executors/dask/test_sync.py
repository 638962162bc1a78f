"""transship sync on a Dask cluster, as users start it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from dask_cluster import Cluster

from transship.image.digest import digest_of
from transship.testing.images import oci_image
from transship.testing.registry import Fault, Registry
from transship.testing.writers import write_oci_layout

pytestmark = pytest.mark.uses("dir", "docker", "oci")

COUNT = 16
IMAGES = {f"v{number}": oci_image(architecture=f"arch{number}") for number in range(COUNT)}
INSECURE = ("--src-tls-verify=false", "--dest-tls-verify=false")


@pytest.fixture
def registry():
    """A registry with the images in ``team/app``."""
    with Registry() as registry:
        for tag, image in IMAGES.items():
            registry.put_image("team/app", tag, image)
        yield registry


@pytest.fixture
def start(tmp_path):
    """Starts ``transship sync`` on a cluster."""
    with contextlib.ExitStack() as stack:

        def start_sync(address: str, *arguments: str, policy: str = "--insecure-policy") -> subprocess.Popen:
            command = [sys.executable, "-m", "transship", policy, "sync", "--executor", "dask"]
            command += ["--executor-address", address, *INSECURE, *arguments]
            pipe = subprocess.PIPE
            process = stack.enter_context(
                subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)
            )
            stack.callback(process.kill)
            return process

        yield start_sync


def finished(process: subprocess.Popen) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    return process.returncode, out, err


def assert_complete(registry: Registry, repository: str) -> None:
    for tag, image in IMAGES.items():
        assert registry.tags[repository][tag] == digest_of(image.manifest)
        for digest in image.all_blobs:
            assert digest_of(registry.blobs[repository][digest].read()) == digest


def wait_until(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def pulls(registry: Registry) -> int:
    return sum(record.method == "GET" and "/blobs/" in record.target for record in registry.requests)


def test_output_and_report_are_those_of_one_machine(cluster, start, tmp_path):
    write_oci_layout(IMAGES, tmp_path / "layout")
    told = {}
    for executor in ("threads", "dask"):
        choice = ("--executor", "threads", "--executor-address", "") if executor == "threads" else ()
        places = ("--src", "oci", "--dest", "dir", str(tmp_path / "layout"), str(tmp_path / executor))
        code, out, err = finished(start(cluster.address, *choice, "--report", "report", *places))
        assert code == 0, err
        records = [json.loads(line) for line in (tmp_path / "report").read_text().splitlines()]
        told[executor] = (
            sorted((record["source"], record["status"], record["digest"], record["error"]) for record in records),
            Counter(out.splitlines()),
            Counter(re.sub(r'time="[^"]*"|/[a-z]*/layout:', "", line) for line in err.splitlines()),
            {path.name: path.read_bytes() for path in (tmp_path / executor).rglob("manifest.json")},
        )
    assert told["dask"] == told["threads"]
    assert [status for _, status, _, _ in told["dask"][0]] == ["copied"] * COUNT


def test_worker_that_is_killed_in_the_middle_loses_nothing(registry, start, tmp_path):
    registry.add_fault(Fault(path="/v2/team/app/blobs/*", delay=0.1))
    with Cluster(tmp_path / "cluster", workers=2) as cluster, Registry() as other:
        process = start(
            cluster.address, "--src=docker", "--dest=docker", "--report=report", f"{registry.host}/team/app", other.host
        )
        wait_until(lambda: len(other.tags.get("app", ())) >= 2)
        cluster.workers[0].kill()
        done_before = len(other.tags["app"])
        code, _, err = finished(process)
        assert code == 0, err
        assert done_before < COUNT
        assert_complete(other, "app")
    records = [json.loads(line) for line in (tmp_path / "report").read_text().splitlines()]
    assert len({record["source"] for record in records}) == len(records) == COUNT
    assert {record["status"] for record in records} <= {"copied", "skipped"}


def test_scheduler_that_is_killed_ends_the_run_and_the_next_one_goes_on(registry, start, tmp_path):
    fault = Fault(path="/v2/team/app/blobs/*", delay=0.1)
    registry.add_fault(fault)
    with Registry() as other:
        places = ("--src=docker", "--dest=docker", f"{registry.host}/team/app", other.host)
        with Cluster(tmp_path / "first", workers=1) as cluster:
            process = start(cluster.address, "--keep-going", *places)
            wait_until(lambda: len(other.tags.get("app", ())) >= 2)
            cluster.scheduler.kill()
            code, _, err = finished(process)
        assert code == 1
        assert len([line for line in err.splitlines() if "level=info" not in line]) == 1
        assert cluster.address in err.splitlines()[-1]
        registry.clear_faults()
        with Cluster(tmp_path / "second", workers=1) as cluster:
            code, out, err = finished(start(cluster.address, *places))
        assert code == 0, err
        assert out.count("Skipping: image already present") >= 2
        assert_complete(other, "app")


def test_failure_of_one_image_is_told_as_on_one_machine(cluster, registry, start, tmp_path):
    registry.add_fault(Fault(path="/v2/team/app/manifests/v3", status=403))
    process = start(
        cluster.address,
        *("--src=docker", "--dest=dir", "--keep-going", "--report=report"),
        *(f"{registry.host}/team/app", str(tmp_path / "out")),
    )
    code, _, err = finished(process)
    assert code == 1
    assert len([line for line in err.splitlines() if "level=error" in line and "v3" in line]) == 1
    records = [json.loads(line) for line in (tmp_path / "report").read_text().splitlines()]
    assert Counter(record["status"] for record in records) == {"copied": COUNT - 1, "failed": 1}


def test_workers_find_credentials_where_they_run(start, tmp_path):
    with Registry(auth="basic", users={"worker": "open sesame"}) as registry:
        registry.put_image("team/app", "v1", IMAGES["v1"])
        auth = base64.b64encode(b"worker:open sesame").decode()
        (tmp_path / "config.json").write_text(json.dumps({"auths": {registry.host: {"auth": auth}}}))
        places = ("--src=docker", "--dest=dir", f"{registry.host}/team/app:v1", str(tmp_path / "out"))
        with Cluster(tmp_path / "cluster") as cluster:
            cluster.add_worker(DOCKER_CONFIG=str(tmp_path))
            code, _, err = finished(start(cluster.address, *places))
        assert code == 0, err
    assert (tmp_path / "out/app:v1/manifest.json").read_bytes() == IMAGES["v1"].manifest


_DOCUMENT = "registry.example.com:\n  images: {app: [v1]}\n  credentials: {username: me, password: secret99}\n"


@pytest.mark.parametrize(
    "flags",
    [
        ("--src-creds=me:secret99", "--src=docker", "registry.example.com/app:v1", "/out"),
        ("--src-registry-token=secret99", "--src=docker", "registry.example.com/app:v1", "/out"),
        ("--src=yaml", "images.yaml", "/out"),
    ],
    ids=["creds", "token", "yaml"],
)
def test_secrets_do_not_travel(flags, start, tmp_path):
    (tmp_path / "images.yaml").write_text(_DOCUMENT)
    code, _, err = finished(start("tcp://127.0.0.1:1", "--dest=dir", *flags))
    assert code == 1
    assert "auth files" in err
    assert "secret99" not in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_ends_the_run_and_what_waits_at_the_scheduler(number, cluster, registry, start, tmp_path):
    registry.add_fault(Fault(path="/v2/team/app/blobs/*", delay=0.3))
    process = start(
        cluster.address, "--jobs=16", "--src=docker", "--dest=dir", f"{registry.host}/team/app", str(tmp_path / "out")
    )
    wait_until(lambda: pulls(registry) >= 1)
    begun = time.monotonic()
    process.send_signal(number)
    code, _, err = finished(process)
    assert code == 128 + number
    assert time.monotonic() - begun < 3
    assert "level=fatal" not in err
    wait_until(lambda: cluster.jobs == 0)


def test_time_out_of_the_command_ends_the_run(cluster, registry, start, tmp_path):
    registry.add_fault(Fault(path="/v2/team/app/blobs/*", delay=1.5))
    places = ("--src=docker", "--dest=dir", f"{registry.host}/team/app", str(tmp_path / "out"))
    process = start(cluster.address, "--command-timeout=2s", *places)
    code, _, err = finished(process)
    assert code == 1
    assert "deadline exceeded" in err


def test_sync_without_dask_does_not_import_it(tmp_path):
    write_oci_layout({"v1": IMAGES["v1"]}, tmp_path / "layout")
    code = (
        "import sys; from transship.cli.application import Application;"
        "print(Application().run(sys.argv[1:]), {'dask', 'distributed', 'transship_dask'} & set(sys.modules))"
    )
    arguments = ("--insecure-policy", "sync", "--quiet", "--src=oci", "--dest=dir", "layout", "out")
    shown = subprocess.check_output([sys.executable, "-c", code, *arguments], text=True, cwd=tmp_path)
    assert shown.splitlines()[-1] == "0 set()"
    assert os.path.isdir(tmp_path / "out")
