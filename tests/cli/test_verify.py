"""transship verify: what the policy would say."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from transship.cli.application import Application

pytestmark = pytest.mark.uses("dir", "oci")

IDENTITY = "example.com/app:1.0"


@pytest.fixture
def signed(run, images, seal, monkeypatch):
    """Runs transship with a policy that wants seals; ``dir:signed`` has one, ``dir:members`` is an index with them."""
    (images / "seal.key").write_bytes(b"open sesame")
    original = Application.__init__

    def init(self) -> None:
        original(self)
        self.manager.register(seal)

    monkeypatch.setattr(Application, "__init__", init)
    flags = ("-q", "--sign-with", "seal=seal.key", "--sign-identity", IDENTITY)
    assert run("copy", *flags, "oci:layout:v1", "dir:signed").code == 0
    assert run("copy", *flags, "--all", "oci:layout:index", "dir:members").code == 0
    identity = {"type": "exactRepository", "dockerRepository": "example.com/app"}
    sealed = {"type": "sealedBy", "keyPath": str(images / "seal.key"), "signedIdentity": identity}
    (images / "policy.json").write_text(
        json.dumps({"default": [{"type": "reject"}], "transports": {"dir": {str(images): [sealed]}}})
    )
    return lambda *args: run("--policy", "policy.json", *args, policy=True)


def test_accepted_image_is_told_with_scope_and_signer(signed, images):
    outcome = signed("verify", "dir:signed")
    assert (outcome.code, outcome.err) == (0, "")
    digest = json.loads(signed("verify", "--json", "dir:signed").out)[0]["judged"][0]["digest"]
    assert outcome.lines == [
        "dir:signed",
        f"  {digest}",
        f'    scope: dir "{images}"',
        "    sealedBy: accepts",
        f"      seal: good, made by {images}/seal.key, for {IDENTITY}",
        "    accepted",
    ]


def test_refused_image_is_told_with_the_reason(signed):
    outcome = signed("verify", "dir:folder")
    assert outcome.code == 1
    assert outcome.lines[-1] == "    refused: A signature was required, but no signature exists"
    assert outcome.fatal.endswith("is not accepted: A signature was required, but no signature exists")


def test_default_is_told(signed):
    outcome = signed("verify", "oci:layout:v1")
    assert outcome.lines[2:] == [
        "    scope: default",
        "    reject: refuses: Running image oci:layout:v1 is rejected by policy.",
        "    refused: Running image oci:layout:v1 is rejected by policy.",
    ]


def test_bad_signature_is_told(signed):
    with open("signed/signature-1", "ab") as file:
        file.write(b" ")
    outcome = signed("verify", "dir:signed")
    assert outcome.code == 1
    assert "      seal: refused: the seal is broken" in outcome.lines


def test_json_has_everything(signed, images):
    (record,) = json.loads(signed("verify", "--json", "dir:signed").out)
    (judged,) = record.pop("judged")
    assert record == {"image": "dir:signed", "accepted": True, "error": "", "policy": "policy.json"}
    assert judged["scope"] == f'dir "{images}"'
    assert judged["requirements"] == [
        {
            "type": "sealedBy",
            "accepted": True,
            "reason": "",
            "signatures": [
                {
                    "format": "seal",
                    "accepted": True,
                    "reason": "",
                    "signer": f"{images}/seal.key",
                    "identity": IDENTITY,
                }
            ],
        }
    ]


@pytest.mark.parametrize("flags", [[], ["--override-arch", "arm64"]])
def test_of_an_index_the_instance_of_the_platform_is_judged(signed, flags):
    (record,) = json.loads(signed(*flags, "verify", "--json", "dir:members").out)
    (judged,) = record["judged"]
    assert record["accepted"]
    if flags:
        assert judged["platform"].startswith("linux/arm64")


def test_with_all_every_instance_is_judged(signed):
    (record,) = json.loads(signed("verify", "--all", "--json", "dir:members").out)
    assert record["accepted"]
    assert len(record["judged"]) == len(json.loads(Path("members/manifest.json").read_bytes())["manifests"])


def test_one_refused_instance_refuses_the_index(signed):
    digest = json.loads(Path("members/manifest.json").read_bytes())["manifests"][-1]["digest"]
    os.unlink(f"members/{digest.removeprefix('sha256:')}.signature-1")
    assert signed("verify", "--all", "dir:members").code == 1


def test_several_images_are_all_told(signed):
    outcome = signed("verify", "dir:signed", "dir:folder", "dir:members")
    assert outcome.code == 1
    assert [line for line in outcome.lines if not line.startswith(" ")] == ["dir:signed", "dir:folder", "dir:members"]
    assert outcome.fatal == "1 of 3 images are not accepted"


def test_missing_image_is_exit_2_also_among_others(signed):
    assert signed("verify", "oci:layout:none").code == 2
    outcome = signed("verify", "dir:signed", "oci:layout:none")
    assert (outcome.code, outcome.lines[0]) == (2, "dir:signed")


def test_json_tells_of_errors_too(signed):
    outcome = signed("verify", "--json", "dir:nowhere", "nonsense", "dir:signed")
    records = json.loads(outcome.out)
    assert [record["accepted"] for record in records] == [False, False, True]
    assert all(record["error"] for record in records[:2])
    assert outcome.code == 1


def test_demand_for_signatures_counts(run, images):
    (images / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    assert run("--policy", "policy.json", "verify", "dir:folder", policy=True).code == 0
    outcome = run("--policy", "policy.json", "--require-signed", "verify", "dir:folder", policy=True)
    assert outcome.code == 1
    assert "No signature verification policy found for image dir:" in outcome.fatal


def test_without_a_policy_nothing_is_accepted(run, images):
    assert run("--policy", "nowhere", "verify", "dir:folder", policy=True).fatal.startswith(
        "Error loading trust policy"
    )


def test_without_an_image_the_help_is_shown(run):
    outcome = run("verify")
    assert (outcome.code, outcome.fatal) == (1, "At least one argument expected")
    assert "Usage: transship verify" in outcome.err


def test_what_strangers_wrote_cannot_pass_for_a_verdict(signed, seal, images):
    payload = seal.make_payload("seal", "x\n    accepted\n\x1b[2J", seal.Digest.parse("sha256:" + "0" * 64))
    stored = seal.Signature("seal", seal.mac(b"open sesame", payload) + payload).to_bytes()
    (images / "signed" / "signature-1").write_bytes(stored)
    outcome = signed("verify", "dir:signed")
    assert "    accepted" not in outcome.lines
    assert "\x1b" not in outcome.out + outcome.err
