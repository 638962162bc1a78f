"""Deleting an image from a layout, with what nothing else refers to; or its name alone."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from typing import Any

from transship.errors import (
    BlobNotFoundError,
    InvalidManifestError,
    InvalidReferenceError,
    TransportError,
    UnsupportedError,
)
from transship.image.digest import Digest
from transship.image.media_types import DOCKER_LIST, DOCKER_MANIFEST, INDEX_TYPES, OCI_INDEX, OCI_MANIFEST
from transship.image.strict_json import load_json_object
from transship.plugin.context import Context
from transship.plugin.files import locked, reporting, sync_folder, write_file
from transship_oci.destination import SHARED_BLOBS
from transship_oci.layout import INDEX_FILE, IndexEntry, LayoutIndex, blob_path
from transship_oci.reference import OciReference
from transship_oci.store import FolderStore, LayoutStore, read_manifest

_KNOWN_TYPES = (OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST)
_MAX_DEPTH = 16
_MAX_REFERENCES = 200_000


def delete_image(reference: OciReference, context: Context) -> None:
    """Remove the entry from ``index.json``, then every blob of it that no other entry needs.

    Blobs in a shared folder are left alone: other layouts may need them.
    """
    path = reference.path or "."
    shared = context.options.get(SHARED_BLOBS, "")
    store = FolderStore(path, shared)
    store.read_index()  # before a lock file could appear in what is no layout
    with reporting("delete from", path), locked(path):
        index = store.read_index()
        entry = index.entries.pop(index.position(reference))
        unneeded = () if shared else _unneeded(store, entry, index.entries)
        _write(path, index)
        _remove(path, unneeded)


def delete_tag(reference: OciReference) -> None:
    """Remove the name from the entry in ``index.json``; entry and blobs stay."""
    if not reference.tag:
        raise InvalidReferenceError(f"{reference} has no name that could be deleted alone")
    path = reference.path or "."
    store = FolderStore(path)
    store.read_index()  # before a lock file could appear in what is no layout
    with reporting("delete from", path), locked(path):
        index = store.read_index()
        position = index.position(reference)
        index.entries[position] = index.entries[position].unnamed()
        _write(path, index)


def _write(path: str, index: LayoutIndex) -> None:
    index_path = os.path.join(path, INDEX_FILE)
    mode = stat.S_IMODE(os.stat(index_path).st_mode)
    write_file(index_path, index.to_bytes() + b"\n", mode)
    sync_folder(path)


def _unneeded(store: LayoutStore, deleted: IndexEntry, kept: Iterable[IndexEntry]) -> set[Digest]:
    return _Reachable(store).of([deleted]) - _Reachable(store).of(kept)


def _remove(path: str, digests: Iterable[Digest]) -> None:
    root = os.path.realpath(path)
    for digest in digests:
        blob = os.path.join(root, blob_path(digest))
        if os.path.realpath(os.path.dirname(blob)) != os.path.dirname(blob):
            raise TransportError(f"{os.path.dirname(blob)}: leads out of {path}")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(blob)


class _Reachable:
    """Collects what index entries refer to, through nested indexes. A manifest that is not there: nothing."""

    def __init__(self, store: LayoutStore) -> None:
        self._store = store
        self._digests: set[Digest] = set()
        self._visited: set[Digest] = set()

    def of(self, entries: Iterable[IndexEntry]) -> set[Digest]:
        """The digests of ``entries`` and of all below them."""
        for entry in entries:
            self._visit(entry, depth=0)
        return self._digests

    def _visit(self, entry: IndexEntry, depth: int) -> None:
        digest = entry.digest()
        self._add(digest)
        if entry.media_type not in _KNOWN_TYPES:
            raise UnsupportedError(f'unsupported mediaType in index: "{entry.media_type}"')
        if depth > _MAX_DEPTH:
            raise InvalidManifestError(f"{digest}: indexes are nested too deeply")
        if digest in self._visited:
            return
        self._visited.add(digest)
        if (members := self._load(digest)) is None:
            return
        if entry.media_type in INDEX_TYPES:
            for child in _objects(members, "manifests", digest):
                self._visit(child, depth + 1)
            return
        for blob in (*_config(members), *_objects(members, "layers", digest)):
            self._add(blob.digest())

    def _add(self, digest: Digest) -> None:
        self._digests.add(digest)
        if len(self._digests) > _MAX_REFERENCES:
            raise InvalidManifestError(f"more than {_MAX_REFERENCES} blobs in one layout")

    def _load(self, digest: Digest) -> dict[str, Any] | None:
        try:
            data = read_manifest(self._store, digest)
        except BlobNotFoundError:
            return None
        return load_json_object(data, f"manifest {digest}")


def _config(members: dict[str, Any]) -> Iterator[IndexEntry]:
    config = members.get("config")
    if isinstance(config, dict):
        yield IndexEntry(config)


def _objects(members: dict[str, Any], key: str, digest: Digest) -> list[IndexEntry]:
    values = members.get(key) or []
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise InvalidManifestError(f"manifest {digest}: {key} is not a list of objects")
    return [IndexEntry(value) for value in values]
