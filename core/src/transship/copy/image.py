"""One image of one platform: policy, signatures, layers, config, manifest."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import NamedTuple

from transship.copy.blobs import put_bytes, read_config
from transship.copy.crew import at_once
from transship.copy.layers import copy_layer
from transship.copy.plan import LayerTask, TypePlan, plan_manifest_type
from transship.copy.session import Session, Target, failure, naming_failure
from transship.copy.signing import WrittenManifest, kept_signatures, put_signatures, require_policy, source_image
from transship.errors import (
    CompressionUnsupportedError,
    CopyError,
    InvalidManifestError,
    ManifestRejectedError,
    TransshipError,
    UnsupportedError,
)
from transship.image.annotation import annotated
from transship.image.config import config_diff_ids
from transship.image.conversion import (
    ImageUpdate,
    UpdatedImage,
    WrittenLayer,
    embeds_other_reference,
    needs_diff_ids,
    updated_image,
)
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest
from transship.image.identification import manifest_digest, normalized_media_type
from transship.image.manifest import ImageManifest, parse_manifest
from transship.image.media_types import INDEX_TYPES
from transship.plugin.events import BlobFinished, BlobStarted, Event, InstanceStarted, WritingManifest
from transship.plugin.mechanism import UntrustedImage
from transship.plugin.signature import Signature
from transship.plugin.transport import RawManifest


class AcceptedInstance(NamedTuple):
    """One image that the policy accepts. ``instance`` is its digest if the source has it as a member of an index.

    ``start`` is what observers are told when its turn comes, None for one that is copied for itself.
    """

    raw: RawManifest
    image: UntrustedImage
    instance: Digest | None
    start: InstanceStarted | None = None


class _Work(NamedTuple):
    """One image on its way to one target."""

    target: Target
    types: TypePlan
    lock: str


class _Plan(NamedTuple):
    """One image on its way to every target."""

    accepted: AcceptedInstance
    manifest: ImageManifest
    signatures: Sequence[Signature]
    works: list[_Work]
    untold: list[Event]


def accept_instance(session: Session, raw: RawManifest, instance: Digest | None) -> AcceptedInstance:
    """Ask the policy about one image, and raise unless it accepts; ``instance`` as in ``AcceptedInstance``."""
    raw = RawManifest(raw.data, normalized_media_type(raw.media_type))
    if raw.media_type in INDEX_TYPES:
        raise InvalidManifestError("Unexpectedly received a manifest list instead of a manifest for a single image")
    image = source_image(session, raw, instance)
    require_policy(session, image)
    return AcceptedInstance(raw, image, instance)


def copy_instance(session: Session, accepted: AcceptedInstance, *, as_member: bool) -> list[WrittenManifest]:
    """Copy one image to every target. ``as_member``: the targets get it as a member of an index, too."""
    return copy_instances(session, [accepted], as_members=as_member)[0]


def copy_instances(
    session: Session, images: Sequence[AcceptedInstance], *, as_members: bool
) -> list[list[WrittenManifest]]:
    """Copy images to every target: the blobs of all of them, then their manifests. As ``copy_instance`` in the rest.

    Their configs are held in memory together. The answer has, for each image, its manifest at each target.
    """
    plans = [_planned(session, accepted, is_first=number == 0) for number, accepted in enumerate(images)]
    configs = at_once(session, [partial(_config, session, plan) for plan in plans])
    tasks = [
        partial(_layer, session, plan, task)
        for plan, config in zip(plans, configs, strict=True)
        for task in _layer_tasks(plan.manifest, config, plan.works)
    ]
    layers = iter(at_once(session, tasks))
    return [
        _written(session, plan, config, list(islice(layers, len(plan.manifest.layers))), as_members)
        for plan, config in zip(plans, configs, strict=True)
    ]


def _naming(accepted: AcceptedInstance) -> AbstractContextManager[None]:
    """Say which of several images it was that failed."""
    start = accepted.start
    return naming_failure(f"copying image {start.number}/{start.total} from manifest list" if start else "")


def _planned(session: Session, accepted: AcceptedInstance, *, is_first: bool) -> _Plan:
    untold: list[Event] = []
    if not is_first:  # its turn to be told of comes when the images before it are written
        session = replace(session, observer=untold.append)
    if accepted.start:
        session.emit(accepted.start)
    with _naming(accepted):
        signatures = kept_signatures(session, accepted.image, of_index=False)
        try:
            manifest = parse_manifest(accepted.raw.data, accepted.raw.media_type)
        except InvalidManifestError as error:
            raise failure(f"reading manifest of {session.reference}", error, operation="read", side="source") from error
        works = [_work(session, manifest, target, signatures) for target in session.targets]
        return _Plan(accepted, manifest, signatures, works, untold)


def _config(session: Session, plan: _Plan) -> bytes | None:
    with _naming(plan.accepted):
        return read_config(session, plan.manifest.config) if plan.manifest.config is not None else None


def _layer(session: Session, plan: _Plan, task: LayerTask) -> list[WrittenLayer]:
    with _naming(plan.accepted):
        return copy_layer(session, task)


def _written(
    session: Session, plan: _Plan, config: bytes | None, layers: list[list[WrittenLayer]], as_member: bool
) -> list[WrittenManifest]:
    for event in plan.untold:
        session.observer(event)
    with _naming(plan.accepted):
        if session.options.dry_run:
            return [_foreseen(session, work.target, plan, config) for work in plan.works]
        instance = plan.accepted.instance if as_member else None
        return [
            _finish(
                session, work, plan.manifest, config, [layer[number] for layer in layers], plan.signatures, instance
            )
            for number, work in enumerate(plan.works)
        ]


def _foreseen(session: Session, target: Target, plan: _Plan, config: bytes | None) -> WrittenManifest:
    """What a dry run knows: converting may need what only reading the layers tells."""
    data, manifest = plan.accepted.raw.data, plan.manifest
    if config is not None and manifest.config is not None:
        put_bytes(session, target, config, manifest.config, is_config=True)
    return WrittenManifest(data, manifest.media_type, manifest_digest(data, manifest.media_type))


def lock_reason(session: Session, target: Target, signatures: Sequence[Signature], hint: str = "") -> str:
    """Why the manifest must stay as it is; ``""`` if it need not."""
    if signatures:
        return f"Would invalidate signatures{hint}"
    if target.reference.named is not None and target.reference.named.digest is not None:
        return "Destination specifies a digest"
    if session.options.preserve_digests:
        return "Instructed to preserve digests"
    return ""


def _work(session: Session, manifest: ImageManifest, target: Target, signatures: Sequence[Signature]) -> _Work:
    lock = lock_reason(session, target, signatures)
    types = plan_manifest_type(
        manifest.media_type,
        target.traits.manifest_types,
        forced=session.options.manifest_type,
        compression=session.options.compress_format,
        locked=bool(lock),
    )
    if lock and embeds_other_reference(manifest, target.reference.named):
        raise UnsupportedError(
            "Copying a schema1 image with an embedded Docker reference to "
            f"{target.reference} (Docker reference {target.reference.named}) would change the manifest, "
            f'which we cannot do: "{lock}"'
        )
    return _Work(target, types, lock)


def _layer_tasks(manifest: ImageManifest, config: bytes | None, works: list[_Work]) -> list[LayerTask]:
    needed = any(needs_diff_ids(manifest, work.types.preferred) for work in works)
    promised = _promised_diff_ids(manifest, config)
    return [
        LayerTask(
            layer.descriptor,
            promised[number] if promised else None,
            needed,
            tuple(not work.lock and manifest.can_change_compression(layer.descriptor.media_type) for work in works),
        )
        for number, layer in enumerate(manifest.layers)
    ]


def _promised_diff_ids(manifest: ImageManifest, config: bytes | None) -> tuple[Digest, ...]:
    """The diff IDs of the layers in order, or none where the config of an artifact or an odd image has none."""
    if config is None or not manifest.is_image:
        return ()
    try:
        diff_ids = config_diff_ids(config)
    except InvalidManifestError:  # an odd config promises nothing, and is copied as it is
        return ()
    return diff_ids if len(diff_ids) == len(manifest.layers) else ()


def _finish(
    session: Session,
    work: _Work,
    manifest: ImageManifest,
    config: bytes | None,
    layers: list[WrittenLayer],
    signatures: Sequence[Signature],
    instance: Digest | None,
) -> WrittenManifest:
    """Config, manifest and signatures of one target, trying other manifest types where that may help."""
    failures = []
    for media_type in (work.types.preferred, *work.types.fallbacks):
        try:
            updated = _updated(session, work, manifest, config, layers, media_type)
            written = _put_image(session, work.target, updated, layers, instance)
        except (ManifestRejectedError, CompressionUnsupportedError) as error:
            if work.lock:
                raise failure(
                    f'writing manifest failed and we cannot try conversions: "{work.lock}"',
                    error,
                    operation="manifest",
                    side="destination",
                ) from error
            failures.append((media_type, error))
            continue
        put_signatures(session, work.target, signatures, written, instance and written.digest, of_index=False)
        return written
    attempts = ", ".join(f"{media_type}({error})" for media_type, error in failures)
    if len(failures) == 1:
        raise failure("writing manifest", failures[0][1], operation="manifest", side="destination") from failures[0][1]
    raise CopyError(
        f"Uploading manifest failed, attempted the following formats: {attempts}",
        operation="manifest",
        side="destination",
    )


def _updated(
    session: Session,
    work: _Work,
    manifest: ImageManifest,
    config: bytes | None,
    layers: list[WrittenLayer],
    media_type: str,
) -> UpdatedImage:
    changed = any(
        layer.descriptor.digest != written.descriptor.digest
        for layer, written in zip(manifest.layers, layers, strict=True)
    )
    if changed and work.lock:
        raise UnsupportedError(
            f'Copying this image would require changing layer representation, which we cannot do: "{work.lock}"'
        )
    named = work.target.reference.named
    update = ImageUpdate(
        media_type=media_type if media_type != manifest.media_type else "",
        layers=tuple(layers) if changed else None,
        written=tuple(layers),
        named=named if not work.lock else None,
    )
    return updated_image(manifest, config, update)


def _put_image(
    session: Session,
    target: Target,
    updated: UpdatedImage,
    layers: list[WrittenLayer],
    instance: Digest | None,
) -> WrittenManifest:
    for blob in updated.extra_blobs:
        put_bytes(session, target, blob, _described(blob), is_config=False)
    if updated.config is not None and updated.config_descriptor is not None:
        _put_config(session, target, updated.config, updated.config_descriptor)
    data = updated.manifest
    if session.options.annotations and instance is None:
        data = annotated(data, updated.media_type, session.options.annotations)
    digest = manifest_digest(data, updated.media_type, instance.algorithm if instance else "sha256")
    session.emit(WritingManifest(session.image, of_index=False))
    try:
        target.destination.put_manifest(data, updated.media_type, instance and digest)
    except ManifestRejectedError:
        raise
    except (TransshipError, OSError) as error:
        raise failure("writing manifest", error, operation="manifest", side="destination") from error
    compressions = frozenset(layer.compression for layer in layers if layer.compression)
    return WrittenManifest(data, updated.media_type, digest, compressions)


def _described(data: bytes) -> Descriptor:
    return Descriptor("", manifest_digest(data), len(data))


def _put_config(session: Session, target: Target, config: bytes, descriptor: Descriptor) -> None:
    key = next(session.keys)
    session.emit(BlobStarted(session.image, key, descriptor.digest, len(config), is_config=True))
    put_bytes(session, target, config, descriptor, is_config=True)
    session.emit(BlobFinished(session.image, key, descriptor.digest, len(config), reused=False))
