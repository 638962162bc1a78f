"""What an OCI image layout says: its index, and the blobs that an image needs (OCI image-spec image-layout.md)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from transship.errors import InvalidManifestError, NotFoundError, TransportError
from transship.image.descriptor import Descriptor, oci_members
from transship.image.digest import Digest, digest_of
from transship.image.index import parse_index
from transship.image.manifest import parse_manifest
from transship.image.media_types import INDEX_TYPES, OCI_INDEX
from transship.image.quoting import quoted
from transship.image.strict_json import METADATA_LIMIT, dump_json, load_json_object

from .reference import FsspecReference
from .store import ChangedMeanwhileError, Found, Store, blob_name

INDEX = "index.json"
MARK = "oci-layout"
MARK_BYTES = b'{"imageLayoutVersion": "1.0.0"}'
REF_NAME = "org.opencontainers.image.ref.name"
MOST_MANIFESTS = 10_000  # in and below one image
_ATTEMPTS = 100


class Entry(NamedTuple):
    """One image in the index of a layout; ``name`` is ``""`` if it has none."""

    descriptor: Descriptor
    name: str


class LayoutIndex(NamedTuple):
    """``index.json``: what it says, all its entries, and the file they were found in."""

    members: Mapping[str, Any]
    entries: tuple[Entry, ...]
    found: Found

    def find(self, reference: FsspecReference) -> Entry | None:
        """The entry of an image, None if there is none; raises ``NotFoundError`` where it is not clear which one."""
        if reference.tag:
            return next((entry for entry in self.entries if entry.name == reference.tag), None)
        if reference.position is not None:
            return self.entries[reference.position] if reference.position < len(self.entries) else None
        if len(self.entries) > 1:
            raise NotFoundError(f"{reference} holds {len(self.entries)} images: name one of them")
        return self.entries[0] if self.entries else None


def read_layout(store: Store, place: object) -> LayoutIndex:
    """The index of the layout in ``store``; raises ``TransportError`` where there is no layout."""
    index = find_layout(store)
    if index is None:
        raise TransportError(f"{place} is no OCI image layout: it has no {INDEX}")
    mark = store.read(MARK, METADATA_LIMIT).data
    if mark is None:
        raise TransportError(f"{place} is no OCI image layout: it has no {MARK}")
    version = load_json_object(mark, MARK).get("imageLayoutVersion")
    if not isinstance(version, str) or not version.startswith("1."):
        raise TransportError(f"{place} is an OCI image layout of a version that is not known")
    return index


def find_layout(store: Store) -> LayoutIndex | None:
    """The index of the layout in ``store``, None if there is none."""
    found = store.read(INDEX, METADATA_LIMIT)
    return None if found.data is None else _parse(found)


def _parse(found: Found) -> LayoutIndex:
    data = found.data or b""
    members = load_json_object(data, INDEX)
    parsed = parse_index(data, OCI_INDEX)
    entries = tuple(
        Entry(instance.descriptor, (instance.descriptor.annotations or {}).get(REF_NAME, ""))
        for instance in parsed.instances
    )
    return LayoutIndex(members, entries, found)


def add_entry(store: Store, descriptor: Descriptor, name: str) -> None:
    """Let the index name an image, instead of what had that name; called with the lock of the layout held.

    An image without a name takes the place of the same one without a name.
    """
    wanted = oci_members(descriptor._replace(annotations={REF_NAME: name} if name else None))

    def is_replaced(entry: Entry) -> bool:
        return entry.name == name and (bool(name) or entry.descriptor.digest == descriptor.digest)

    for _ in range(_ATTEMPTS):
        index = find_layout(store) or LayoutIndex({"schemaVersion": 2, "mediaType": OCI_INDEX}, (), Found(None))
        listed = index.members.get("manifests") or []
        if any(is_replaced(entry) and raw == wanted for entry, raw in zip(index.entries, listed, strict=True)):
            return  # also what an attempt leads to that succeeded without our hearing of it
        kept = [raw for entry, raw in zip(index.entries, listed, strict=True) if not is_replaced(entry)]
        with suppress(ChangedMeanwhileError):
            store.replace(INDEX, dump_json({**index.members, "manifests": [*kept, wanted]}), index.found)
    raise TransportError(f"{INDEX} changes faster than it can be written", retryable=True)


def remove_entry(store: Store, reference: FsspecReference, *, only_name: bool = False) -> Descriptor:
    """Take an image, or only its name, out of the index, and say which it was.

    Called with the lock of the layout held. Raises ``NotFoundError`` if it is not there.
    """
    for _ in range(_ATTEMPTS):
        index = read_layout(store, reference.place)
        entry = index.find(reference)
        if entry is None:
            raise missing(reference)
        position = index.entries.index(entry)
        listed = list(index.members["manifests"])
        raw = listed.pop(position)
        if only_name:
            annotations = {name: value for name, value in raw["annotations"].items() if name != REF_NAME}
            listed.insert(position, {**raw, "annotations": annotations})
        with suppress(ChangedMeanwhileError):
            store.replace(INDEX, dump_json({**index.members, "manifests": listed}), index.found)
            return entry.descriptor
    raise TransportError(f"{INDEX} changes faster than it can be written", retryable=True)


def missing(reference: FsspecReference) -> NotFoundError:
    """The error for an image that a layout does not have."""
    if reference.tag:
        return NotFoundError(f"{reference.place} has no image {quoted(reference.tag)}")
    if reference.position is not None:
        return NotFoundError(f"{reference.place} has no image at position {reference.position}")
    return NotFoundError(f"{reference.place} holds no image")


def needed_blobs(store: Store, top: Descriptor, *, with_foreign: bool = False) -> dict[Digest, int]:
    """All that an image consists of, manifests included, with the sizes; raises for what is not there or broken.

    ``with_foreign``: also layers that may be fetched from elsewhere.
    """
    needed: dict[Digest, int] = {}
    waiting = [top]
    while waiting:
        descriptor = waiting.pop()
        if descriptor.digest in needed:
            continue
        if len(needed) > MOST_MANIFESTS:
            raise InvalidManifestError(f"image {top.digest} has too many parts")
        needed[descriptor.digest] = descriptor.size
        data = read_manifest(store, descriptor.digest)
        if digest_of(data, descriptor.digest.algorithm) != descriptor.digest:
            raise InvalidManifestError(f"the manifest {descriptor.digest} has other bytes than it should")
        if descriptor.media_type in INDEX_TYPES:
            waiting += (instance.descriptor for instance in parse_index(data, descriptor.media_type).instances)
            continue
        manifest = parse_manifest(data, descriptor.media_type)
        parts = [layer.descriptor for layer in manifest.layers if with_foreign or not layer.descriptor.urls]
        needed.update((part.digest, part.size) for part in (*parts, manifest.config) if part is not None)
    return needed


def read_manifest(store: Store, digest: Digest) -> bytes:
    """The bytes of a manifest or index; nobody has checked them."""
    data = store.read(blob_name(digest), METADATA_LIMIT).data
    if data is None:
        raise TransportError(f"the layout has no manifest {digest}")
    return data
