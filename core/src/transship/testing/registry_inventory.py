"""What the testing registry holds, to look at and to fill."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from transship.image.digest import Digest
from transship.image.identification import manifest_digest
from transship.testing.images import Image
from transship.testing.registry_content import Content, Repository, Store, StoredManifest

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Inventory:
    """Views of all repositories as they are now, by name; one that nobody knows is empty.

    What is put here is not checked, so that tests can have what no client could push.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def blobs(self) -> Mapping[str, Mapping[Digest, Content]]:
        """The blobs of each repository."""
        return self._view(lambda repository: repository.blobs)

    @property
    def manifests(self) -> Mapping[str, Mapping[Digest, StoredManifest]]:
        """The manifests and indexes of each repository."""
        return self._view(lambda repository: repository.manifests)

    @property
    def tags(self) -> Mapping[str, Mapping[str, Digest]]:
        """The tags of each repository."""
        return self._view(lambda repository: repository.tags)

    @property
    def signatures(self) -> Mapping[str, Mapping[Digest, Mapping[str, bytes]]]:
        """The signatures of the extension: by repository, digest of the manifest, and their own name."""
        return self._view(lambda repository: repository.signatures)

    @property
    def open_uploads(self) -> int:
        """How many uploads were begun and neither finished nor cancelled."""
        with self._store.lock:
            return len(self._store.uploads)

    def put_blob(self, repository: str, data: bytes | Path) -> Digest:
        """Give ``repository`` a blob: bytes, or the content of a file that stays where it is."""
        content = Content(data) if isinstance(data, bytes) else Content(path=data)
        digest = content.digest("sha256")
        self._store.put_blob(repository, digest, content)
        return digest

    def put_manifest(self, repository: str, tag: str, data: bytes, media_type: str) -> Digest:
        """Give ``repository`` a manifest or index; ``tag`` is ``""`` for none."""
        digest = manifest_digest(data, media_type)
        with self._store.lock:
            held = self._store.repository(repository)
            held.manifests[digest] = StoredManifest(data, media_type)
            if tag:
                held.tags[tag] = digest
        return digest

    def put_image(self, repository: str, tag: str, image: Image) -> Digest:
        """Give ``repository`` an image with its blobs, or an index with its instances; ``tag`` is ``""`` for none."""
        for digest, data in image.blobs.items():
            self._store.put_blob(repository, digest, Content(data))
        for instance in image.instances:
            self.put_image(repository, "", instance)
        return self.put_manifest(repository, tag, image.manifest, image.media_type)

    def _view(self, part: Callable[[Repository], Mapping[_Key, _Value]]) -> Mapping[str, Mapping[_Key, _Value]]:
        with self._store.lock:
            held = {name: dict(part(repository)) for name, repository in self._store.repositories.items()}
        return defaultdict(dict, held)
