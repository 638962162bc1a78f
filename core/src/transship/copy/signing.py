"""Signatures of a copy: what the policy makes of the source's, which ones are kept, and which are made."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace
from typing import NamedTuple

from transship.copy.session import Session, Target, failure
from transship.errors import CopyError, InvalidReferenceError, PolicyRejectedError, SignatureError, TransshipError
from transship.image.digest import Digest
from transship.image.identification import manifest_digest
from transship.image.reference import DockerReference
from transship.plugin.events import (
    CheckingSignatureSupport,
    CreatingSignature,
    ImageJudged,
    ReadingSignatures,
    SignatureCreated,
    StoringSignatures,
)
from transship.plugin.mechanism import SignatureStore, UntrustedImage
from transship.plugin.signature import Signature
from transship.plugin.transport import RawManifest, Reference, Source
from transship.policy.evaluation import judge, require_accepted


class WrittenManifest(NamedTuple):
    """A manifest or index as one target has it. ``compressions`` are those of its layers, of an index none."""

    manifest: bytes
    media_type: str
    digest: Digest
    compressions: frozenset[str] = frozenset()


def untrusted_image(
    reference: Reference, source: Source, store: SignatureStore | None, raw: RawManifest, instance: Digest | None
) -> UntrustedImage:
    """What was read from ``source``, ``instance`` if it is that member of its index, for a policy to judge.

    Its signatures are those of the source and of ``store``. Reading them raises ``CopyError``.
    """

    def read_signatures() -> Sequence[Signature]:
        try:
            found = list(source.get_signatures(instance))
            if store is not None:
                found += store.read(reference, instance or manifest_digest(raw.data, raw.media_type))
            return found
        except (TransshipError, OSError) as error:
            raise failure("reading signatures", error, operation="read", side="source") from error

    return UntrustedImage(reference, raw.data, raw.media_type, read_signatures)


def source_image(session: Session, raw: RawManifest, instance: Digest | None) -> UntrustedImage:
    """As ``untrusted_image``, of the source of a copy."""
    return untrusted_image(session.reference, session.source, session.store, raw, instance)


def require_policy(session: Session, image: UntrustedImage) -> None:
    """Raise unless the policy accepts ``image``."""
    verdict = judge(session.policy, image, require_signed=session.options.require_signed)
    digest = manifest_digest(image.manifest, image.media_type)
    session.emit(
        ImageJudged(session.image, digest, str(verdict.scope), verdict.accepted, verdict.reason, verdict.requirements)
    )
    try:
        require_accepted(verdict)
    except PolicyRejectedError as error:
        raise failure("Source image rejected", error, operation="policy", side="source") from error


def kept_signatures(session: Session, image: UntrustedImage, *, of_index: bool) -> Sequence[Signature]:
    """The signatures to keep; raises if a target cannot hold them."""
    options = session.options
    if options.remove_signatures or (of_index and options.remove_index_signatures):
        return ()
    session.emit(ReadingSignatures(session.image, of_index))
    signatures = image.signatures
    if signatures:
        session.emit(CheckingSignatureSupport(session.image, of_index))
    formats = {signature.format for signature in signatures}
    for target in session.targets:
        if refusal := _refusal(target, formats):
            raise CopyError(
                f"Can not copy signatures to {target.reference}: {refusal}",
                operation="signatures",
                side="destination",
            )
    return signatures


def require_signable(session: Session) -> None:
    """Raise if what is to be signed cannot be: before anything is written rather than after."""
    formats = {signer.format for signer in session.signers}
    for target in session.targets if formats else ():
        _signed_identity(session, target)
        if refusal := _refusal(target, formats):
            raise CopyError(f"writing signatures: {refusal}", operation="signatures", side="destination")


def put_signatures(
    session: Session,
    target: Target,
    kept: Sequence[Signature],
    written: WrittenManifest,
    instance: Digest | None,
    *,
    of_index: bool,
) -> None:
    """Store the signatures that were kept and those that are made now, over the manifest as it was written.

    For an index that is announced in any case, as Skopeo does.
    """
    if session.options.dry_run:
        return
    signatures = [*kept, *_created(session, target, written)]
    if signatures or of_index:
        session.emit(StoringSignatures(session.image, of_index))
    if not signatures:
        return
    try:
        if target.store is not None:
            target.store.write(target.reference, written.digest, signatures)
        else:
            target.destination.put_signatures(signatures, instance)
    except (TransshipError, OSError) as error:
        raise failure("writing signatures", error, operation="signatures", side="destination") from error


def _created(session: Session, target: Target, written: WrittenManifest) -> list[Signature]:
    if not session.signers:
        return []
    identity = _signed_identity(session, target)
    digest = manifest_digest(written.manifest, written.media_type)  # SHA-256 is what every verifier knows
    count, signatures = len(session.signers), []
    for number, signer in enumerate(session.signers, start=1):
        session.emit(CreatingSignature(session.image, number, count, signer.description))
        try:
            signatures.append(signer.sign(written.manifest, digest, identity))
        except (TransshipError, OSError) as error:
            which = "" if count == 1 else f" {number}"
            raise failure(f"creating signature{which}", error, operation="signatures") from error
        session.emit(SignatureCreated(session.image, str(target.reference), digest, signer.mechanism, str(identity)))
    return signatures


def _signed_identity(session: Session, target: Target) -> DockerReference:
    """The docker reference that new signatures are for."""
    if text := session.options.sign_identity:
        try:
            identity = DockerReference.parse_canonical(text)
        except InvalidReferenceError as error:
            raise InvalidReferenceError(f"Could not parse sign identity {text!r}: {error}") from error
        if not _is_fixed(identity):
            raise SignatureError(f"Sign identity must be a fully specified reference {identity}")
        return identity
    named = target.reference.named
    if named is None:
        raise SignatureError(
            f"Cannot determine canonical Docker reference for destination {target.reference}; "
            "say with --sign-identity what the signature is for"
        )
    if not _is_fixed(named):
        raise SignatureError(f"reference {named} can\u2019t be signed, it has neither a tag nor a digest")
    # Whoever pulls by the tag alone would refuse a signature for both; the digest is in the signature anyway.
    return replace(named, digest=None) if named.tag else named


def _is_fixed(reference: DockerReference) -> bool:
    return bool(reference.tag) or reference.digest is not None


def _refusal(target: Target, formats: Set[str]) -> str:
    """Why a target cannot hold signatures of these formats, ``""`` if it can."""
    if target.store is not None or not formats:
        return ""
    refused = (target.traits.refuses_formats.get(name, "") for name in sorted(formats))
    return target.traits.refuses_signatures or next(filter(None, refused), "")
