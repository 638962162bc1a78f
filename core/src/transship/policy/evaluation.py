"""The verdict of a policy on one image."""

from __future__ import annotations

from transship.errors import InvalidReferenceError, PolicyError, PolicyRejectedError
from transship.plugin.transport import Reference, Transport
from transship.policy.document import ACCEPT_ANYTHING, REJECT, Policy


def require_allowed(policy: Policy, reference: Reference, *, require_signed: bool = False) -> None:
    """Return if ``policy`` allows the image; raise ``PolicyRejectedError`` or ``PolicyError`` if not.

    Every requirement of the scope must accept. One that asks for a signature is refused, as nothing here can
    check it. ``require_signed``: at least one requirement must be of that kind.
    """
    requirements = policy.requirements_for(reference)
    if not requirements:
        raise PolicyError(f"no policy requirements for image {reference}")
    for requirement in requirements:
        if requirement.type == REJECT:
            raise PolicyRejectedError(f"Running image {reference} is rejected by policy.")
        if requirement.type != ACCEPT_ANYTHING:
            raise PolicyRejectedError(
                f'the policy requires "{requirement.type}" for image {reference}, and no installed plugin can check it'
            )
    if require_signed:
        raise PolicyRejectedError(f"No signature verification policy found for image {reference}")


def require_valid_scopes(policy: Policy, transport: Transport) -> None:
    """Raise ``PolicyError`` if the policy has a scope for ``transport`` that can never match."""
    for scope in policy.transports.get(transport.name, {}):
        try:
            if scope:
                transport.validate_policy_scope(scope)
        except InvalidReferenceError as error:
            raise PolicyError(f'invalid policy: "transports" {transport.name!r} {scope!r}: {error}') from error
