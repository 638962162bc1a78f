"""The verdict of a policy on one image."""

from __future__ import annotations

from transship.errors import PolicyError, PolicyRejectedError
from transship.plugin.transport import Reference
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
