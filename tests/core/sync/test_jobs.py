"""Jobs that travel, and what comes of them where they run."""

from __future__ import annotations

import json
import pickle

import pytest

from transship.copy.options import CopyOptions, MultiArch
from transship.discovery import PluginManager
from transship.errors import CancelledError, UnsupportedError
from transship.image.platform import Platform
from transship.plugin.cancellation import Cancellation
from transship.plugin.credentials import Credentials
from transship.policy.document import ACCEPT_ALL
from transship.retry import Retries
from transship.sync.elsewhere import run_elsewhere
from transship.sync.jobs import CopyJob, Status, run_job
from transship.sync.sides import Side, Workplace, WorkplaceSettings
from transship.testing.images import oci_image
from transship.testing.writers import write_oci_layout


@pytest.fixture
def workplace():
    workplace = Workplace(PluginManager(), ACCEPT_ALL, secrets={"mine": Credentials("me", "hush")})
    yield workplace
    workplace.close()


@pytest.fixture
def layout(tmp_path):
    write_oci_layout({"v1": oci_image()}, tmp_path / "layout")
    return tmp_path


def job_in(folder, tag: str = "v1", **settings) -> CopyJob:
    return CopyJob(f"oci:{folder}/layout:{tag}", f"dir:{folder}/out/{tag}", CopyOptions(), **settings)


def test_a_job_can_be_pickled():
    options = CopyOptions(MultiArch.PLATFORMS, platforms=(Platform("linux", "amd64"),), annotations={"a": "b"})
    side = Side((("tls-verify", "false"),), anonymous=True, secret="name")  # noqa: S106 - only its name
    job = CopyJob("docker://a", "dir:b", options, side, side, Retries(3, 0.5), rechecks=True, updates=True)
    assert pickle.loads(pickle.dumps(job)) == job  # noqa: S301 - our own


@pytest.mark.uses("dir", "oci")
def test_a_job_says_what_came_of_it(workplace, layout):
    outcome, _ = run_job(job_in(layout), workplace, lambda event: None)
    image = oci_image()
    assert (outcome.status, outcome.digest, outcome.blobs_written) == (Status.COPIED, image.digest, len(image.blobs))
    assert outcome.bytes_written == sum(map(len, image.blobs.values()))


@pytest.mark.uses("dir", "oci")
def test_to_run_a_job_twice_does_no_harm(workplace, layout):
    job = job_in(layout, updates=True)
    statuses = [run_job(job, workplace, lambda event: None).outcome.status for _ in range(2)]
    assert statuses == [Status.COPIED, Status.SKIPPED]


@pytest.mark.uses("dir", "oci")
def test_a_failure_is_one_line_that_can_be_pickled(workplace, layout):
    result = run_job(job_in(layout, "none"), workplace, lambda event: None)
    assert (result.outcome.status, result.outcome.not_found, "\n" in result.outcome.error) == (
        Status.FAILED,
        True,
        False,
    )
    assert pickle.loads(pickle.dumps(result)) == result  # noqa: S301 - our own


def test_a_cancelled_job_is_no_failure_of_its_image(layout):
    cancellation = Cancellation()
    cancellation.cancel()
    workplace = Workplace(PluginManager(), ACCEPT_ALL, cancellation)
    with pytest.raises(CancelledError):
        run_job(job_in(layout), workplace, lambda event: None)


@pytest.mark.uses("dir", "oci")
def test_in_another_process_a_job_tells_what_happened(layout):
    settings = WorkplaceSettings(insecure_policy=True)
    result = run_elsewhere(job_in(layout, updates=True), settings)
    assert result.outcome.status is Status.COPIED
    assert result.events
    assert pickle.loads(pickle.dumps(result)).outcome == result.outcome  # noqa: S301 - our own


@pytest.mark.uses("dir", "oci")
def test_the_policy_there_decides(layout, monkeypatch):
    monkeypatch.setenv("HOME", str(layout))
    (layout / "policy.json").write_text('{"default": [{"type": "reject"}]}')
    result = run_elsewhere(job_in(layout), WorkplaceSettings(str(layout / "policy.json")))
    assert result.outcome.status is Status.FAILED
    assert "rejected" in result.outcome.error


@pytest.mark.uses("dir", "oci")
def test_the_policy_there_counts_as_it_is_when_a_job_begins(layout):
    path = layout / "policy.json"
    statuses = []
    for kind in ("insecureAcceptAnything", "reject"):
        path.write_text(json.dumps({"default": [{"type": kind}]}))
        result = run_elsewhere(job_in(layout, updates=True, rechecks=True), WorkplaceSettings(str(path)))
        statuses.append(result.outcome.status)
    assert statuses == [Status.COPIED, Status.FAILED]


@pytest.mark.uses("dir", "oci")
def test_a_scope_of_the_policy_there_that_can_never_match_is_an_error(layout):
    accept = [{"type": "insecureAcceptAnything"}]
    document = {"default": accept, "transports": {"oci": {f"{layout}/layout/": [{"type": "reject"}]}}}
    (layout / "policy.json").write_text(json.dumps(document))
    result = run_elsewhere(job_in(layout), WorkplaceSettings(str(layout / "policy.json")))
    assert result.outcome.status is Status.FAILED
    assert "invalid policy" in result.outcome.error


def test_credentials_stay_in_the_process_that_has_them(workplace):
    side = Side(secret="mine")  # noqa: S106 - only its name
    assert workplace.context("source", side).credentials == Credentials("me", "hush")
    assert b"hush" not in pickle.dumps(side)
    elsewhere = Workplace(PluginManager(), ACCEPT_ALL)
    with pytest.raises(UnsupportedError):
        elsewhere.context("source", side)


def test_one_side_is_one_context(workplace):
    side = Side((("tls-verify", "false"),))
    context = workplace.context("source", side)
    assert workplace.context("source", Side((("tls-verify", "false"),))) is context
    assert workplace.context("destination", side) is not context
    assert workplace.context("source", side.with_options({"tls-verify": "true"})) is not context
