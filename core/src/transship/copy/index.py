"""An index and its instances."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from transship.copy.crew import at_once
from transship.copy.image import AcceptedInstance, accept_instance, copy_instances, lock_reason
from transship.copy.plan import TypePlan, plan_index_type, takes_indexes
from transship.copy.selection import chosen_positions
from transship.copy.session import Session, Target, failure, naming_failure
from transship.copy.signing import WrittenManifest, kept_signatures, put_signatures, require_policy, source_image
from transship.errors import CopyError, InvalidManifestError, ManifestRejectedError, TransshipError, UnsupportedError
from transship.image.annotation import annotated
from transship.image.descriptor import Descriptor
from transship.image.identification import guess_media_type, manifest_digest
from transship.image.index import Edit, Index, converted_index, edited, parse_index
from transship.plugin.events import IndexStarted, InstanceStarted, WritingManifest
from transship.plugin.transport import RawManifest, Source

_TOTAL_LIMIT = 64 << 20
_TOGETHER = 8
"""How many images are copied together: their configs, of 4 MiB at most, are held in memory."""

_SIGNED_HINT = "; consider removing them from the multi-platform list"


def copy_index(session: Session, index: Index) -> list[WrittenManifest]:
    """Copy the chosen instances of an index, then the index itself, to every target."""
    for target in session.targets:
        if not takes_indexes(target.traits.manifest_types):
            raise UnsupportedError(
                f'copying multiple images: destination transport "{target.reference.transport}" '
                "does not support copying multiple images as a group"
            )
    positions = chosen_positions(index, session.options, session.machine)
    image = source_image(session, RawManifest(index.data, index.media_type), None)
    if not positions:
        require_policy(session, image)  # otherwise each instance is asked for
    signatures = kept_signatures(session, image, of_index=True)
    plans = [_plan(session, index, target, bool(signatures)) for target in session.targets]
    written = _copy_instances(session, index, positions)
    results = []
    for number, (target, (plan, lock)) in enumerate(zip(session.targets, plans, strict=True)):
        edits = {position: _edit(images[number]) for position, images in written.items()}
        results.append(_put_index(session, target, index, plan, lock, edits))
        put_signatures(session, target, signatures, results[-1], None, of_index=True)
    return results


def read_instance(source: Source, descriptor: Descriptor) -> RawManifest:
    """The manifest of an instance, verified against its digest and size."""
    digest = descriptor.digest
    try:
        raw = source.get_manifest(digest)
    except (TransshipError, OSError) as error:
        raise failure(f"reading manifest {digest}", error, operation="read", side="source") from error
    media_type = raw.media_type or descriptor.media_type or guess_media_type(raw.data)
    if manifest_digest(raw.data, media_type, digest.algorithm) != digest:
        raise CopyError(f"Manifest does not match provided manifest digest {digest}", operation="read", side="source")
    if len(raw.data) != descriptor.size:
        raise CopyError(
            f"Size mismatch when reading manifest {digest}, expected {descriptor.size}, got {len(raw.data)}",
            operation="read",
            side="source",
        )
    return RawManifest(raw.data, media_type)


def _plan(session: Session, index: Index, target: Target, signed: bool) -> tuple[TypePlan, str]:
    lock = lock_reason(session, target, (), "")
    if signed:
        lock = f"Would invalidate signatures{_SIGNED_HINT}"
    plan = plan_index_type(index.media_type, target.traits.manifest_types, forced=session.options.manifest_type)
    if lock and plan.preferred != index.media_type:
        raise UnsupportedError(
            f'Manifest list must be converted to type "{plan.preferred}" to be written to destination, '
            f'but we cannot modify it: "{lock}"'
        )
    return (TypePlan(plan.preferred) if lock else plan), lock


def _copy_instances(session: Session, index: Index, positions: Sequence[int]) -> dict[int, list[WrittenManifest]]:
    session.emit(IndexStarted(session.image, len(positions), len(index.instances)))
    accepted = accept_instances(session, [index.instances[position].descriptor for position in positions])
    images = [
        each._replace(start=InstanceStarted(session.image, index.instances[position].digest, number, len(positions)))
        for number, (position, each) in enumerate(zip(positions, accepted, strict=True), start=1)
    ]
    written: list[list[WrittenManifest]] = []
    for first in range(0, len(images), _TOGETHER):
        written += copy_instances(session, images[first : first + _TOGETHER], as_members=True)
    return dict(zip(positions, written, strict=True))


def accept_instances(session: Session, descriptors: Sequence[Descriptor]) -> list[AcceptedInstance]:
    """Read members of an index and ask the policy about all of them, before anything of the first one is written."""
    if sum(descriptor.size for descriptor in descriptors) > _TOTAL_LIMIT:
        raise InvalidManifestError(f"the manifests of an index have more than {_TOTAL_LIMIT} bytes together")
    read = at_once(session, [partial(_read_if_wanted, session, descriptor) for descriptor in descriptors])
    accepted = []
    for number, (raw, descriptor) in enumerate(zip(read, descriptors, strict=True), start=1):
        session.cancellation.check()
        with naming_failure(f"copying image {number}/{len(descriptors)} from manifest list"):
            accepted.append(accept_instance(session, raw, descriptor.digest))
    return accepted


def _read_if_wanted(session: Session, descriptor: Descriptor) -> RawManifest:
    session.cancellation.check()
    return read_instance(session.source, descriptor)


def _edit(image: WrittenManifest) -> Edit:
    return Edit(image.digest, len(image.manifest), image.media_type, "zstd" in image.compressions)


def _put_index(
    session: Session, target: Target, index: Index, plan: TypePlan, lock: str, edits: dict[int, Edit]
) -> WrittenManifest:
    if session.options.dry_run:
        return WrittenManifest(index.data, index.media_type, manifest_digest(index.data))
    keep = set(edits) if session.options.strip_sparse_index else None
    changed = edited(index, edits, keep=keep, annotate_zstd=not lock)
    if lock and changed != index.data:
        raise CopyError(
            f'Manifest list was edited, but we cannot modify it: "{lock}"', operation="manifest", side="destination"
        )
    if not session.options.dry_run:
        session.emit(WritingManifest(session.image, of_index=True))
    failures = []
    for media_type in (plan.preferred, *plan.fallbacks):
        try:
            return _put_index_as(session, target, index, changed, media_type)
        except ManifestRejectedError as error:
            failures.append(f"{media_type}({error})")
    raise CopyError(
        f"Uploading manifest list failed, attempted the following formats: {', '.join(failures)}",
        operation="manifest",
        side="destination",
    )


def _put_index_as(session: Session, target: Target, index: Index, data: bytes, media_type: str) -> WrittenManifest:
    if media_type != index.media_type:
        data = converted_index(parse_index(data, index.media_type), media_type, session.machine).data
    if session.options.annotations:
        data = annotated(data, media_type, session.options.annotations)
    try:
        target.destination.put_manifest(data, media_type, None)
    except ManifestRejectedError:
        raise
    except (TransshipError, OSError) as error:
        raise failure("writing manifest list", error, operation="manifest", side="destination") from error
    return WrittenManifest(data, media_type, manifest_digest(data))
