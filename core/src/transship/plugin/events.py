"""The moments of a copy that observers may see. ``image`` is always the source's reference as text."""

from __future__ import annotations

from typing import NamedTuple

from transship.image.digest import Digest
from transship.plugin.mechanism import RequirementVerdict


class ImageStarted(NamedTuple):
    """What the source names was read: a manifest or index with this digest. Comes again with each attempt."""

    image: str
    digest: Digest
    media_type: str


class ImageJudged(NamedTuple):
    """The trust policy accepted or refused the manifest or index ``digest``; ``reason``: why it was refused.

    ``scope`` is the part of the policy that applied, as a transport and a name in it, or ``default``.
    """

    image: str
    digest: Digest
    scope: str
    accepted: bool
    reason: str
    requirements: tuple[RequirementVerdict, ...]


class ReadingSignatures(NamedTuple):
    """The signatures of an image are about to be read, or with ``of_index`` those of an index."""

    image: str
    of_index: bool


class CheckingSignatureSupport(NamedTuple):
    """Signatures were found; it is checked whether the destination can hold them."""

    image: str
    of_index: bool


class IndexStarted(NamedTuple):
    """``chosen`` of the ``total`` members of an index are about to be copied."""

    image: str
    chosen: int
    total: int


class InstanceStarted(NamedTuple):
    """Member ``number`` of ``total`` is about to be copied."""

    image: str
    digest: Digest
    number: int
    total: int


class ReferrerStarted(NamedTuple):
    """What refers to ``subject`` is about to be copied; ``tag``: by which it is found, ``""``: by its subject."""

    image: str
    digest: Digest
    subject: Digest
    tag: str


class BlobStarted(NamedTuple):
    """A blob is about to be copied. ``size`` in bytes, -1 if unknown. ``key`` identifies it in later events."""

    image: str
    key: int
    digest: Digest
    size: int
    is_config: bool


class BlobProgress(NamedTuple):
    """``done`` bytes of a blob's source were read so far."""

    image: str
    key: int
    done: int


class BlobFinished(NamedTuple):
    """A blob is at the destination. ``reused``: it was there already and nothing moved. ``size`` is as written."""

    image: str
    key: int
    digest: Digest
    size: int
    reused: bool


class BlobPlanned(NamedTuple):
    """In a dry run: a blob of ``size`` bytes (-1 if unknown) would be written, or with ``reused`` be left alone."""

    image: str
    destination: str
    digest: Digest
    size: int
    is_config: bool
    reused: bool


class WritingManifest(NamedTuple):
    """A manifest, or with ``of_index`` an index, is about to be written."""

    image: str
    of_index: bool


class CreatingSignature(NamedTuple):
    """A signature is about to be made, the one with this ``number`` of ``total``, as the signer describes it."""

    image: str
    number: int
    total: int
    description: str


class SignatureCreated(NamedTuple):
    """A signature over the manifest or index ``digest`` at ``destination`` was made, as the image ``identity``."""

    image: str
    destination: str
    digest: Digest
    mechanism: str
    identity: str


class StoringSignatures(NamedTuple):
    """Signatures are about to be written."""

    image: str
    of_index: bool


class Warned(NamedTuple):
    """Something that the user should know and that does not stop the copy."""

    image: str
    message: str


class ImageFinished(NamedTuple):
    """The image is complete at ``destination``, a reference as text; ``digest`` is that of what was written."""

    image: str
    destination: str
    digest: Digest


class ImagePresent(NamedTuple):
    """In a sync: ``destination``, a reference as text, has the image already, and nothing moves."""

    image: str
    destination: str
    digest: Digest


Event = (
    ImageStarted
    | ImageJudged
    | ReadingSignatures
    | CheckingSignatureSupport
    | IndexStarted
    | InstanceStarted
    | ReferrerStarted
    | BlobStarted
    | BlobProgress
    | BlobFinished
    | BlobPlanned
    | WritingManifest
    | CreatingSignature
    | SignatureCreated
    | StoringSignatures
    | Warned
    | ImageFinished
    | ImagePresent
)
"""Any moment."""
