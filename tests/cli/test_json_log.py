"""Log lines for machines: one JSON object each."""

from __future__ import annotations

import json

import pytest

from transship.testing.images import oci_image
from transship.testing.registry import Fault, Registry


@pytest.fixture
def registry(transship_registry):
    transship_registry.put_image("app", "v1", oci_image())
    return transship_registry


def told(outcome):
    return [json.loads(line) for line in outcome.err.splitlines()]


@pytest.mark.uses("oci")
@pytest.mark.parametrize("flag", [["--log-format", "json"], ["--log-format=json"]])
@pytest.mark.parametrize("is_first", [True, False])
def test_failure_is_one_object(run, images, flag, is_first):
    command = ["inspect", "oci:layout:none"]
    (line,) = told(run(*flag, *command) if is_first else run(*command, *flag))
    assert (line["level"], line["exit_code"], line["cause"]) == ("fatal", 2, "NotFoundError")
    assert line["msg"] == run(*command).fatal
    assert line["time"]


@pytest.mark.parametrize(
    ("args", "error"),
    [
        ("copy", "UsageError"),
        ("list-tags a b", "UsageError"),
        ("copy --nope", "UsageError"),
        ("nothing-like-it", "UsageError"),
        ("manifest-digest nowhere", "TransshipError"),
    ],
)
def test_wrong_command_line_is_one_object_too(run, images, args, error):
    (line,) = told(run("--log-format=json", *args.split()))
    assert (line["level"], line["error"], line["exit_code"]) == ("fatal", error, 1)


@pytest.mark.uses("dir", "docker")
def test_refusal_of_a_registry_has_status_and_code(run, registry):
    image = f"docker://{registry.host}/app"
    outcome = run("--log-format=json", "copy", "--src-tls-verify=false", f"{image}:none", "dir:nowhere")
    (line,) = told(outcome)
    assert {name: line[name] for name in ("error", "cause", "operation", "side", "status", "code", "exit_code")} == {
        "error": "CopyError",
        "cause": "ManifestUnknownError",
        "operation": "open",
        "side": "source",
        "status": 404,
        "code": "MANIFEST_UNKNOWN",
        "exit_code": 2,
    }
    assert line["url"] == f"http://{registry.host}/v2/app/manifests/none"


@pytest.mark.uses("docker")
def test_failures_of_several_images_are_objects(run, images, registry):
    images = [f"docker://{registry.host}/app:{tag}" for tag in ("none", "v1", "neither")]
    outcome = run("inspect", "--tls-verify=false", "--log-format=json", "--format={{.Digest}}", *images)
    first, second, last = told(outcome)
    assert [first["image"], second["image"]] == [images[0], images[2]]
    assert (first["level"], first["status"], last["level"]) == ("error", 404, "fatal")
    assert outcome.out == f"{oci_image().digest}\n"


def test_warnings_are_objects(run, images):
    first, *_ = told(run("--tls-verify", "--log-format=json", "inspect", "dir:folder"))
    assert first["level"] == "warning"


@pytest.mark.uses("docker")
@pytest.mark.parametrize(("flag", "auth"), [("--creds=u:hunter2", "basic"), ("--registry-token=hunter2", "bearer")])
def test_secrets_stay_out(run, flag, auth):
    with Registry(auth=auth, users={"u": "p"}) as registry:
        echo = b'{"errors":[{"code":"DENIED","message":"not hunter2"}]}'
        registry.add_fault(Fault("/v2/app/*", status=403, body=echo))
        image = f"docker://{registry.host}/app"
        outcome = run("--log-format=json", "--debug", "inspect", "--tls-verify=false", flag, image)
    assert told(outcome)[-1]["status"] == 403
    assert "hunter2" not in outcome.err


@pytest.mark.parametrize("text", ["\x1b[2J", "\u202e", "\udc80", "a\nb"])
def test_odd_characters_are_escaped(run, text):
    outcome = run("--log-format=json", "inspect", f"dir:{text}")
    assert outcome.err.isascii()
    assert len(outcome.err.splitlines()) == 1
    assert json.loads(outcome.err)


def test_unknown_format_is_refused(run):
    outcome = run("--log-format=xml", "plugins")
    assert outcome.code == 1
    assert "xml" in outcome.fatal
