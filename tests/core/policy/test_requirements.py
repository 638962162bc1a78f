"""Requirements of a policy, those of plugins included, are read strictly."""

from __future__ import annotations

import json

import pytest

from transship import hookimpl
from transship.discovery import PluginManager
from transship.errors import PolicyError
from transship.plugin.mechanism import Requirement, RequirementVerdict, SignatureMechanism, UntrustedImage
from transship.plugin.transport import Reference
from transship.policy.document import parse_policy
from transship.policy.requirements import parse_requirement

IMAGE = UntrustedImage(Reference(transport="oci", text="image"), b"{}", "")


class Odd(Requirement):
    type = "odd"

    def evaluate(self, image):
        return RequirementVerdict("odd", accepted=True)


class OddMechanism(SignatureMechanism):
    def __init__(self, name="odd", types=("odd",), parse=lambda kind, members: Odd()) -> None:
        self.name = name
        self.requirement_types = types
        self.parse_requirement = parse


def manager_with(*mechanisms, disabled=()):
    class Plugin:
        @hookimpl
        def transship_signature_mechanisms(self):
            return mechanisms

    manager = PluginManager(["openpgp", "sigstore", *disabled])
    manager.register(Plugin())
    return manager


def _raise(error):
    raise error


@pytest.mark.parametrize(
    ("members", "accepted", "reason"),
    [
        ({"type": "insecureAcceptAnything"}, True, ""),
        ({"type": "reject"}, False, "Running image oci:image is rejected by policy."),
        (
            {"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact"}},
            False,
            "signedBaseLayer not implemented yet!",
        ),
    ],
)
def test_what_the_core_decides(members, accepted, reason):
    verdict = parse_requirement(members, None).evaluate(IMAGE)
    assert (verdict.accepted, verdict.reason, verdict.type) == (accepted, reason, members["type"])


@pytest.mark.parametrize(
    ("kind", "distribution"), [("signedBy", "transship-openpgp"), ("sigstoreSigned", "transship-sigstore")]
)
@pytest.mark.parametrize("manager", [None, manager_with()])
def test_without_its_plugin_a_requirement_refuses_and_says_what_to_install(kind, distribution, manager):
    verdict = parse_requirement({"type": kind, "anything": 1}, manager).evaluate(IMAGE)
    assert not verdict.accepted
    assert distribution in verdict.reason


def test_plugin_reads_its_own_types():
    seen = []

    def parse(kind, members):
        seen.append((kind, dict(members)))
        return Odd()

    assert isinstance(parse_requirement({"type": "odd", "a": 1}, manager_with(OddMechanism(parse=parse))), Odd)
    assert seen == [("odd", {"a": 1})]


@pytest.mark.parametrize(
    "mechanism",
    [
        OddMechanism(parse=lambda kind, members: _raise(PolicyError("bad"))),
        OddMechanism(parse=lambda kind, members: _raise(ValueError("bad"))),
        OddMechanism(parse=lambda kind, members: _raise(KeyError("type"))),
        OddMechanism(parse=lambda kind, members: _raise(AssertionError())),
        OddMechanism(parse=lambda kind, members: None),
        OddMechanism(parse=lambda kind, members: True),
        OddMechanism(parse=lambda kind, members: Odd),
        OddMechanism(types=("other",)),
        OddMechanism(types=()),
    ],
)
def test_plugin_that_reads_nothing_makes_the_policy_unusable(mechanism):
    data = json.dumps({"default": [{"type": "insecureAcceptAnything"}, {"type": "odd"}]}).encode()
    with pytest.raises(PolicyError, match=r'invalid policy in "p": "default" \[1\]'):
        parse_policy(data, "p", manager_with(mechanism))


def test_type_that_two_plugins_claim_makes_the_policy_unusable():
    manager = manager_with(OddMechanism("one"), OddMechanism("two"))
    with pytest.raises(PolicyError, match="one, two"):
        parse_requirement({"type": "odd"}, manager)


def test_broken_plugin_makes_the_policy_unusable():
    class Broken:
        @hookimpl
        def transship_signature_mechanisms(self):
            return [object()]

    manager = manager_with(OddMechanism())
    manager.register(Broken())
    with pytest.raises(PolicyError):
        parse_requirement({"type": "unheard-of"}, manager)


@pytest.mark.parametrize("kind", ["insecureAcceptAnything", "reject", "signedBaseLayer"])
def test_no_plugin_decides_in_place_of_the_core(kind):
    manager = manager_with(OddMechanism(types=(kind,)))
    members = {"type": kind} | ({"baseLayerIdentity": {"type": "matchExact"}} if kind == "signedBaseLayer" else {})
    assert not isinstance(parse_requirement(members, manager), Odd)


def test_disabled_plugin_is_not_asked():
    manager = manager_with(OddMechanism(types=("signedBy",)), disabled=["odd"])
    assert not parse_requirement({"type": "signedBy"}, manager).evaluate(IMAGE).accepted
