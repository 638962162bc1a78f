"""One copy from beginning to end: the only place that knows the whole sequence."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace

from transship.copy.crew import blob_threads
from transship.copy.flights import BlobFlights
from transship.copy.image import accept_instance, copy_instance
from transship.copy.index import copy_index, read_instance
from transship.copy.options import CopyOptions, CopyResult, MultiArch
from transship.copy.pipeline import keep_freed_memory
from transship.copy.referrers import copy_referrers, options_with_referrers, require_referrer_support
from transship.copy.session import Observer, Session, Target, failure
from transship.copy.signers import SharedSigner
from transship.copy.signing import WrittenManifest, require_signable
from transship.discovery import PluginManager
from transship.errors import ContentMismatchError, CopyError, TransshipError
from transship.image.identification import guess_media_type, manifest_digest, normalized_media_type
from transship.image.index import choose, parse_index
from transship.image.media_types import INDEX_TYPES
from transship.image.platform import wanted_platforms
from transship.places import Place
from transship.plugin.cancellation import Cancellation
from transship.plugin.events import ImageFinished, ImageStarted
from transship.plugin.machine import machine_platform
from transship.plugin.transport import RawManifest, Reference, Source
from transship.policy.document import Policy
from transship.policy.evaluation import require_scopes_of, require_valid_scopes


def copy_image(
    manager: PluginManager,
    source: Place,
    destinations: Sequence[Place],
    *,
    policy: Policy,
    options: CopyOptions,
    signers: Sequence[SharedSigner] = (),
    flights: BlobFlights | None = None,
    threads: Executor | None = None,
    observer: Observer = lambda event: None,
) -> list[CopyResult]:
    """Copy what ``source`` names to all ``destinations``; the answers are in their order.

    Each of ``signers`` signs what was written, and each member of an index. ``flights`` are shared by copies at the
    same time that may have blobs in common, ``threads`` by any; None: this copy has its own.

    Raises ``CopyError`` or another ``TransshipError``; then no destination was committed, unless it was the commit of
    a later one that failed.
    """
    keep_freed_memory()
    require_valid_scopes(policy, source.transport)
    require_scopes_of(source.reference, policy, source.transport)
    options = options_with_referrers(options)
    with contextlib.ExitStack() as stack:
        targets = [_open_target(place, stack, dry_run=options.dry_run) for place in destinations]
        opened = _open_source(source, stack)
        session = Session(
            manager,
            source.reference,
            opened,
            targets,
            policy,
            options,
            machine_platform(),
            Cancellation(parent=source.context.cancellation),
            observer,
            threads or stack.enter_context(blob_threads()),
            signers,
            source.store,
            flights,
        )
        stack.callback(session.cancellation.cancel)
        require_signable(session)
        require_referrer_support(session)
        written = _copy(session)
        if options.referrers:
            copy_referrers(session, written[0])
        if not options.dry_run:
            for target in targets:
                _commit(target)
        return [_finished(session, target, image) for target, image in zip(targets, written, strict=True)]


def _open_target(place: Place, stack: contextlib.ExitStack, *, dry_run: bool) -> Target:
    try:
        context = replace(place.context, dry_run=dry_run)
        destination = place.transport.open_destination(place.reference, context)
        stack.callback(destination.close)
        return Target(place.reference, destination, destination.traits, place.store)
    except (TransshipError, OSError) as error:
        raise failure(
            f"initializing destination {place.reference}", error, operation="open", side="destination"
        ) from error


def _open_source(place: Place, stack: contextlib.ExitStack) -> Source:
    try:
        source = place.transport.open_source(place.reference, place.context)
    except (TransshipError, OSError) as error:
        raise failure(f"initializing source {place.reference}", error, operation="open", side="source") from error
    stack.callback(source.close)
    return source


def read_top(reference: Reference, source: Source) -> RawManifest:
    """What the reference names, with its media type, and verified if the reference holds a digest."""
    try:
        raw = source.get_manifest()
        media_type = raw.media_type or guess_media_type(raw.data)
        named = reference.named
        if named is not None and named.digest is not None:
            digest = manifest_digest(raw.data, media_type, named.digest.algorithm)
            if digest != named.digest:
                raise ContentMismatchError(f"Manifest does not match provided manifest digest {named.digest}")
    except (TransshipError, OSError) as error:
        raise failure(f"reading manifest of {reference}", error, operation="read", side="source") from error
    return RawManifest(raw.data, normalized_media_type(media_type))


def _copy(session: Session) -> list[WrittenManifest]:
    raw = read_top(session.reference, session.source)
    session.emit(ImageStarted(session.image, manifest_digest(raw.data, raw.media_type), raw.media_type))
    if raw.media_type not in INDEX_TYPES:
        return copy_instance(session, accept_instance(session, raw, None), as_member=False)
    index = parse_index(raw.data, raw.media_type)
    if session.options.multi_arch is not MultiArch.SYSTEM:
        return copy_index(session, index)
    try:
        digest = choose(index, wanted_platforms(session.options.platform, session.machine))
    except TransshipError as error:
        raise failure(
            f"choosing an image from manifest list {session.reference}", error, operation="choose", side="source"
        ) from error
    chosen = next(entry.descriptor for entry in index.instances if entry.descriptor.digest == digest)
    try:
        accepted = accept_instance(session, read_instance(session.source, chosen), digest)
        return copy_instance(session, accepted, as_member=False)
    except CopyError as error:
        raise failure("copying system image from manifest list", error, operation=error.operation) from error


def _commit(target: Target) -> None:
    try:
        target.destination.commit()
    except (TransshipError, OSError) as error:
        raise failure("committing the finished image", error, operation="commit", side="destination") from error


def _finished(session: Session, target: Target, image: WrittenManifest) -> CopyResult:
    if not session.options.dry_run:
        session.emit(ImageFinished(session.image, str(target.reference), image.digest))
    return CopyResult(
        str(target.reference),
        image.digest,
        image.media_type,
        target.blobs_written,
        target.blobs_reused,
        target.bytes_written,
    )
