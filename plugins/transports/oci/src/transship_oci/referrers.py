"""What refers to the manifests of a layout."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from transship.errors import TransshipError
from transship.image.digest import Digest
from transship.image.media_types import OCI_INDEX, OCI_MANIFEST
from transship.image.subject import attachment_tags, fallback_tag, listed_referrers, subject_of
from transship.plugin.transport import Referrer
from transship_oci.layout import IndexEntry, LayoutIndex
from transship_oci.store import LayoutStore, read_manifest


class LayoutReferrers:
    """All that the entries of an ``index.json`` refer to, found out once.

    ``names`` are the digests of the entries that have one, ``subjects`` what refers to a digest by its subject.
    """

    def __init__(
        self, store: LayoutStore, names: Mapping[str, Digest], subjects: Mapping[Digest, Sequence[Digest]]
    ) -> None:
        self._store = store
        self._names = names
        self._subjects = subjects

    @classmethod
    def read(cls, store: LayoutStore, index: LayoutIndex) -> LayoutReferrers:
        """Look at every manifest that ``index`` names; what cannot be read refers to nothing."""
        subjects: dict[Digest, list[Digest]] = defaultdict(list)
        for digest, subject in _subjects(store, index.entries):
            subjects[subject].append(digest)
        return cls(store, index.digests(), subjects)

    def of(self, digest: Digest) -> list[Referrer]:
        """What refers to ``digest``, each once; raises ``TransshipError``."""
        by_subject = [*self._subjects.get(digest, ()), *self._in_fallback_index(digest)]
        tags = [tag for tag in attachment_tags(digest) if tag in self._names]
        return [
            *(Referrer(found) for found in dict.fromkeys(by_subject)),
            *(Referrer(self._names[tag], tag) for tag in tags),
        ]

    def _in_fallback_index(self, digest: Digest) -> list[Digest]:
        """Some programs keep the index that registries without an interface for referrers have (regclient)."""
        index = self._names.get(fallback_tag(digest))
        return [] if index is None else listed_referrers(read_manifest(self._store, index))


def _subjects(store: LayoutStore, entries: Sequence[IndexEntry]) -> Iterator[tuple[Digest, Digest]]:
    for entry in entries:
        if entry.media_type not in (OCI_MANIFEST, OCI_INDEX):
            continue
        try:
            digest = entry.digest()
            subject = subject_of(read_manifest(store, digest), entry.media_type)
        except TransshipError:
            continue
        if subject is not None:
            yield digest, subject
