"""Where the signatures of images in registries are: in the registry, beside it, or attached to the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from transship.errors import UnsupportedError
from transship.image.digest import Digest
from transship.image.reference import DockerReference
from transship.plugin.context import Context
from transship.plugin.signature import SIGSTORE_JSON, SIMPLE_SIGNING, Signature
from transship_docker.attachments import read_attachments, write_attachments
from transship_docker.client import RegistryClient
from transship_docker.lookaside import may_hold_signatures, read_lookaside, why_not_written, write_lookaside
from transship_docker.manifest_uploads import ManifestUploader
from transship_docker.registries_d import SignatureStorage
from transship_docker.signature_extension import read_extension, write_extension
from transship_docker.uploads import Uploader

REGISTRIES_D = "registries.d"

_NO_ATTACHMENTS = "writing sigstore attachments is disabled by configuration"


def load_storage(context: Context) -> SignatureStorage:
    """What the configuration says that ``context`` names, or the user's."""
    folder = context.options.get(REGISTRIES_D, "")
    return context.obtain("docker registries.d", lambda: SignatureStorage.load(folder))


class ImageSignatures(NamedTuple):
    """The signatures of the manifests of one repository, as ``storage`` says where they are for ``image``."""

    client: RegistryClient
    image: DockerReference
    storage: SignatureStorage
    context: Context

    @classmethod
    def load(cls, client: RegistryClient, image: DockerReference, context: Context) -> ImageSignatures:
        """Read the configuration that ``context`` names, or the user's."""
        return cls(client, image, load_storage(context), context)

    def read(self, digest: Digest) -> list[Signature]:
        """All signatures of a manifest; raises ``TransshipError``."""
        if self.client.supports_signatures:
            signatures = read_extension(self.client, digest)
        else:
            url = self.storage.lookaside(self.image).read_url
            signatures = read_lookaside(url, digest, self.client.network, self.context)
        if self.storage.uses_attachments(self.image):
            signatures += read_attachments(self.client, self.image, digest)
        return signatures

    @property
    def may_exist(self) -> bool:
        """Whether there may be any signature of any manifest; asks the registry at most whether it is there."""
        read_url = self.storage.lookaside(self.image).read_url
        return (
            self.storage.uses_attachments(self.image)
            or self.client.supports_signatures
            or may_hold_signatures(read_url)
        )

    def write(
        self, digest: Digest, signatures: Sequence[Signature], uploader: Uploader, manifests: ManifestUploader
    ) -> None:
        """Store the signatures of a manifest, each kind where it belongs; raises ``TransshipError``."""
        attached = [signature for signature in signatures if signature.format == SIGSTORE_JSON]
        others = [signature for signature in signatures if signature.format != SIGSTORE_JSON]
        if attached:
            if not self.storage.uses_attachments(self.image):
                raise UnsupportedError(_NO_ATTACHMENTS)
            write_attachments(uploader, manifests, digest, attached)
        if others and self.client.supports_signatures:
            write_extension(self.client, digest, others)
        elif others:
            write_lookaside(self.storage.lookaside(self.image).write_url, digest, others)

    def refusal(self) -> str:
        """Why no signature at all can be stored, ``""`` if some can. Asks the registry only if that decides."""
        refused = self.refused_formats()
        return refused.get(SIMPLE_SIGNING, "") if SIGSTORE_JSON in refused else ""

    def refused_formats(self) -> dict[str, str]:
        """The formats of signatures that cannot be stored, each with the reason."""
        reason = why_not_written(self.storage.lookaside(self.image).write_url)
        refused = {SIMPLE_SIGNING: reason} if reason and not self.client.supports_signatures else {}
        if not self.storage.uses_attachments(self.image):
            refused[SIGSTORE_JSON] = _NO_ATTACHMENTS
        return refused
