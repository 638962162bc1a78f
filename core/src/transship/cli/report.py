"""``copy --report``: one JSON record of a copy, whether it went well or not."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO

from transship.cli.output_file import opened_output
from transship.plugin.events import Event, ImageJudged, ImageStarted, SignatureCreated
from transship.plugin.mechanism import RequirementVerdict

if TYPE_CHECKING:
    from transship.copy.options import CopyResult
    from transship.policy.document import Policy


class CopyReport:
    """Gathers what the record says. Of several attempts, only the last one is told."""

    def __init__(self, source: str, destinations: Sequence[str], policy: Policy, *, dry_run: bool) -> None:
        self._record: dict[str, Any] = {
            "version": 1,
            "started": _now(),
            "source": source,
            "source_digest": "",
            "source_media_type": "",
            "policy": policy.origin,
            "dry_run": dry_run,
        }
        self._wanted = list(destinations)
        self._judged: list[dict[str, Any]] = []
        self._signatures: list[SignatureCreated] = []
        self._results: Sequence[CopyResult] = ()

    def observe(self, event: Event) -> None:
        """See a moment of the copy."""
        match event:
            case ImageStarted():
                self._record |= {"source_digest": str(event.digest), "source_media_type": event.media_type}
                self._judged, self._signatures = [], []
            case ImageJudged():
                self._judged.append(_judgement(event))
            case SignatureCreated():
                self._signatures.append(event)

    def finish(self, results: Sequence[CopyResult]) -> None:
        """Note that the copy went well."""
        self._results = results

    def to_json(self, error: BaseException | None) -> bytes:
        """The record; ``error`` is what ended the copy, None if nothing did."""
        told = {
            **self._record,
            "finished": _now(),
            "succeeded": error is None,
            "error": "" if error is None else str(error) or type(error).__name__,
            "judged": self._judged,
            "destinations": [self._destination(result) for result in self._results]
            or [{"destination": text} for text in self._wanted],
        }
        return (json.dumps(told, indent=4) + "\n").encode("ascii")

    def _destination(self, result: CopyResult) -> dict[str, Any]:
        return {
            "destination": result.destination,
            "digest": str(result.digest),
            "media_type": result.media_type,
            "blobs_written": result.blobs_written,
            "blobs_reused": result.blobs_reused,
            "bytes_written": result.bytes_written,
            "signatures": [
                {"digest": str(made.digest), "mechanism": made.mechanism, "identity": made.identity}
                for made in self._signatures
                if made.destination == result.destination
            ],
        }


@contextlib.contextmanager
def written_report(place: str | BinaryIO, report: CopyReport) -> Iterator[None]:
    """Write ``report`` to a path or stream at the end of the block, however that ends; ``""``: write none.

    A path that cannot be written fails at the beginning.
    """
    if not place:
        yield
        return
    with opened_output(place) if isinstance(place, str) else contextlib.nullcontext(place) as file:
        try:
            yield
        except BaseException as error:
            file.write(report.to_json(error))
            raise
        file.write(report.to_json(None))


def requirements_json(verdicts: Sequence[RequirementVerdict]) -> list[dict[str, Any]]:
    """What each requirement says, and what it makes of each signature."""
    return [
        {**verdict._asdict(), "signatures": [signature._asdict() for signature in verdict.signatures]}
        for verdict in verdicts
    ]


def _judgement(event: ImageJudged) -> dict[str, Any]:
    return {
        "digest": str(event.digest),
        "scope": event.scope,
        "accepted": event.accepted,
        "reason": event.reason,
        "requirements": requirements_json(event.requirements),
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
