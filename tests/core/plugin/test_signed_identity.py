"""Which docker reference in a signature counts for an image."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transship.errors import PolicyError
from transship.image.reference import DockerReference
from transship.plugin.members import Members
from transship.plugin.signed_identity import parse_signed_identity

DIGEST = "@sha256:" + "0" * 64
OTHER = "@sha256:" + "1" * 64
APP = "example.com/team/app"


def _identity(rule: dict | None):
    members = Members({} if rule is None else {"signedIdentity": rule})
    identity = parse_signed_identity(members)
    members.finish()
    return identity


def _accepts(rule, image, signed):
    return _identity(rule).accepts(DockerReference.parse(image) if image else None, signed)


EXACT = {"type": "matchExact"}
DIGEST_OR_EXACT = {"type": "matchRepoDigestOrExact"}
REPOSITORY = {"type": "matchRepository"}
REFERENCE = {"type": "exactReference", "dockerReference": f"{APP}:1"}
ONE_REPOSITORY = {"type": "exactRepository", "dockerRepository": APP}
REMAP = {"type": "remapIdentity", "prefix": "mirror.example.org/hub", "signedPrefix": "example.com"}


@pytest.mark.parametrize(
    ("rule", "image", "signed"),
    [
        (EXACT, f"{APP}:1", f"{APP}:1"),
        (EXACT, APP + DIGEST, APP + DIGEST),
        (EXACT, "busybox:1", "docker.io/library/busybox:1"),
        (EXACT, "docker.io/library/busybox:1", "busybox:1"),
        (None, f"{APP}:1", f"{APP}:1"),
        (DIGEST_OR_EXACT, f"{APP}:1", f"{APP}:1"),
        (DIGEST_OR_EXACT, APP + DIGEST, f"{APP}:1"),
        (DIGEST_OR_EXACT, APP + DIGEST, APP + OTHER),
        (DIGEST_OR_EXACT, APP + DIGEST, APP + DIGEST),
        (DIGEST_OR_EXACT, f"{APP}:1{DIGEST}", f"{APP}:1"),
        (DIGEST_OR_EXACT, f"{APP}:1{DIGEST}", f"{APP}:1{DIGEST}"),
        (REPOSITORY, f"{APP}:1", f"{APP}:2"),
        (REPOSITORY, f"{APP}:1", APP),
        (REPOSITORY, APP + DIGEST, f"{APP}:2"),
        (REPOSITORY, APP, APP),
        (REFERENCE, f"{APP}:1", f"{APP}:1"),
        (REFERENCE, f"{APP}:2", f"{APP}:1"),
        (REFERENCE, "example.org/other:9", f"{APP}:1"),
        (REFERENCE, "", f"{APP}:1"),
        (ONE_REPOSITORY, "", f"{APP}:7"),
        (ONE_REPOSITORY, "", APP),
        (ONE_REPOSITORY, "example.org/other:9", APP + DIGEST),
        (REMAP, "mirror.example.org/hub/team/app:1", f"{APP}:1"),
        (REMAP, "mirror.example.org/hub/team/app" + DIGEST, f"{APP}:9"),
        (REMAP, "mirror.example.org/other:1", "mirror.example.org/other:1"),
        (REMAP, "mirror.example.org/hubbub:1", "mirror.example.org/hubbub:1"),
        ({**REMAP, "prefix": "localhost:5000"}, "localhost:5000/team/app:1", f"{APP}:1"),
        ({**REMAP, "prefix": APP, "signedPrefix": "example.org/x"}, f"{APP}:1", "example.org/x:1"),
    ],
)
def test_accepts(rule, image, signed):
    assert _accepts(rule, image, signed)


@pytest.mark.parametrize(
    ("rule", "image", "signed"),
    [
        (EXACT, f"{APP}:1", f"{APP}:2"),
        (EXACT, f"{APP}:1", APP),
        (EXACT, APP, APP),
        (EXACT, APP, f"{APP}:latest"),
        (EXACT, f"{APP}:1", APP + DIGEST),
        (EXACT, APP + DIGEST, APP + OTHER),
        (EXACT, APP + DIGEST, f"{APP}:1"),
        (EXACT, "", f"{APP}:1"),
        (None, f"{APP}:1", f"{APP}:2"),
        (None, f"{APP}:1", APP + DIGEST),
        (None, f"{APP}:1", APP),
        (None, APP, APP),
        (None, APP, f"{APP}:1"),
        (None, APP + DIGEST, APP),
        (None, APP + DIGEST, "example.com/team/other" + DIGEST),
        (None, f"{APP}:1{DIGEST}", f"{APP}:2"),
        (None, f"{APP}:1{DIGEST}", f"{APP}:1{OTHER}"),
        (None, f"{APP}:1{DIGEST}", APP + DIGEST),
        (None, "", f"{APP}:1"),
        (REPOSITORY, f"{APP}:1", "example.com/team:1"),
        (REPOSITORY, f"{APP}:1", f"{APP}/more:1"),
        (REPOSITORY, f"{APP}:1", "example.org/team/app:1"),
        (REPOSITORY, "", f"{APP}:1"),
        (REFERENCE, f"{APP}:1", f"{APP}:2"),
        (REFERENCE, f"{APP}:1", APP),
        (REFERENCE, "", APP + DIGEST),
        (ONE_REPOSITORY, "", "example.com/team/apple:1"),
        (ONE_REPOSITORY, f"{APP}:1", "example.com/team:1"),
        (REMAP, "mirror.example.org/hub/team/app:1", "mirror.example.org/hub/team/app:1"),
        (REMAP, "mirror.example.org/hub/team/app:1", f"{APP}:2"),
        (REMAP, "mirror.example.org/hubbub/team/app:1", "example.com/bub/team/app:1"),
        (REMAP, "mirror.example.org/hub:1", "example.com:1"),
        (REMAP, "", f"{APP}:1"),
    ],
)
def test_refuses(rule, image, signed):
    assert not _accepts(rule, image, signed)


RULES = [EXACT, DIGEST_OR_EXACT, REPOSITORY, REFERENCE, ONE_REPOSITORY, REMAP]


@pytest.mark.parametrize("rule", RULES)
@settings(deadline=None)
@given(signed=st.text())
def test_what_is_no_reference_is_refused_by_every_rule(rule, signed):
    if not signed or not signed.isascii() or " " in signed or signed.lower() != signed:
        assert not _accepts(rule, f"{APP}:1", signed)


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"type": ""},
        {"type": 1},
        {"type": None},
        {"type": "matchexact"},
        {"type": "matchAnything"},
        {"type": "matchExact", "more": 1},
        {"type": "matchRepository", "dockerRepository": APP},
        {"type": "exactReference"},
        {"type": "exactReference", "dockerReference": ""},
        {"type": "exactReference", "dockerReference": APP},
        {"type": "exactReference", "dockerReference": f"{APP}:"},
        {"type": "exactReference", "dockerReference": "UPPER:1"},
        {"type": "exactReference", "dockerReference": 1},
        {"type": "exactReference", "dockerRepository": APP},
        {"type": "exactReference", "dockerReference": f"{APP}:1", "dockerRepository": APP},
        {"type": "exactRepository"},
        {"type": "exactRepository", "dockerRepository": "//"},
        {"type": "exactRepository", "dockerReference": f"{APP}:1"},
        {"type": "remapIdentity"},
        {"type": "remapIdentity", "prefix": "a.com"},
        {"type": "remapIdentity", "signedPrefix": "a.com"},
        {**REMAP, "prefix": ""},
        {**REMAP, "prefix": "a.com/b:1"},
        {**REMAP, "prefix": "a.com/b@sha256:0"},
        {**REMAP, "prefix": "a.com/"},
        {**REMAP, "prefix": "a.com/B"},
        {**REMAP, "prefix": "*.com"},
        {**REMAP, "signedPrefix": "-a"},
        {**REMAP, "signedPrefix": "/a"},
        {**REMAP, "signedPrefix": ["a"]},
        {**REMAP, "more": 1},
    ],
)
def test_rule_with_anything_odd_is_refused(rule):
    with pytest.raises(PolicyError):
        _identity(rule)


@pytest.mark.parametrize("rule", ["matchExact", 1, [], True])
def test_rule_that_is_no_object_is_refused(rule):
    with pytest.raises(PolicyError):
        parse_signed_identity(Members({"signedIdentity": rule}))
