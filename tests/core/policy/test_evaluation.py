"""The verdict of a policy."""

from __future__ import annotations

import pytest

from transship.discovery import PluginManager
from transship.errors import PolicyError, PolicyRejectedError
from transship.plugin.transport import Reference
from transship.policy.document import ACCEPT_ALL, Policy, Requirement
from transship.policy.evaluation import require_allowed, require_valid_scopes

REFERENCE = Reference(transport="oci", text="image", policy_identity="/image")


def _policy(*types: str) -> Policy:
    return Policy(tuple(map(Requirement, types)), {})


def test_accepting_policy_allows():
    require_allowed(ACCEPT_ALL, REFERENCE)


@pytest.mark.parametrize(
    "types",
    [
        ["reject"],
        ["insecureAcceptAnything", "reject"],
        ["reject", "insecureAcceptAnything"],
        ["signedBy"],
        ["sigstoreSigned"],
        ["signedBaseLayer"],
        ["insecureAcceptAnything", "signedBy"],
    ],
)
def test_every_requirement_must_be_met(types):
    with pytest.raises(PolicyRejectedError, match="image"):
        require_allowed(_policy(*types), REFERENCE)


def test_what_cannot_be_checked_is_named():
    with pytest.raises(PolicyRejectedError, match="signedBy"):
        require_allowed(_policy("signedBy"), REFERENCE)


def test_policy_without_requirements_allows_nothing():
    with pytest.raises(PolicyError):
        require_allowed(_policy(), REFERENCE)


def test_demand_for_signatures_is_not_met_by_accepting_anything():
    with pytest.raises(PolicyRejectedError, match="No signature verification policy found"):
        require_allowed(ACCEPT_ALL, REFERENCE, require_signed=True)


@pytest.mark.parametrize("scope", ["relative", "/", "/a/../b", "/a/"])
def test_scope_that_can_never_match_is_refused(scope):
    policy = Policy((Requirement("insecureAcceptAnything"),), {"oci": {scope: (Requirement("reject"),)}})
    with pytest.raises(PolicyError, match="oci"):
        require_valid_scopes(policy, PluginManager().transport("oci"))


@pytest.mark.parametrize("scope", ["", "/a", "/a/b"])
def test_scope_that_can_match_is_accepted(scope):
    policy = Policy((), {"oci": {scope: ()}, "elsewhere": {"relative": ()}})
    require_valid_scopes(policy, PluginManager().transport("oci"))
