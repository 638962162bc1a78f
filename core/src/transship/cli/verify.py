"""transship verify."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from transship import hookimpl
from transship.cli.flags import Flag, GoCommand, UsageError, Value
from transship.cli.options import check_credentials, image_options, retry_options, shared_options, with_options
from transship.errors import CancelledError, DeadlineExceededError, PolicyRejectedError, TransshipError

if TYPE_CHECKING:
    from transship.cli.application import Application
    from transship.plugin.mechanism import RequirementVerdict, SignatureVerdict
    from transship.policy.document import Policy
    from transship.verification import JudgedImage


@click.command("verify", cls=GoCommand, options_metavar="[options]")
@click.argument("arguments", nargs=-1, metavar="IMAGE...")
@with_options(
    [
        Flag("--all", "-a", help="verify all images if IMAGE is an index"),
        Flag("--json", "as_json", help="print JSON"),
        Value("--signatures", default="", metavar="MECHANISM:TEXT", help="read further signatures there, as copy can"),
    ],
    shared_options(),
    image_options(),
    retry_options(),
)
@click.pass_obj
def verify(app: Application, /, arguments: tuple[str, ...], **flags: Any) -> None:
    """Say whether the trust policy accepts images, and why

    Nothing is copied. The exit code is 0 only if every IMAGE is accepted.
    """
    if not arguments:
        raise UsageError("At least one argument expected", show_help=True)
    policy = app.load_policy()
    check_credentials(flags)
    outcomes = [_Outcome(app, flags, policy, image) for image in arguments]
    if flags["as_json"]:
        _print_json(outcomes)
    for outcome in outcomes:
        if not flags["as_json"]:
            outcome.print()
    _require_all(app, outcomes)


class _Outcome:
    """What came of one image: verdicts, or an error."""

    def __init__(self, app: Application, flags: Mapping[str, Any], policy: Policy, image: str) -> None:
        self.image = image
        self.policy = policy
        self.judged: list[JudgedImage] = []
        self.error: TransshipError | None = None
        try:
            self.judged = _verified(app, flags, policy, image)
            self.error = next((_refusal(image, judged) for judged in self.judged if not judged.verdict.accepted), None)
        except (CancelledError, DeadlineExceededError):
            raise
        except TransshipError as error:
            self.error = error

    def print(self) -> None:
        """Tell what was judged, as text."""
        from transship.cli.output import printable

        if self.judged:
            click.echo(printable("\n".join([self.image, *_lines(self.judged)])))

    def to_json(self) -> dict[str, Any]:
        return {
            "image": self.image,
            "accepted": self.error is None,
            "error": "" if self.error is None else str(self.error),
            "policy": self.policy.origin,
            "judged": [_judgement(judged) for judged in self.judged],
        }


def _verified(app: Application, flags: Mapping[str, Any], policy: Policy, image: str) -> list[JudgedImage]:
    from transship.api import Retries
    from transship.api import verify as verify_image

    return verify_image(
        image,
        policy=policy,
        platform=app.globals.platform,
        all_instances=flags["all"],
        require_signed=app.globals.require_signed,
        signatures=flags["signatures"],
        context=app.context(image, "source", flags),
        retries=Retries(flags["retry_times"], flags["retry_delay"]),
        manager=app.manager,
    )


def _refusal(image: str, judged: JudgedImage) -> PolicyRejectedError:
    return PolicyRejectedError(f"{image} ({judged.digest}) is not accepted: {judged.verdict.reason}")


def _require_all(app: Application, outcomes: Sequence[_Outcome]) -> None:
    """Fail with the one error, or, where there are several images, with their number after one line for each."""
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if not errors:
        return
    if len(outcomes) == 1:
        raise errors[0]
    for error in errors:
        app.log.error(str(error))
    from transship.errors import NotFoundError
    from transship.retry import causes

    missing = next((error for error in errors if any(isinstance(each, NotFoundError) for each in causes(error))), None)
    raise PolicyRejectedError(f"{len(errors)} of {len(outcomes)} images are not accepted") from missing


def _lines(images: Sequence[JudgedImage]) -> Iterator[str]:
    for judged in images:
        verdict = judged.verdict
        yield f"  {judged.digest}{f' ({judged.platform})' if judged.platform else ''}"
        yield f"    scope: {verdict.scope}"
        for requirement in verdict.requirements:
            yield from _requirement_lines(requirement)
        yield f"    {'accepted' if verdict.accepted else f'refused: {verdict.reason}'}"


def _requirement_lines(verdict: RequirementVerdict) -> Iterator[str]:
    yield f"    {verdict.type}: {'accepts' if verdict.accepted else f'refuses: {verdict.reason}'}"
    for signature in verdict.signatures:
        yield f"      {signature.format}: {_signature_text(signature)}"


def _signature_text(verdict: SignatureVerdict) -> str:
    made = f", made by {verdict.signer}" if verdict.signer else ""
    meant = f", for {verdict.identity}" if verdict.identity else ""
    return f"{'good' if verdict.accepted else f'refused: {verdict.reason}'}{made}{meant}"


def _judgement(judged: JudgedImage) -> dict[str, Any]:
    from transship.cli.report import requirements_json

    verdict = judged.verdict
    return {
        "digest": str(judged.digest),
        "media_type": judged.media_type,
        "platform": str(judged.platform) if judged.platform else "",
        "scope": str(verdict.scope),
        "accepted": verdict.accepted,
        "reason": verdict.reason,
        "requirements": requirements_json(verdict.requirements),
    }


def _print_json(outcomes: Sequence[_Outcome]) -> None:
    import json

    click.echo(json.dumps([outcome.to_json() for outcome in outcomes], indent=4))


@hookimpl
def transship_commands() -> list[click.Command]:
    """The command."""
    return [verify]
