"""The verdict of a policy on one image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from transship.errors import InvalidReferenceError, PolicyError, PolicyRejectedError, TransshipError
from transship.plugin.mechanism import Requirement, RequirementVerdict, UntrustedImage
from transship.plugin.transport import Reference, Transport
from transship.policy.document import Policy, Scope, scope_names

_TEXT_LIMIT = 4096  # characters


class Verdict(NamedTuple):
    """Whether a policy accepts an image, ``reason``: why not.

    ``requirements`` are the verdicts of all that the ``scope`` requires, in order. ``cause`` is the error because of
    which the first one that refused could not decide, None if it decided.
    """

    scope: Scope
    requirements: tuple[RequirementVerdict, ...]
    accepted: bool
    reason: str = ""
    cause: Exception | None = None


def judge(policy: Policy, image: UntrustedImage, *, require_signed: bool = False) -> Verdict:
    """The verdict on ``image``: every requirement of its scope must accept it.

    ``require_signed``: one of them must be of those that accept nothing without a verified signature.
    """
    scope, requirements = policy.scope_of(image.reference)
    judged = list(_judged(requirements, image))
    verdicts = tuple(verdict for verdict, _ in judged)
    for verdict, cause in judged:
        if not verdict.accepted:
            return Verdict(scope, verdicts, False, verdict.reason, cause)
    if not requirements:
        return Verdict(scope, (), False, "List of verification policy requirements must not be empty")
    if require_signed and not any(requirement.verifies_signatures for requirement in requirements):
        name = f"{image.reference.transport}:{image.reference.policy_identity}"
        return Verdict(scope, verdicts, False, f"No signature verification policy found for image {name}")
    return Verdict(scope, verdicts, True)


def require_accepted(verdict: Verdict) -> None:
    """Raise ``PolicyRejectedError``, from the verdict's cause, unless it accepts."""
    if not verdict.accepted:
        raise PolicyRejectedError(verdict.reason) from verdict.cause


def require_valid_scopes(policy: Policy, transport: Transport) -> None:
    """Raise ``PolicyError`` if the policy has a scope for ``transport`` that can never match."""
    for scope in policy.transports.get(transport.name, {}):
        try:
            if scope:
                transport.validate_policy_scope(scope)
        except InvalidReferenceError as error:
            raise PolicyError(f'invalid policy: "transports" {transport.name!r} {scope!r}: {error}') from error


def require_scopes_of(reference: Reference, policy: Policy, transport: Transport) -> None:
    """Raise ``PolicyError`` if ``policy`` might miss what it says of ``reference``, which ``transport`` has parsed.

    What tells the images of a transport apart by scopes must be able to name the scopes of this one: else nobody could
    have made a rule for it, and a broader one would let it pass.
    """
    if reference.transport != transport.name:
        raise PolicyError(f"{reference}: the transport {transport.name!r} must not give references of another one")
    names = scope_names(reference)
    if not any(policy.transports.get(transport.name, {})):
        return
    for name in names:
        try:
            transport.validate_policy_scope(name)
        except InvalidReferenceError as error:
            raise PolicyError(f"{reference}: no rule of a policy can name {name!r}, where it is: {error}") from error


def _judged(
    requirements: Sequence[Requirement], image: UntrustedImage
) -> Iterator[tuple[RequirementVerdict, Exception | None]]:
    for requirement in requirements:
        try:
            found = requirement.evaluate(image)
            if not isinstance(found, RequirementVerdict) or not isinstance(found.accepted, bool):
                raise PolicyError(f'"{requirement.type}" gave no verdict')
            verdict = _in_lines(found)
        except Exception as error:  # what fails to decide must not pass for having accepted
            yield RequirementVerdict(requirement.type, accepted=False, reason=_reason(error)), error
        else:
            yield verdict, None


def _in_lines(verdict: RequirementVerdict) -> RequirementVerdict:
    """The verdict with each text on one line, as much of it comes from whoever wrote the signatures."""
    signatures = tuple(
        each._replace(reason=_line(each.reason), signer=_line(each.signer), identity=_line(each.identity))
        for each in verdict.signatures
    )
    return verdict._replace(reason=_line(verdict.reason), signatures=signatures)


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _TEXT_LIMIT else f"{line[:_TEXT_LIMIT]}…"


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.filename or ''}: {error.strerror.lower()}".removeprefix(": ")
    else:
        text = str(error) if isinstance(error, TransshipError) else f"{type(error).__name__}: {error}"
    return _line(text)
