"""Writing an image to a registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from transship.errors import (
    ContentMismatchError,
    InvalidManifestError,
    InvalidReferenceError,
    ManifestRejectedError,
    TransportError,
)
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest
from transship.image.identification import manifest_digest
from transship.image.media_types import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA1,
    DOCKER_SCHEMA1_SIGNED,
    OCI_INDEX,
    OCI_MANIFEST,
)
from transship.image.reference import DockerReference
from transship.image.subject import subject_of
from transship.plugin.blob import BlobReader
from transship.plugin.signature import Signature
from transship.plugin.transport import Destination, DestinationTraits, LayerCompression, Referrer
from transship_docker.access import RegistryAccess
from transship_docker.attachments import put_attachments
from transship_docker.blob_cache import open_cache, save_cache
from transship_docker.errors import RegistryError
from transship_docker.manifest_uploads import ManifestUploader
from transship_docker.mounts import BlobFinder
from transship_docker.rate_limit import RateLimit
from transship_docker.reference import RegistryReference
from transship_docker.referrers import add_referrer
from transship_docker.replay import ReplayableBlob
from transship_docker.signature_storage import ImageSignatures
from transship_docker.uploads import Uploader

PRECOMPUTE_DIGESTS = "precompute-digests"
ADDITIONAL_TAGS = "additional-tags"

_MANIFEST_TYPES = (OCI_MANIFEST, DOCKER_MANIFEST, OCI_INDEX, DOCKER_LIST, DOCKER_SCHEMA1_SIGNED, DOCKER_SCHEMA1)


class RegistryDestination(Destination):
    """An image in a registry. It is put there by its digest, and gets its tags in the end."""

    def __init__(self, reference: RegistryReference, access: RegistryAccess) -> None:
        context = access.context
        self._image = reference.image
        self._context = context
        self._precomputes = context.flag(PRECOMPUTE_DIGESTS)
        self._tags = _tags(reference.image, context.options.get(ADDITIONAL_TAGS, ""))
        self._missing_tags = self._tags
        self._cache = open_cache(context)
        limit = context.obtain("docker rate limit", lambda: RateLimit.of(context.options, context.cancellation))
        self._client = access.client(self._image, "pull,push")
        self._signatures = ImageSignatures.load(self._client, self._image, context)
        self._finder = context.obtain(
            ("docker blobs", self._image.domain, self._image.path),
            lambda: BlobFinder(self._client, self._image, self._cache),
        )
        self._uploader = Uploader.of(self._client, context, limit, self._finder.has_now)
        self._manifests = ManifestUploader(self._client, self._image, context.cancellation)
        self._top: tuple[bytes, str] | None = None
        self._is_complete = False

    @cached_property
    def traits(self) -> DestinationTraits:
        return DestinationTraits(
            manifest_types=_MANIFEST_TYPES,
            compression=LayerCompression.COMPRESS,
            accepts_foreign_urls=True,
            parallel=True,
            refuses_signatures=self._signatures.refusal(),
            refuses_formats=self._signatures.refused_formats(),
        )

    def reuse_blob(self, descriptor: Descriptor) -> Descriptor | None:
        if self._context.dry_run:  # a mount is a change
            size = self._finder.size_here(descriptor.digest)
        else:
            size = self._finder.size_here_or_mounted(descriptor.digest, descriptor.size)
        if size is None or (descriptor.size >= 0 and size != descriptor.size):
            return None
        return descriptor._replace(size=size)

    def put_blob(self, blob: BlobReader) -> None:
        kept = ReplayableBlob(blob, self._context.temporary_directory)
        try:
            if blob.expected.digest is None and self._precomputes:
                kept.read_until(None)
            digest = kept.finish().digest if kept.is_read else blob.expected.digest
            present = self._finder.size_here(digest) if digest is not None else None
            if present is None or 0 <= kept.size != present:
                self._uploader.upload(kept)
            descriptor = kept.finish()
            self._finder.note(descriptor.digest, descriptor.size)
        finally:
            kept.close()

    def note_variant(self, uncompressed: Digest, recipe: str, written: Descriptor) -> None:
        self._cache.note_variant(uncompressed, recipe, written)

    def known_variant(self, uncompressed: Digest, recipe: str) -> Descriptor | None:
        return self._cache.variant(uncompressed, recipe)

    def put_manifest(self, data: bytes, media_type: str, instance: Digest | None = None) -> None:
        if instance is not None:
            headers = self._manifests.put(data, media_type, str(instance))
        else:
            headers = self._put_top(data, media_type)
            self._top = data, media_type
        self._account_for_subject(data, media_type, headers)

    def put_signatures(self, signatures: Sequence[Signature], instance: Digest | None = None) -> None:
        digest = instance or (manifest_digest(*self._top) if self._top else None)
        if digest is None:
            raise TransportError("the manifest that the signatures are for was not written yet")
        self._signatures.write(digest, signatures, self._uploader, self._manifests)

    def put_referrer(self, referrer: Referrer, data: bytes, media_type: str) -> None:
        """What has a subject is found already; a tag is put where nothing of this repository's own is lost."""
        if referrer.tag:
            put_attachments(self._uploader, self._manifests, referrer.tag, data, media_type)

    def commit(self) -> None:
        if self._top is None:
            return
        for tag in self._missing_tags:
            self._manifests.put(*self._top, tag)
        self._is_complete = True

    def close(self) -> None:
        if not self._is_complete:  # what was believed of the registry may have been wrong
            self._finder.forget_all()
        save_cache(self._context, self._cache)
        self._client.close()

    def _put_top(self, data: bytes, media_type: str) -> Mapping[str, str]:
        self._require_named_digest(data, media_type)
        digest = self._image.digest or manifest_digest(data, media_type)
        self._missing_tags = self._tags
        try:
            return self._manifests.put(data, media_type, str(digest))
        except (RegistryError, ManifestRejectedError) as error:
            if not (self._tags and _refuses_digests(error)):
                raise
        headers = self._manifests.put(data, media_type, self._tags[0])
        self._missing_tags = self._tags[1:]
        return headers

    def _require_named_digest(self, data: bytes, media_type: str) -> None:
        named = self._image.digest
        if named is not None and manifest_digest(data, media_type, named.algorithm) != named:
            raise TransportError("Digest of source image's manifest would not match destination reference")

    def _account_for_subject(self, data: bytes, media_type: str, headers: Mapping[str, str]) -> None:
        subject = subject_of(data, media_type)
        if subject is None or headers.get("oci-subject"):
            return
        try:
            add_referrer(self._manifests, subject, data)
        except (TransportError, InvalidManifestError, ManifestRejectedError, ContentMismatchError) as error:
            # The image itself is complete; only who asks for what refers to another will not find it.
            self._context.warn(str(error))


def _tags(image: DockerReference, further: str) -> list[str]:
    """The tags that the image gets; raises ``InvalidReferenceError`` for ``further`` ones of other repositories."""
    others = [DockerReference.parse(name) for name in further.split(",") if name]
    for other in others:
        if other.name != image.name or not other.tag:
            raise InvalidReferenceError(f"additional tag {other} is not in the repository {image.name}")
    return list(dict.fromkeys(tag for tag in (image.tag, *(other.tag for other in others)) if tag))


def _refuses_digests(error: RegistryError | ManifestRejectedError) -> bool:
    """Whether a registry seems to take manifests by their tags only."""
    refused = error if isinstance(error, RegistryError) else error.__cause__
    if not isinstance(refused, RegistryError):
        return False
    return refused.status in (404, 405) or refused.code in ("UNSUPPORTED", "DIGEST_INVALID", "TAG_INVALID")
