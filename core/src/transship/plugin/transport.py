"""The transport contract: references, sources and destinations.

The order promised to a destination: blobs, then manifests of instances, then the index or manifest, then
signatures, then ``commit``; ``close`` always comes last. Blobs may arrive from several threads at once if
``traits.parallel`` says so; everything else comes from one thread.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from transship.errors import UnsupportedError
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest
from transship.image.reference import DockerReference
from transship.plugin.blob import BlobReader, Content
from transship.plugin.context import Context
from transship.plugin.signature import Signature


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Names an image: ``str()`` gives ``transport:text`` in canonical form. Transports subclass it.

    ``named`` is the docker reference that the image has there, None where there is none. ``policy_identity``
    and ``policy_namespaces`` are the scopes of a trust policy that it falls under, most specific first.
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


@dataclass(frozen=True, slots=True)
class DestinationTraits:
    """What a destination takes.

    ``manifest_types`` are the media types it accepts, preferred first, indexes included; None: any.
    ``accepts_foreign_urls``: layers with URLs may stay where they are. ``parallel``: ``put_blob`` may be called
    from several threads. ``refuses_signatures`` says why it cannot store them; ``""``: it can.
    """

    manifest_types: tuple[str, ...] | None = None
    compression: LayerCompression = LayerCompression.KEEP
    accepts_foreign_urls: bool = False
    parallel: bool = True
    refuses_signatures: str = ""


@dataclass(frozen=True, slots=True)
class TransportOption:
    """An option that only this transport understands, given as ``--src-opt`` or ``--dest-opt NAME=VALUE``.

    ``side`` is ``"source"``, ``"destination"`` or ``"both"``; ``kind`` is ``"bool"``, ``"path"`` or ``"text"``.
    """

    name: str
    help: str
    side: str = "both"
    kind: str = "text"


class Source:
    """An image to read. ``parallel``: ``get_blob`` may be called from several threads."""

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


class TagList(NamedTuple):
    """The tags of a place, and the repository that they are in, ``""`` where there is none."""

    repository: str
    tags: Sequence[str]


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
