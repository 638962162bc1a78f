"""Reading an image from a docker archive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

from transship.errors import BlobNotFoundError, TransportError, UnsupportedError
from transship.image.config import config_diff_ids
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest, digest_of
from transship.image.manifest import docker_manifest
from transship.image.media_types import DOCKER_CONFIG, DOCKER_LAYER_GZIP, DOCKER_MANIFEST
from transship.image.strict_json import METADATA_LIMIT
from transship.plugin.blob import Buffer, BytesContent, Content, FileContent
from transship.plugin.context import Context
from transship.plugin.tar import BLOCK, clean_path, is_header
from transship.plugin.transport import RawManifest, Source
from transship_docker_archive.archive import Archive
from transship_docker_archive.manifest_items import choose_item
from transship_docker_archive.reference import DockerArchiveReference


class DockerArchiveSource(Source):
    """One image of an archive, with a manifest made from its config: layers are known by their diff IDs."""

    def __init__(self, reference: DockerArchiveReference, context: Context) -> None:
        self._context = context
        self._archive = Archive(reference.path, context)
        try:
            self._item = choose_item(self._archive.items, reference.named, reference.index)
            self._config = self._archive.read(self._item.config, METADATA_LIMIT)
            self._config_digest = digest_of(self._config)
            self._diff_ids = config_diff_ids(self._config)
            self._files = self._layer_files()
        except BaseException:
            self.close()
            raise

    def get_manifest(self, instance: Digest | None = None) -> RawManifest:
        if instance is not None:
            raise UnsupportedError("manifest lists are not supported by the docker-archive transport")
        return RawManifest(self._manifest, DOCKER_MANIFEST)

    def get_blob(self, descriptor: Descriptor) -> Content:
        digest = descriptor.digest
        if digest in self._layers:
            return self._layers[digest]
        if digest == self._config_digest:
            return BytesContent(self._config)
        raise BlobNotFoundError(f"{self._archive.path}: Unknown blob {descriptor}")

    def close(self) -> None:
        self._archive.close()

    @cached_property
    def _manifest(self) -> bytes:
        config = Descriptor(DOCKER_CONFIG, self._config_digest, len(self._config))
        layers = self._layers
        return docker_manifest(
            config,
            [Descriptor(DOCKER_LAYER_GZIP, diff_id, layers[diff_id].size) for diff_id in self._diff_ids],
        )

    @cached_property
    def _layers(self) -> dict[Digest, Content]:
        return {diff_id: self._uncompressed(file) for diff_id, file in self._files.items()}

    def _layer_files(self) -> dict[Digest, FileContent]:
        names = self._item.layers
        if len(names) != len(self._diff_ids):
            raise TransportError(f"Inconsistent layer count: {len(names)} in manifest, {len(self._diff_ids)} in config")
        files: dict[Digest, FileContent] = {}
        used: set[str] = set()
        for diff_id, name in zip(self._diff_ids, names, strict=True):
            if diff_id in files:  # the same content twice; which of the names is read makes no difference
                continue
            path = clean_path(name) or ""
            if path in used:
                raise TransportError(f"Layer tarfile {name[:300]} used for two different DiffID values")
            used.add(path)
            found = self._archive.find(path)
            if found is None:
                raise TransportError("Some layer tarfiles are missing in the tarball")
            files[diff_id] = found
        return files

    def _uncompressed(self, file: FileContent) -> Content:
        if file.size == 0 or is_header(file.head(BLOCK)):
            return file
        size = 0
        for chunk in self._context.decompress(file):
            self._context.cancellation.check()
            size += len(chunk)
        return _Decompressed(file, size, self._context)


class _Decompressed(Content):
    """A layer that is compressed inside the archive. It may be iterated again."""

    def __init__(self, file: FileContent, size: int, context: Context) -> None:
        self.size = size
        self._file = file
        self._context = context

    def __iter__(self) -> Iterator[Buffer]:
        chunks: Iterable[Buffer] = self._context.decompress(self._file)
        return iter(chunks)
