"""The moments of a copy that observers may see."""

from __future__ import annotations

from dataclasses import dataclass

from transship.image.digest import Digest
from transship.plugin.mechanism import RequirementVerdict


@dataclass(frozen=True, slots=True)
class Event:
    """Any moment. ``image`` is the source's reference as text."""

    image: str


@dataclass(frozen=True, slots=True)
class ImageStarted(Event):
    """What the source names was read: a manifest or index with this digest. Comes again with each attempt."""

    digest: Digest
    media_type: str


@dataclass(frozen=True, slots=True)
class ImageJudged(Event):
    """The trust policy accepted or refused the manifest or index ``digest``; ``reason``: why it was refused.

    ``scope`` is the part of the policy that applied, as a transport and a name in it, or ``default``.
    """

    digest: Digest
    scope: str
    accepted: bool
    reason: str
    requirements: tuple[RequirementVerdict, ...]


@dataclass(frozen=True, slots=True)
class ReadingSignatures(Event):
    """The signatures of an image are about to be read, or with ``of_index`` those of an index."""

    of_index: bool


@dataclass(frozen=True, slots=True)
class CheckingSignatureSupport(Event):
    """Signatures were found; it is checked whether the destination can hold them."""

    of_index: bool


@dataclass(frozen=True, slots=True)
class IndexStarted(Event):
    """``count`` of the ``total`` members of an index are about to be copied."""

    count: int
    total: int


@dataclass(frozen=True, slots=True)
class InstanceStarted(Event):
    """Member ``number`` of ``count`` is about to be copied."""

    digest: Digest
    number: int
    count: int


@dataclass(frozen=True, slots=True)
class ReferrerStarted(Event):
    """What refers to ``subject`` is about to be copied; ``tag``: by which it is found, ``""``: by its subject."""

    digest: Digest
    subject: Digest
    tag: str


@dataclass(frozen=True, slots=True)
class BlobStarted(Event):
    """A blob is about to be copied. ``size`` in bytes, -1 if unknown. ``key`` identifies it in later events."""

    key: int
    digest: Digest
    size: int
    is_config: bool


@dataclass(frozen=True, slots=True)
class BlobProgress(Event):
    """``done`` bytes of a blob's source were read so far."""

    key: int
    done: int


@dataclass(frozen=True, slots=True)
class BlobFinished(Event):
    """A blob is at the destination. ``reused``: it was there already and nothing moved. ``size`` is as written."""

    key: int
    digest: Digest
    size: int
    reused: bool


@dataclass(frozen=True, slots=True)
class BlobPlanned(Event):
    """In a dry run: a blob of ``size`` bytes (-1 if unknown) would be written, or with ``reused`` be left alone."""

    destination: str
    digest: Digest
    size: int
    is_config: bool
    reused: bool


@dataclass(frozen=True, slots=True)
class WritingManifest(Event):
    """A manifest, or with ``of_index`` an index, is about to be written."""

    of_index: bool


@dataclass(frozen=True, slots=True)
class CreatingSignature(Event):
    """A signature is about to be made, the one with this ``number`` of ``count``, as the signer describes it."""

    number: int
    count: int
    description: str


@dataclass(frozen=True, slots=True)
class SignatureCreated(Event):
    """A signature over the manifest or index ``digest`` at ``destination`` was made, as the image ``identity``."""

    destination: str
    digest: Digest
    mechanism: str
    identity: str


@dataclass(frozen=True, slots=True)
class StoringSignatures(Event):
    """Signatures are about to be written."""

    of_index: bool


@dataclass(frozen=True, slots=True)
class Warned(Event):
    """Something that the user should know and that does not stop the copy."""

    message: str


@dataclass(frozen=True, slots=True)
class ImageFinished(Event):
    """The image is complete at ``destination``, a reference as text; ``digest`` is that of what was written."""

    destination: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class ImagePresent(Event):
    """In a sync: ``destination``, a reference as text, has the image already, and nothing moves."""

    destination: str
    digest: Digest
