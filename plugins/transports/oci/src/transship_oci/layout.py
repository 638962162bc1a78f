"""What an image layout's ``index.json`` says (OCI image-spec image-layout.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from transship.errors import InvalidManifestError, InvalidReferenceError, NotFoundError, TransportError
from transship.image.digest import Digest
from transship.image.media_types import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from transship.image.strict_json import dump_json, load_json_object
from transship_oci.reference import OciReference

INDEX_FILE = "index.json"
LAYOUT_FILE = "oci-layout"
LAYOUT_CONTENT = b'{"imageLayoutVersion":"1.0.0"}'
REF_NAME = "org.opencontainers.image.ref.name"
READABLE_TYPES = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST)
"""The media types that a name in ``index.json`` may lead to."""


def blob_path(digest: Digest) -> str:
    """Where a blob lies in a layout."""
    return f"blobs/{digest.algorithm}/{digest.encoded}"


class IndexEntry(NamedTuple):
    """One descriptor of ``index.json``, as it stands there; only what is asked for is checked."""

    members: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name that a reference gives, ``""`` if it has none."""
        name = self._annotations().get(REF_NAME)
        return name if isinstance(name, str) else ""

    @property
    def media_type(self) -> str:
        """The declared media type, ``""`` if there is none."""
        media_type = self.members.get("mediaType")
        return media_type if isinstance(media_type, str) else ""

    @property
    def digest_text(self) -> str:
        """The digest as it was written, ``""`` if there is none."""
        digest = self.members.get("digest")
        return digest if isinstance(digest, str) else ""

    def digest(self) -> Digest:
        """The digest, checked."""
        return Digest.parse(self.digest_text)

    def size(self) -> int:
        """The size, checked."""
        size = self.members.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise InvalidManifestError(f"{INDEX_FILE}: invalid size {str(size)[:40]} of {self.digest_text}")
        return size

    def unnamed(self) -> IndexEntry:
        """The same without its name."""
        annotations = {key: value for key, value in self._annotations().items() if key != REF_NAME}
        members = {key: value for key, value in self.members.items() if key != "annotations"}
        return IndexEntry({**members, "annotations": annotations} if annotations else members)

    def described_by(self, newer: IndexEntry) -> IndexEntry:
        """What ``newer`` says of the same content, and what only this entry knows of it."""
        annotations = {**self._annotations(), **newer._annotations()}
        members = {**newer.members, **({"annotations": annotations} if annotations else {})}
        others = {key: value for key, value in self.members.items() if key not in members}
        return IndexEntry({**members, **others})

    def _annotations(self) -> Mapping[str, Any]:
        annotations = self.members.get("annotations")
        return annotations if isinstance(annotations, dict) else {}


def new_entry(media_type: str, digest: Digest, size: int, name: str) -> IndexEntry:
    """The entry of a manifest that was just written."""
    members: dict[str, Any] = {"mediaType": media_type, "digest": str(digest), "size": size}
    if name:
        members["annotations"] = {REF_NAME: name}
    return IndexEntry(members)


class LayoutIndex:
    """The content of ``index.json``. Members that nobody here knows stay as they are."""

    def __init__(self, members: Mapping[str, Any], entries: list[IndexEntry]) -> None:
        self._members = members
        self.entries = entries

    @classmethod
    def empty(cls) -> LayoutIndex:
        """The index of a new layout."""
        return cls({"schemaVersion": 2, "mediaType": OCI_INDEX}, [])

    @classmethod
    def parse(cls, data: bytes, what: str) -> LayoutIndex:
        """Read the bytes of the file ``what``; raise ``InvalidManifestError``."""
        members = load_json_object(data, what)
        if foreign := sorted({"config", "layers", "fsLayers"} & members.keys()):
            raise InvalidManifestError(f"{what}: rejecting ambiguous index, unexpected fields {foreign}")
        manifests = members.pop("manifests", None)
        if manifests is None:
            manifests = []
        if not isinstance(manifests, list) or not all(isinstance(entry, dict) for entry in manifests):
            raise InvalidManifestError(f"{what}: manifests is not a list of objects")
        return cls(members, [IndexEntry(entry) for entry in manifests])

    def to_bytes(self) -> bytes:
        """Compact JSON without a newline at the end; raises rather than give what could not be read again."""
        head = {key: self._members[key] for key in ("schemaVersion", "mediaType") if key in self._members}
        manifests = [entry.members for entry in self.entries]
        try:
            data = dump_json({**head, "manifests": manifests, **self._members})
        except (RecursionError, ValueError):
            raise InvalidManifestError(f"{INDEX_FILE}: cannot be written again") from None
        load_json_object(data, INDEX_FILE)
        return data

    def position(self, reference: OciReference) -> int:
        """Which entry a reference names; raise ``NotFoundError``, or another error if it is not clear."""
        if reference.index is not None:
            return self._numbered(reference.index)
        return self._named(reference.tag) if reference.tag else self._only(reference)

    def names(self) -> list[str]:
        """All names, each once, in stored order."""
        return list(dict.fromkeys(entry.name for entry in self.entries if entry.name))

    def digests(self) -> dict[str, Digest]:
        """All names, in stored order, with the digests that are found under them."""
        found: dict[str, Digest] = {}
        for entry in self.entries:
            if entry.name:
                found.setdefault(entry.name, entry.digest())
        return found

    def add(self, entry: IndexEntry) -> None:
        """Add an image: its name leaves whoever had it, an unnamed entry of the same content gives way."""
        if entry.name:
            self.entries = [other.unnamed() if other.name == entry.name else other for other in self.entries]
        for position, other in enumerate(self.entries):
            if other.digest_text == entry.digest_text and not other.name:
                self.entries[position] = other.described_by(entry)
                return
        self.entries.append(entry)

    def _numbered(self, number: int) -> int:
        if number >= len(self.entries):
            raise InvalidReferenceError(f"index {number} is too large, only {len(self.entries)} entries available")
        return number

    def _only(self, reference: OciReference) -> int:
        if not self.entries:
            raise TransportError(f"{reference}: there is no image in it")
        if len(self.entries) > 1:
            raise InvalidReferenceError(f"{reference}: more than one image in oci, choose an image")
        return 0

    def _named(self, name: str) -> int:
        matches = [position for position, entry in enumerate(self.entries) if entry.name == name]
        for position in matches:
            if self.entries[position].media_type in READABLE_TYPES:
                return position
        if matches:
            types = [self.entries[position].media_type for position in matches]
            raise TransportError(f'reference "{name}" matches unsupported manifest MIME types {types[:10]}')
        raise NotFoundError(f'no descriptor found for reference "{name}"')
