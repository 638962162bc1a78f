"""Whether an image is at the destination already, told without reading it wherever that is safe."""

from __future__ import annotations

import contextlib

from transship.copy.options import CopyOptions, MultiArch
from transship.errors import PolicyError, TransshipError
from transship.image.digest import Digest
from transship.image.identification import guess_media_type, manifest_digest, normalized_media_type
from transship.image.index import choose, parse_index
from transship.image.media_types import INDEX_TYPES
from transship.image.platform import wanted_platforms
from transship.places import Place
from transship.plugin.machine import machine_platform
from transship.plugin.transport import DigestReader, ManifestIdentity, Source
from transship.policy.document import Policy
from transship.policy.evaluation import require_scopes_of
from transship.policy.requirements import ACCEPT_ANYTHING


def present_digest(source: Place, destination: Place, policy: Policy, options: CopyOptions) -> Digest | None:
    """The digest of the image at the destination if a copy would change nothing there, None if it might.

    Neither side is asked if what to do depends on more than on the image's digest: signatures to make or to verify,
    conversions. What goes wrong here is not an error: the copy will meet it again, and say so.
    """
    if not _decided_by_digest(source, policy, options):
        return None
    try:
        there = _identity(destination)
        if there is None:
            return None
        wanted = _wanted(source, options)
    except (TransshipError, OSError):
        return None
    if wanted is None or wanted.digest != there.digest or options.manifest_type not in ("", wanted.media_type):
        return None
    return wanted.digest


def _decided_by_digest(source: Place, policy: Policy, options: CopyOptions) -> bool:
    try:
        require_scopes_of(source.reference, policy, source.transport)
    except PolicyError:
        return False
    _, requirements = policy.scope_of(source.reference)
    return (
        options.multi_arch in (MultiArch.SYSTEM, MultiArch.ALL)
        and not (options.annotations or options.compress_format or options.referrers or options.require_signed)
        and source.store is None
        and bool(requirements)
        and all(requirement.type == ACCEPT_ANYTHING for requirement in requirements)
    )


def _identity(destination: Place) -> ManifestIdentity | None:
    if not isinstance(destination.transport, DigestReader):
        return None
    return destination.transport.get_digest(destination.reference, destination.context, for_writing=True)


def _wanted(source: Place, options: CopyOptions) -> ManifestIdentity | None:
    """What a copy would read, unless it has signatures, which would have to be copied too."""
    transport = source.transport
    if isinstance(transport, DigestReader):
        found = transport.get_digest(source.reference, source.context)
        if found is None or not found.media_type:
            return None
        is_read = found.media_type in INDEX_TYPES and options.multi_arch is MultiArch.SYSTEM
        signed = not options.remove_signatures and transport.may_be_signed(source.reference, source.context)
        if not (is_read or signed):
            return found
    with contextlib.closing(transport.open_source(source.reference, source.context)) as opened:
        return _read(opened, options)


def _read(source: Source, options: CopyOptions) -> ManifestIdentity | None:
    raw = source.get_manifest()
    media_type = normalized_media_type(raw.media_type or guess_media_type(raw.data))
    identity = ManifestIdentity(manifest_digest(raw.data, media_type), media_type)
    members: list[Digest | None] = [None]
    if media_type in INDEX_TYPES:
        index = parse_index(raw.data, media_type)
        if options.multi_arch is MultiArch.SYSTEM:
            digest = choose(index, wanted_platforms(options.platform, machine_platform()))
            chosen = next(entry.descriptor for entry in index.instances if entry.digest == digest)
            identity, members = ManifestIdentity(digest, chosen.media_type), [digest]
        else:
            members += [entry.digest for entry in index.instances]
    if not options.remove_signatures and any(source.get_signatures(member) for member in members):
        return None
    return identity
