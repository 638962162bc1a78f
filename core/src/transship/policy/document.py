"""policy.json: parsed strictly, so that no mistake in it can mean "accept" (containers-policy.json(5))."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from transship.discovery import PluginManager
from transship.errors import InvalidManifestError, PolicyError
from transship.image.strict_json import load_json
from transship.plugin.mechanism import Requirement
from transship.plugin.transport import Reference
from transship.policy.requirements import AcceptAnything, parse_requirement


class Scope(NamedTuple):
    """A part of a policy: a transport and a scope in it, or with ``transport`` ``""`` the default."""

    transport: str = ""
    name: str = ""

    def __str__(self) -> str:
        return f"{self.transport} {json.dumps(self.name, ensure_ascii=False)}" if self.transport else "default"


class Policy(NamedTuple):
    """What is required of images: by transport and scope, else by default. ``origin`` says where it came from."""

    default: tuple[Requirement, ...]
    transports: Mapping[str, Mapping[str, tuple[Requirement, ...]]]
    origin: str = ""

    def scope_of(self, reference: Reference) -> tuple[Scope, tuple[Requirement, ...]]:
        """The most specific scope that ``reference`` falls under and its requirements; nothing is inherited.

        Raises ``PolicyError`` if its transport does not say properly which ones these are.
        """
        scopes = self.transports.get(reference.transport, {})
        for name in (*scope_names(reference), ""):
            if name in scopes:
                return Scope(reference.transport, name), scopes[name]
        return Scope(), self.default


def scope_names(reference: Reference) -> tuple[str, ...]:
    """The scopes that ``reference`` falls under, most specific first, without ``""``, that of its whole transport.

    Raises ``PolicyError`` for what its transport has got wrong: a rule that was made for the image might not be found,
    and a broader one let it pass.
    """
    identity, namespaces = reference.policy_identity, reference.policy_namespaces
    if identity == "" and namespaces == ():
        return ()
    if not isinstance(namespaces, tuple):
        raise PolicyError(f"{reference}: its transport must give policy_namespaces as a tuple, not {namespaces!r}")
    names = (identity, *namespaces)
    for name in names:
        if not isinstance(name, str) or not name:
            raise PolicyError(f"{reference}: its transport gives it the scope {name!r}, which no policy can have")
    return names


ACCEPT_ALL = Policy((AcceptAnything(),), {}, "--insecure-policy")
"""What ``--insecure-policy`` stands for."""


def parse_policy(data: bytes, origin: str, manager: PluginManager | None = None) -> Policy:
    """Read policy.json; requirements that the core does not know are read by the plugins of ``manager``.

    Raises ``PolicyError``, naming ``origin`` and the place in it, for anything unexpected.
    """
    try:
        return _policy(load_json(data, "policy"), origin, manager)
    except (InvalidManifestError, PolicyError) as error:
        raise PolicyError(f'invalid policy in "{origin}": {error}') from error


def _policy(document: Any, origin: str, manager: PluginManager | None) -> Policy:
    members = _object(document, "the policy", {"default", "transports"})
    if "default" not in members:
        raise PolicyError("Default policy is missing")
    transports = _object(members.get("transports", {}), '"transports"')
    return Policy(
        _requirements(members["default"], '"default"', manager),
        {
            transport: {
                scope: _requirements(value, f'"transports" {transport!r} {scope!r}', manager)
                for scope, value in _object(scopes, f'"transports" {transport!r}').items()
            }
            for transport, scopes in transports.items()
        },
        origin,
    )


def _requirements(value: Any, place: str, manager: PluginManager | None) -> tuple[Requirement, ...]:
    if not isinstance(value, list):
        raise PolicyError(f"{place}: expected a list of requirements")
    if not value:
        raise PolicyError(f"{place}: List of verification policy requirements must not be empty")
    return tuple(_requirement(entry, f"{place} [{number}]", manager) for number, entry in enumerate(value))


def _requirement(value: Any, place: str, manager: PluginManager | None) -> Requirement:
    members = _object(value, place)
    try:
        return parse_requirement(members, manager)
    except PolicyError as error:
        raise PolicyError(f"{place}: {error}") from error


def _object(value: Any, place: str, keys: set[str] | None = None) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise PolicyError(f"{place}: expected an object")
    for key in value:
        if keys is not None and key not in keys:
            raise PolicyError(f"{place}: Unknown key {json.dumps(key)}")
    return value
