"""The requirements that the core decides, and how one of any type is read from a policy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from transship.discovery import PluginManager
from transship.errors import PluginError, PolicyError, TransshipError
from transship.plugin.mechanism import Requirement, RequirementVerdict, UntrustedImage
from transship.plugin.members import Members

ACCEPT_ANYTHING = "insecureAcceptAnything"
REJECT = "reject"
SIGNED_BASE_LAYER = "signedBaseLayer"

_DISTRIBUTIONS = {"signedBy": "transship-openpgp", "sigstoreSigned": "transship-sigstore"}


class AcceptAnything(Requirement):
    """Accepts every image."""

    type = ACCEPT_ANYTHING

    def evaluate(self, image: UntrustedImage) -> RequirementVerdict:
        return RequirementVerdict(self.type, accepted=True)


class Reject(Requirement):
    """Accepts no image."""

    type = REJECT

    def evaluate(self, image: UntrustedImage) -> RequirementVerdict:
        reason = f"Running image {image.reference} is rejected by policy."
        return RequirementVerdict(self.type, accepted=False, reason=reason)


class SignedBaseLayer(Requirement):
    """Part of the format of policies, and accepted by nothing (containers-policy.json(5))."""

    type = SIGNED_BASE_LAYER

    def evaluate(self, image: UntrustedImage) -> RequirementVerdict:
        return RequirementVerdict(self.type, accepted=False, reason="signedBaseLayer not implemented yet!")


class Unchecked(Requirement):
    """A requirement of a known type whose plugin is not there: accepts no image."""

    def __init__(self, kind: str) -> None:
        self.type = kind

    def evaluate(self, image: UntrustedImage) -> RequirementVerdict:
        reason = f'nothing installed can check "{self.type}": install {_DISTRIBUTIONS[self.type]}'
        return RequirementVerdict(self.type, accepted=False, reason=reason)


def parse_requirement(members: Mapping[str, Any], manager: PluginManager | None) -> Requirement:
    """Read one requirement; what the core does not know is left to the plugins of ``manager``.

    Raises ``PolicyError``.
    """
    others = dict(members)
    kind = others.pop("type", None)
    if not isinstance(kind, str):
        raise PolicyError(f"Unknown policy requirement type {json.dumps(kind)}")
    if kind in (ACCEPT_ANYTHING, REJECT):
        Members(others).finish()
        return AcceptAnything() if kind == ACCEPT_ANYTHING else Reject()
    if kind == SIGNED_BASE_LAYER:
        return _signed_base_layer(Members(others))
    return _of_mechanism(kind, others, manager)


def _signed_base_layer(members: Members) -> Requirement:
    if "baseLayerIdentity" not in members:
        raise PolicyError('"baseLayerIdentity" is missing')
    from transship.plugin.signed_identity import parse_signed_identity  # hardly any policy has this

    parse_signed_identity(members, "baseLayerIdentity")
    members.finish()
    return SignedBaseLayer()


def _of_mechanism(kind: str, members: Mapping[str, Any], manager: PluginManager | None) -> Requirement:
    try:
        mechanism = manager.mechanism_for(kind) if manager is not None else None
    except PluginError as error:
        raise PolicyError(f"{json.dumps(kind)} cannot be checked: {error}") from error
    if mechanism is None:
        if kind in _DISTRIBUTIONS:
            return Unchecked(kind)
        raise PolicyError(f"Unknown policy requirement type {json.dumps(kind)}")
    try:
        requirement = mechanism.parse_requirement(kind, members)
    except PolicyError:
        raise
    except Exception as error:  # a plugin that fails must not leave a policy that says less than was written
        reason = str(error) if isinstance(error, TransshipError) else f"{type(error).__name__}: {error}"
        raise PolicyError(f"{mechanism.name} cannot read {json.dumps(kind)}: {reason}") from error
    if not isinstance(requirement, Requirement):
        raise PolicyError(f"{mechanism.name} makes no requirement of {json.dumps(kind)}, but {requirement!r}")
    return requirement
