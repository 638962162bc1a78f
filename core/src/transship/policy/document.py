"""policy.json: parsed strictly, so that no mistake in it can mean "accept" (containers-policy.json(5))."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from transship.errors import InvalidManifestError, PolicyError
from transship.image.strict_json import load_json
from transship.plugin.transport import Reference

ACCEPT_ANYTHING = "insecureAcceptAnything"
REJECT = "reject"
_SIGNED_TYPES = ("signedBy", "sigstoreSigned", "signedBaseLayer")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement: its type and its other members."""

    type: str
    members: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Policy:
    """What is required of images: by transport and scope, else by default."""

    default: tuple[Requirement, ...]
    transports: Mapping[str, Mapping[str, tuple[Requirement, ...]]]

    def requirements_for(self, reference: Reference) -> tuple[Requirement, ...]:
        """The requirements of the most specific scope that ``reference`` falls under; nothing is inherited."""
        scopes = self.transports.get(reference.transport, {})
        for scope in (reference.policy_identity, *reference.policy_namespaces, ""):
            if scope in scopes:
                return scopes[scope]
        return self.default


ACCEPT_ALL = Policy((Requirement(ACCEPT_ANYTHING),), {})
"""What ``--insecure-policy`` stands for."""


def parse_policy(data: bytes, origin: str) -> Policy:
    """Read policy.json; raise ``PolicyError``, naming ``origin`` and the place in it, for anything unexpected."""
    try:
        return _policy(load_json(data, "policy"))
    except (InvalidManifestError, PolicyError) as error:
        raise PolicyError(f'invalid policy in "{origin}": {error}') from error


def _policy(document: Any) -> Policy:
    members = _object(document, "the policy", {"default", "transports"})
    if "default" not in members:
        raise PolicyError("Default policy is missing")
    transports = _object(members.get("transports", {}), '"transports"')
    return Policy(
        _requirements(members["default"], '"default"'),
        {
            transport: {
                scope: _requirements(value, f'"transports" {transport!r} {scope!r}')
                for scope, value in _object(scopes, f'"transports" {transport!r}').items()
            }
            for transport, scopes in transports.items()
        },
    )


def _requirements(value: Any, place: str) -> tuple[Requirement, ...]:
    if not isinstance(value, list):
        raise PolicyError(f"{place}: expected a list of requirements")
    if not value:
        raise PolicyError(f"{place}: List of verification policy requirements must not be empty")
    return tuple(_requirement(entry, f"{place} [{number}]") for number, entry in enumerate(value))


def _requirement(value: Any, place: str) -> Requirement:
    members = dict(_object(value, place))
    kind = members.pop("type", None)
    if kind in (ACCEPT_ANYTHING, REJECT):
        for key in members:
            raise PolicyError(f"{place}: Unknown key {json.dumps(key)}")
    elif kind not in _SIGNED_TYPES:
        raise PolicyError(f"{place}: Unknown policy requirement type {json.dumps(kind)}")
    return Requirement(kind, members)


def _object(value: Any, place: str, keys: set[str] | None = None) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise PolicyError(f"{place}: expected an object")
    for key in value:
        if keys is not None and key not in keys:
            raise PolicyError(f"{place}: Unknown key {json.dumps(key)}")
    return value
