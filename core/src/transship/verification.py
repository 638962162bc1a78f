"""Would the trust policy accept this image? Asked without copying it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from transship.copy.index import read_instance
from transship.copy.options import CopyOptions, MultiArch
from transship.copy.run import read_top
from transship.copy.selection import chosen_positions
from transship.copy.session import failure
from transship.copy.signing import untrusted_image
from transship.errors import InvalidManifestError, TransshipError
from transship.image.digest import Digest
from transship.image.identification import manifest_digest, normalized_media_type
from transship.image.index import Index, choose, parse_index
from transship.image.media_types import INDEX_TYPES
from transship.image.platform import Platform, PlatformRequest, wanted_platforms
from transship.places import Place
from transship.plugin.machine import machine_platform
from transship.plugin.transport import RawManifest, Source
from transship.policy.document import Policy
from transship.policy.evaluation import Verdict, judge, require_scopes_of, require_valid_scopes
from transship.retry import may_pass


@dataclass(frozen=True, slots=True)
class JudgedImage:
    """One manifest and the policy's verdict on it. ``platform`` is None where no index tells it."""

    digest: Digest
    media_type: str
    platform: Platform | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class _Question:
    source: Source
    place: Place
    policy: Policy
    require_signed: bool


def verify_image(
    place: Place,
    policy: Policy,
    *,
    platform: PlatformRequest,
    all_instances: bool = False,
    require_signed: bool = False,
) -> list[JudgedImage]:
    """What the policy makes of the image that a copy would take; with ``all_instances`` of each that an index has.

    An image is accepted if all that is in the answer is. Raises ``TransshipError`` if the image cannot be read.
    """
    require_valid_scopes(policy, place.transport)
    require_scopes_of(place.reference, policy, place.transport)
    with contextlib.ExitStack() as stack:
        try:
            source = place.transport.open_source(place.reference, place.context)
        except (TransshipError, OSError) as error:
            raise failure(f"initializing source {place.reference}", error, operation="open", side="source") from error
        stack.callback(source.close)
        question = _Question(source, place, policy, require_signed)
        raw = read_top(place.reference, source)
        if raw.media_type not in INDEX_TYPES:
            return [_judged(question, raw, None, None)]
        index = parse_index(raw.data, raw.media_type)
        positions = _positions(index, platform, all_instances=all_instances)
        return [_member(question, index, position) for position in positions] or [_judged(question, raw, None, None)]


def _positions(index: Index, platform: PlatformRequest, *, all_instances: bool) -> list[int]:
    if all_instances:
        return chosen_positions(index, CopyOptions(multi_arch=MultiArch.ALL), machine_platform())
    digest = choose(index, wanted_platforms(platform, machine_platform()))
    return [next(number for number, entry in enumerate(index.instances) if entry.descriptor.digest == digest)]


def _member(question: _Question, index: Index, position: int) -> JudgedImage:
    entry = index.instances[position]
    raw = read_instance(question.source, entry.descriptor)
    media_type = normalized_media_type(raw.media_type)
    if media_type in INDEX_TYPES:
        raise InvalidManifestError("Unexpectedly received a manifest list instead of a manifest for a single image")
    return _judged(question, RawManifest(raw.data, media_type), entry.descriptor.digest, entry.platform)


def _judged(question: _Question, raw: RawManifest, instance: Digest | None, platform: Platform | None) -> JudgedImage:
    place = question.place
    image = untrusted_image(place.reference, question.source, place.store, raw, instance)
    verdict = judge(question.policy, image, require_signed=question.require_signed)
    if verdict.cause is not None and may_pass(verdict.cause):
        raise verdict.cause  # that is no verdict: the next attempt may read what this one could not
    return JudgedImage(instance or manifest_digest(raw.data, raw.media_type), raw.media_type, platform, verdict)
