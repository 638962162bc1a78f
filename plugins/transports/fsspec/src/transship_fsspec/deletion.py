"""Deleting an image, and the blobs that only it had."""

from __future__ import annotations

import time
from collections.abc import Mapping

from transship.errors import TransshipError
from transship.image.digest import Digest
from transship.plugin.context import Context

from .layout import LayoutIndex, needed_blobs, read_layout, remove_entry
from .reference import FsspecReference
from .store import Store, blob_name

# A lock is taken for one that a killed writer left when it stays too long, so it is not held for as long as that.
_SECONDS_AT_ONCE = 15.0
_ROUNDS = 100


def delete_image(store: Store, reference: FsspecReference, context: Context) -> None:
    """Take an image out of the index, then remove the blobs that no other image there needs.

    Nothing is removed if it is not clear what the others need.
    """
    with store.locked():
        top = remove_entry(store, reference)
    try:
        ours = set(needed_blobs(store, top, with_foreign=True))
        others: dict[Digest, frozenset[Digest]] = {}
        for _ in range(_ROUNDS):
            _learn(store, read_layout(store, reference.place), others)
            if not _remove(store, reference, ours, others):
                return
        context.warn(f"{reference.place}: the layout changes too fast to remove blobs")
    except TransshipError as error:
        context.warn(f"{reference.place}: blobs were left, as it is not clear which are needed: {error}")


def _learn(store: Store, index: LayoutIndex, others: dict[Digest, frozenset[Digest]]) -> None:
    for entry in index.entries:
        if entry.descriptor.digest not in others:
            others[entry.descriptor.digest] = frozenset(needed_blobs(store, entry.descriptor, with_foreign=True))


def _remove(
    store: Store, reference: FsspecReference, ours: set[Digest], others: Mapping[Digest, frozenset[Digest]]
) -> bool:
    """Remove those of ``ours`` that the images of the layout do not need; whether more is to be done."""
    began = time.monotonic()
    with store.locked():
        tops = [entry.descriptor.digest for entry in read_layout(store, reference.place).entries]
        if any(top not in others for top in tops):
            return True
        needed = frozenset[Digest]().union(*(others[top] for top in tops))
        for digest in sorted(ours - needed, key=str):
            if time.monotonic() - began > _SECONDS_AT_ONCE:
                return True
            store.remove(blob_name(digest))
            ours.discard(digest)
    return False
