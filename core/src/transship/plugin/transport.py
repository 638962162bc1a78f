"""The transport contract: references, sources and destinations.

The order promised to a destination: blobs, then manifests of instances, then the index or manifest, then
signatures, then ``commit``; ``close`` always comes last. Blobs may arrive from several threads at once if
``traits.parallel`` says so; everything else comes from one thread.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from transship.errors import UnsupportedError
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest
from transship.image.reference import DockerReference
from transship.plugin.blob import BlobReader, Content, FileContent
from transship.plugin.context import Context
from transship.plugin.signature import Signature


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Names an image: ``str()`` gives ``transport:text`` in canonical form. Transports subclass it.

    ``named`` is the docker reference that the image has there, None where there is none. ``policy_identity``
    and ``policy_namespaces`` are the scopes of a trust policy that it falls under, most specific first; without them
    it is what a policy says of the whole transport that counts. Scopes that are wrong refuse the image.
    """

    transport: str
    text: str
    named: DockerReference | None = None
    policy_identity: str = ""
    policy_namespaces: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.transport}:{self.text}"


class RawManifest(NamedTuple):
    """A manifest as it is stored, and the media type it was declared with, ``""`` where nothing declares it."""

    data: bytes
    media_type: str


class LayerCompression(enum.Enum):
    """What a destination wants done to layers."""

    KEEP = "keep"
    COMPRESS = "compress"
    DECOMPRESS = "decompress"


class DestinationTraits(NamedTuple):
    """What a destination takes.

    ``manifest_types`` are the media types it accepts, preferred first, indexes included; None: any.
    ``accepts_foreign_urls``: layers with URLs may stay where they are. ``parallel``: ``put_blob`` may be called
    from several threads. ``refuses_signatures`` says why it cannot store them; ``""``: it can, but for those formats
    that ``refuses_formats`` names, each with the reason.
    """

    manifest_types: tuple[str, ...] | None = None
    compression: LayerCompression = LayerCompression.KEEP
    accepts_foreign_urls: bool = False
    parallel: bool = True
    refuses_signatures: str = ""
    refuses_formats: Mapping[str, str] = {}


class TransportOption(NamedTuple):
    """An option that only this transport understands, given as ``--opt``, ``--src-opt`` or ``--dest-opt NAME=VALUE``.

    ``side`` is ``"source"``, ``"destination"`` or ``"both"``; ``kind`` is ``"bool"``, ``"path"`` or ``"text"``.
    """

    name: str
    help: str
    side: str = "both"
    kind: str = "text"


class Source:
    """An image to read.

    ``parallel``: ``get_blob``, and ``get_manifest`` for members of an index, may be called from several threads.
    """

    parallel: bool = True

    def get_manifest(self, instance: Digest | None = None) -> RawManifest:
        """The manifest or index that the reference names, or the one of ``instance``, a member of its index.

        Raises ``NotFoundError`` or ``TransportError``. The engine checks digests.
        """
        raise NotImplementedError

    def get_blob(self, descriptor: Descriptor) -> Content:
        """The bytes of a blob, exactly as they are stored; ``BlobNotFoundError`` if they are not there."""
        raise NotImplementedError

    def get_signatures(self, instance: Digest | None = None) -> Sequence[Signature]:
        """The signatures of the manifest, or of an instance."""
        return ()

    def close(self) -> None:
        """Release everything. May be called more than once."""


class Destination:
    """An image to write. Nothing may look complete before ``commit``; ``close`` without it tidies up."""

    @property
    def traits(self) -> DestinationTraits:
        """What this destination takes; it stays the same."""
        return DestinationTraits()

    def reuse_blob(self, descriptor: Descriptor) -> Descriptor | None:
        """The descriptor of a blob that is here already and was verified, None if it must be written."""
        return None

    def put_blob(self, blob: BlobReader) -> None:
        """Store a blob: read it to the end; its digest is then ``blob.descriptor.digest``."""
        raise NotImplementedError

    def note_variant(self, uncompressed: Digest, recipe: str, written: Descriptor) -> None:
        """Hear that the blob ``written``, just put here, is what ``recipe`` made of ``uncompressed``, if of interest.

        The engine computed both digests itself, from the same bytes. ``recipe`` names a compression and all that its
        output depends on: the same one makes the same bytes of the same content. Called where ``put_blob`` was.
        """

    def known_variant(self, uncompressed: Digest, recipe: str) -> Descriptor | None:
        """What ``note_variant`` once said that ``recipe`` makes of ``uncompressed``, None if nobody remembers.

        It need not be here: ``reuse_blob`` is asked. What others than this user could have written is not believed.
        """
        return None

    def put_manifest(self, data: bytes, media_type: str, instance: Digest | None = None) -> None:
        """Store the manifest or index, or, with its own digest as ``instance``, a member of the index.

        Raises ``ManifestRejectedError`` for a type that cannot be stored here.
        """
        raise NotImplementedError

    def put_signatures(self, signatures: Sequence[Signature], instance: Digest | None = None) -> None:
        """Store signatures; called only with at least one."""
        raise UnsupportedError(self.traits.refuses_signatures or "Pushing signatures is not supported")

    def commit(self) -> None:
        """Let what was written appear under its name."""

    def close(self) -> None:
        """Release everything and remove what was not committed. May be called more than once."""


class Transport:
    """A way to store images. ``name`` is the word before ``:`` in a reference and the entry point's name."""

    name: str
    options: Sequence[TransportOption] = ()

    def parse_reference(self, text: str) -> Reference:
        """Read what follows ``name:``; raise ``InvalidReferenceError`` for what names nothing."""
        raise NotImplementedError

    def open_source(self, reference: Reference, context: Context) -> Source:
        """Open an image for reading; raise ``NotFoundError`` or ``TransportError`` if it is not there."""
        raise UnsupportedError(f'"{self.name}:" locations can only be written to, not read from')

    def open_destination(self, reference: Reference, context: Context) -> Destination:
        """Open a place for writing. Nothing there may be changed before the first blob or manifest comes."""
        raise UnsupportedError(f'"{self.name}:" locations can only be read from, not written to')

    def validate_policy_scope(self, scope: str) -> None:
        """Raise ``InvalidReferenceError`` for a policy scope that can never match."""


@runtime_checkable
class ResumableSource(Protocol):
    """A source that can give a blob from the middle on, cheaper than from its beginning."""

    def get_blob_from(self, descriptor: Descriptor, offset: int) -> Content:
        """As ``get_blob``, without the first ``offset`` bytes, of which there are more."""


@runtime_checkable
class ResumableDestination(Protocol):
    """A destination that keeps what it has of a blob when a copy is broken off."""

    def find_partial(self, descriptor: Descriptor) -> FileContent | None:
        """The first bytes of a blob that is not whole here, None if there are none. To be closed.

        Nothing has checked them. ``put_blob`` may then get a blob that has them as its ``beginning``. If that blob
        turns out to be wrong, they must not be found again: it is fetched anew.
        """


class Referrer(NamedTuple):
    """A manifest or index that says something of another one, such as a signature.

    ``tag`` is a tag made from the other's digest, by which it is found (``sha256-….sig``); ``""``: it is found because
    it names the other as its ``subject``.
    """

    digest: Digest
    tag: str = ""


@runtime_checkable
class ReferrerSource(Protocol):
    """A source that knows what refers to its manifests."""

    def list_referrers(self, digest: Digest) -> Sequence[Referrer]:
        """What refers to the manifest or index ``digest``, itself read with ``get_manifest(referrer.digest)``.

        Called from one thread. Nobody has checked yet that what is listed does refer to ``digest``.
        """


@runtime_checkable
class ReferrerDestination(Protocol):
    """A destination where what refers to an image can be found again."""

    def put_referrer(self, referrer: Referrer, data: bytes, media_type: str) -> None:
        """Let what ``put_manifest`` has stored as an instance be found as a referrer; called before ``commit``."""


class TagList(NamedTuple):
    """The tags of a place, and the repository that they are in, ``""`` where there is none."""

    repository: str
    tags: Sequence[str]


class TagDigests(NamedTuple):
    """As ``TagList``, and what each tag names, in the same order; None for a tag that went meanwhile."""

    repository: str
    digests: Mapping[str, Digest | None]


@runtime_checkable
class Deleter(Protocol):
    """A transport that can delete images."""

    def delete(self, reference: Reference, context: Context) -> None:
        """Delete the image; raise ``NotFoundError`` if it is not there."""


@runtime_checkable
class TagLister(Protocol):
    """A transport that can list what is in one place."""

    def parse_place(self, text: str) -> Reference:
        """Read what follows ``name:`` as a place that holds images, not as one image."""

    def list_tags(self, place: Reference, context: Context) -> TagList:
        """All tags there, in stored order."""


@runtime_checkable
class TagDeleter(Protocol):
    """A transport that can take a name from an image and leave the image."""

    def delete_tag(self, reference: Reference, context: Context) -> None:
        """Delete the tag alone. If ``reference`` has a digest too, only if that is what the tag names."""


@runtime_checkable
class DigestLister(Protocol):
    """A transport that can tell what the tags of one place name."""

    def parse_place(self, text: str) -> Reference:
        """As that of ``TagLister``."""

    def list_digests(self, place: Reference, context: Context) -> TagDigests:
        """All tags there with the digests of the manifests or indexes that they name, in stored order."""


@runtime_checkable
class TagIterator(Protocol):
    """A ``TagLister`` that need not hold all tags of a place at once."""

    def iterate_tags(self, place: Reference, context: Context) -> Iterator[str]:
        """All tags there, in stored order. What goes wrong may be raised in the middle."""


class ManifestIdentity(NamedTuple):
    """Which manifest a reference names. ``media_type`` is ``""`` where nothing declares it."""

    digest: Digest
    media_type: str


@runtime_checkable
class DigestReader(Protocol):
    """A transport that can tell, much cheaper than by reading it, which image a reference names."""

    def get_digest(
        self, reference: Reference, context: Context, *, instance: Digest | None = None, for_writing: bool = False
    ) -> ManifestIdentity | None:
        """The manifest of ``reference``, or the member ``instance`` of its index.

        None if there is none, if what it needs is not all there, or if that cannot be told so cheaply.
        ``for_writing``: as a destination, so that no mirror is asked.
        """

    def may_be_signed(self, reference: Reference, context: Context) -> bool:
        """Whether reading the image might find signatures; False only if it surely finds none."""
