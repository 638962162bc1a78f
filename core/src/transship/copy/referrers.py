"""What refers to an image, such as signatures and bills of materials, copied along with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from transship.copy.image import AcceptedInstance, accept_instance, copy_instance
from transship.copy.index import accept_instances
from transship.copy.options import CopyOptions
from transship.copy.selection import chosen_positions
from transship.copy.session import Session, Target, failure
from transship.copy.signing import WrittenManifest, require_policy, source_image
from transship.errors import CopyError, NotFoundError, PolicyRejectedError, TransshipError, UnsupportedError
from transship.image.digest import Digest
from transship.image.identification import guess_media_type, manifest_digest, normalized_media_type
from transship.image.index import parse_index
from transship.image.media_types import INDEX_TYPES
from transship.image.subject import subject_of
from transship.plugin.events import ReferrerStarted, Warned
from transship.plugin.transport import RawManifest, Referrer, ReferrerDestination, ReferrerSource
from transship.policy.document import ACCEPT_ALL

COUNT_LIMIT = 1000
"""So many referrers of one image are copied, and of its referrers, together."""

DEPTH_LIMIT = 5
"""A referrer of a referrer of an image has depth 2."""


def options_with_referrers(options: CopyOptions) -> CopyOptions:
    """``options`` as they must be for ``options.referrers``: what refers to an image refers to its very digest."""
    if not options.referrers:
        return options
    changes = {
        "--format": options.manifest_type,
        "--dest-compress-format": options.compress_format,
        "--annotation": options.annotations,
        "--strip-removed-platforms": options.strip_sparse_index,
    }
    if conflict := next((flag for flag, value in changes.items() if value), ""):
        raise UnsupportedError(f"--referrers keeps the image as it is, so it cannot be used with {conflict}")
    return options._replace(preserve_digests=True)


def require_referrer_support(session: Session) -> None:
    """Raise if the source cannot tell what refers to the image, or a target could not hold it."""
    if not session.options.referrers:
        return
    if not isinstance(session.source, ReferrerSource):
        raise UnsupportedError(f"--referrers: {session.reference.transport}: does not know what refers to an image")
    for target in session.targets:
        if not isinstance(target.destination, ReferrerDestination):
            raise UnsupportedError(f"--referrers: {target.reference.transport}: cannot hold what refers to an image")


def copy_referrers(session: Session, image: WrittenManifest) -> None:
    """Copy what refers to ``image``, or to a member that was copied, or in turn to that; to every target.

    ``image`` is what the targets have, and the source too. New signatures are not made. Raises ``TransshipError``.
    """
    session = replace(session, signers=())
    waiting = [(digest, 1) for digest in _subjects(session, image)]
    known = {digest for digest, _ in waiting}
    seen: set[Referrer] = set()
    while waiting:
        subject, depth = waiting.pop(0)
        for referrer in _listed(session, subject):
            if referrer in seen:
                continue
            seen.add(referrer)
            if len(seen) > COUNT_LIMIT or depth > DEPTH_LIMIT:
                raise CopyError(
                    f"more than {COUNT_LIMIT} manifests refer to {image.digest}, or more than {DEPTH_LIMIT} in a row",
                    operation="referrers",
                    side="source",
                )
            if _copy_referrer(session, subject, referrer) and referrer.digest not in known:
                known.add(referrer.digest)
                waiting.append((referrer.digest, depth + 1))


def _subjects(session: Session, image: WrittenManifest) -> list[Digest]:
    if image.media_type not in INDEX_TYPES:
        return [image.digest]
    index = parse_index(image.manifest, image.media_type)
    positions = chosen_positions(index, session.options, session.machine)
    return list(dict.fromkeys([image.digest, *(index.instances[position].digest for position in positions)]))


def _listed(session: Session, subject: Digest) -> Sequence[Referrer]:
    assert isinstance(session.source, ReferrerSource)  # noqa: S101 - require_referrer_support saw to it
    try:
        return session.source.list_referrers(subject)
    except (TransshipError, OSError) as error:
        raise failure(f"listing what refers to {subject}", error, operation="referrers", side="source") from error


def _copy_referrer(session: Session, subject: Digest, referrer: Referrer) -> bool:
    """Copy one; False if it does not refer to ``subject`` after all, or is not there."""
    session.cancellation.check()
    digest = referrer.digest
    try:
        raw = _read(session, digest)
        if not referrer.tag and subject_of(raw.data, raw.media_type) != subject:
            session.emit(Warned(session.image, f"{digest} is listed as referring to {subject}, but does not; left out"))
            return False
        session.emit(ReferrerStarted(session.image, digest, subject, referrer.tag))
        _copy_manifest(session, raw, digest)
        for target in session.targets:
            _enter(session, target, referrer, raw)
    except NotFoundError:
        session.emit(Warned(session.image, f"{digest} is listed as referring to {subject}, but is not there; left out"))
        return False
    except (TransshipError, OSError) as error:
        raise failure(f"copying {digest}, which refers to {subject}", error, operation="referrers") from error
    return True


def _read(session: Session, digest: Digest) -> RawManifest:
    raw = session.source.get_manifest(digest)
    media_type = normalized_media_type(raw.media_type or guess_media_type(raw.data))
    if manifest_digest(raw.data, media_type, digest.algorithm) != digest:
        raise CopyError(f"Manifest does not match provided manifest digest {digest}", operation="read", side="source")
    return RawManifest(raw.data, media_type)


def _copy_manifest(session: Session, raw: RawManifest, digest: Digest) -> None:
    if raw.media_type in INDEX_TYPES:
        _copy_index(session, raw, digest)
    else:
        copy_instance(session, _accept(session, raw, digest), as_member=True)


def _accept(session: Session, raw: RawManifest, digest: Digest) -> AcceptedInstance:
    try:
        return accept_instance(session, raw, digest)
    except CopyError as error:
        from transship.copy.attached_data import is_attached_data  # most policies let everything pass, or nothing

        # A policy that wants signatures cannot want them of signatures. But no image may come in that it would refuse.
        if not _was_refused(error) or not is_attached_data(session.source, raw):
            raise
        options = session.options._replace(require_signed=False)
        return accept_instance(replace(session, policy=ACCEPT_ALL, options=options), raw, digest)


def _was_refused(error: CopyError) -> bool:
    """Whether the policy said no; not, if what it asked for could not be read."""
    verdict = error.__cause__
    return isinstance(verdict, PolicyRejectedError) and verdict.__cause__ is None


def _copy_index(session: Session, raw: RawManifest, digest: Digest) -> None:
    require_policy(session, source_image(session, raw, digest))
    instances = parse_index(raw.data, raw.media_type).instances
    for each in accept_instances(session, [instance.descriptor for instance in instances]):
        copy_instance(session, each, as_member=True)
    if not session.options.dry_run:
        for target in session.targets:
            target.destination.put_manifest(raw.data, raw.media_type, digest)


def _enter(session: Session, target: Target, referrer: Referrer, raw: RawManifest) -> None:
    assert isinstance(target.destination, ReferrerDestination)  # noqa: S101 - require_referrer_support saw to it
    if not session.options.dry_run:
        target.destination.put_referrer(referrer, raw.data, raw.media_type)
