"""What the tests of signature mechanisms do: sign a small image, and show it with signatures."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from transship.image.reference import DockerReference
from transship.plugin.mechanism import SignatureMechanism, SigningRequest, UntrustedImage
from transship.plugin.signature import SIGSTORE_JSON, SIMPLE_SIGNING, Signature
from transship.plugin.transport import Reference
from transship.testing.images import Image, oci_image

NAME = "registry.example.com/team/app:1.0-rc"
IMAGE = oci_image()
OTHER_IMAGE = oci_image(architecture="arm64")
OF_OTHER_KINDS = (
    Signature(SIMPLE_SIGNING, b"\x90rubbish"),
    Signature(SIGSTORE_JSON, b"{}"),
    Signature("unheard-of", b"rubbish"),
)


def signature_by(
    mechanism: SignatureMechanism, request: SigningRequest, *, image: Image = IMAGE, name: str = NAME
) -> Signature:
    with contextlib.closing(mechanism.open_signer(request)) as signer:
        return signer.sign(image.manifest, image.digest, DockerReference.parse(name))


def untrusted(signatures: Sequence[Signature], *, name: str | None = NAME) -> UntrustedImage:
    """The image of the contract, as a place with this name offers it."""
    named = DockerReference.parse(name) if name else None
    reference = Reference(transport="docker" if named else "dir", text=f"//{name}" if named else "folder", named=named)
    return UntrustedImage(reference, IMAGE.manifest, IMAGE.media_type, lambda: signatures)
