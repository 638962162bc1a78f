"""The parts of an image: values, without input or output.

All texts in them come from whoever made the image: what shows them must escape them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from transship.errors import InvalidDigestError
from transship.image.config import HistoryEntry
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest
from transship.image.platform import Platform

UNKNOWN_SIZE = -1

_REFERENCE_TYPE = "vnd.docker.reference.type"
_REFERENCE_DIGEST = "vnd.docker.reference.digest"


class Kind(enum.Enum):
    """What a manifest describes."""

    INDEX = "index"
    IMAGE = "image"
    ATTESTATION = "attestation"
    """What a builder says of an image in the same index."""
    ARTIFACT = "artifact"


class LayerPart(NamedTuple):
    """One layer. ``created_by`` is the step that made it and ``diff_id`` its uncompressed digest, ``""``: not said.

    ``is_empty``: it changes no file, which only schema 1 says.
    """

    descriptor: Descriptor
    created_by: str = ""
    diff_id: str = ""
    is_empty: bool = False

    @property
    def digest(self) -> Digest:
        """The digest of the layer as it is stored."""
        return self.descriptor.digest

    @property
    def size(self) -> int:
        """Its stored size in bytes, -1 where that is not known."""
        return self.descriptor.size


class SignaturePart(NamedTuple):
    """One signature as it is stored; nobody has verified it. ``size`` in bytes."""

    format: str
    size: int


class ReferrerPart(NamedTuple):
    """What refers to a manifest: by its ``subject``, or at a ``tag`` made from the digest."""

    tag: str
    part: Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One manifest or index and what belongs to it.

    ``descriptor`` is its own; the annotations there are those of the entry that lists it. ``platform`` is what that
    entry says, else the config, None: neither does. ``artifact_type`` says what an artifact is, ``""`` for others.
    ``subject`` is what it refers to. ``config_members`` is the parsed config of an image, empty for anything else.
    ``layers`` and ``history`` are base first. ``members`` are those of an index, in its order; ``members_left_out``
    so many more were not looked at. ``problem`` says why the part, or its config, could not be read, ``""``: it was;
    ``referrers_problem`` why signatures or what else refers to it could not be found out.
    """

    descriptor: Descriptor
    kind: Kind
    platform: Platform | None = None
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict)
    subject: Digest | None = None
    config: Descriptor | None = None
    config_members: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[HistoryEntry, ...] = ()
    layers: tuple[LayerPart, ...] = ()
    members: tuple[Part, ...] = ()
    members_left_out: int = 0
    signatures: tuple[SignaturePart, ...] = ()
    referrers: tuple[ReferrerPart, ...] = ()
    referrers_left_out: int = 0
    referrers_problem: str = ""
    problem: str = ""

    @property
    def digest(self) -> Digest:
        """The digest of the manifest or index."""
        return self.descriptor.digest

    @property
    def is_complete(self) -> bool:
        """Whether all of it was read, what refers to it apart."""
        return not self.problem and not self.members_left_out and all(member.is_complete for member in self.members)

    @property
    def size(self) -> int:
        """How many bytes a copy of it takes: manifests, configs and layers, each once. -1: some are unknown."""
        return total(self.blobs())

    @property
    def layers_size(self) -> int:
        """The bytes of its own layers as they are stored, each once. -1: some are unknown."""
        return total({layer.digest: layer.size for layer in self.layers})

    @property
    def shared_size(self) -> int:
        """The bytes that ``size`` counts once though several members of the index have them. -1: some are unknown."""
        seen: set[Digest] = set()
        shared: dict[Digest, int] = {}
        for member in self.members:
            blobs = member.blobs()
            shared |= {digest: size for digest, size in blobs.items() if digest in seen}
            seen |= blobs.keys()
        return total(shared)

    def blobs(self) -> dict[Digest, int]:
        """All that a copy of it takes, with sizes; -1 where a size is not known."""
        return dict(self._blobs())

    def _blobs(self) -> Iterator[tuple[Digest, int]]:
        yield self.digest, self.descriptor.size
        if self.config is not None:
            yield self.config.digest, self.config.size
        for layer in self.layers:
            yield layer.digest, layer.size
        for member in self.members:
            yield from member._blobs()


def total(blobs: Mapping[Digest, int]) -> int:
    """The sum of sizes, -1 if one of them is not known."""
    return UNKNOWN_SIZE if UNKNOWN_SIZE in blobs.values() else sum(blobs.values())


def is_attestation_entry(descriptor: Descriptor) -> bool:
    """Whether an entry of an index is marked as what a builder says of an image there (BuildKit does that)."""
    return (descriptor.annotations or {}).get(_REFERENCE_TYPE) == "attestation-manifest"


def attested_digest(descriptor: Descriptor) -> Digest | None:
    """The image that such an entry says something of, None for any other entry."""
    if not is_attestation_entry(descriptor):
        return None
    try:
        return Digest.parse((descriptor.annotations or {}).get(_REFERENCE_DIGEST, ""))
    except InvalidDigestError:
        return None
