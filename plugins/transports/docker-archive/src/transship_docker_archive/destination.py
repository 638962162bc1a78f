"""Writing an image to a docker archive."""

from __future__ import annotations

from typing import Any

from transship.errors import (
    BlobNotFoundError,
    InvalidManifestError,
    ManifestRejectedError,
    TransportError,
    UnsupportedError,
)
from transship.image.config import config_diff_ids
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest
from transship.image.manifest import ImageManifest, parse_manifest
from transship.image.media_types import DOCKER_MANIFEST
from transship.image.strict_json import METADATA_LIMIT, dump_json
from transship.plugin.archive_target import ArchiveTarget
from transship.plugin.blob import BlobReader
from transship.plugin.context import Context
from transship.plugin.files import reporting
from transship.plugin.tar_writer import FileTarWriter, StreamTarWriter, TarWriter
from transship.plugin.transport import Destination, DestinationTraits, LayerCompression
from transship_docker_archive.earlier import EarlierArchive
from transship_docker_archive.legacy import REPOSITORIES_FILE, legacy_layers, repositories
from transship_docker_archive.manifest_items import MANIFEST_FILE, MANIFEST_LIMIT
from transship_docker_archive.reference import DockerArchiveReference, parse_additional_tags

_READ_ONLY = 0o444
_TRAITS = DestinationTraits(
    manifest_types=(DOCKER_MANIFEST,),
    compression=LayerCompression.DECOMPRESS,
    parallel=False,
    refuses_signatures="Storing signatures for docker tar files is not supported",
)


class DockerArchiveDestination(Destination):
    """One image for a new archive or, with the option ``append``, one more for an existing one."""

    def __init__(self, reference: DockerArchiveReference, context: Context) -> None:
        if reference.index is not None:
            raise UnsupportedError(f"Destination reference must not contain a manifest index @{reference.index}")
        tags = parse_additional_tags(context.options.get("additional-tags", ""))
        self._names = tuple(dict.fromkeys((*([reference.named] if reference.named else ()), *tags)))
        self._context = context
        self._target = ArchiveTarget(reference.path)
        self._earlier = self._open_earlier() if self._target.has_content else None
        self._opened: TarWriter | None = None
        self._written: dict[Digest, Descriptor] = {}
        self._configs: dict[Digest, bytes] = {}
        self._image: ImageManifest | None = None

    @property
    def traits(self) -> DestinationTraits:
        return _TRAITS

    def reuse_blob(self, descriptor: Descriptor) -> Descriptor | None:
        found = self._written.get(descriptor.digest) or self._find_earlier(descriptor)
        return found if found is not None and descriptor.size in (-1, found.size) else None

    def put_blob(self, blob: BlobReader) -> None:
        if blob.expected.digest is not None:
            _require_sha256(blob.expected.digest)
        if blob.is_config:
            self._put_config(blob)
        else:
            self._put_layer(blob)

    def put_manifest(self, data: bytes, media_type: str, instance: Digest | None = None) -> None:
        if instance is not None:
            raise UnsupportedError("Manifest lists are not supported by the docker-archive transport")
        if media_type != DOCKER_MANIFEST:
            raise ManifestRejectedError("Unsupported manifest type, need a Docker schema 2 manifest")
        image = parse_manifest(data, media_type)
        self._require_loadable(image)
        self._image = image

    def _require_loadable(self, image: ImageManifest) -> None:
        """Readers pair the layers with the config's diff IDs, and refuse an archive where their numbers differ."""
        config = self._configs.get(image.config.digest) if image.config is not None else None
        diff_ids = config_diff_ids(config) if config is not None else ()
        if diff_ids and len(diff_ids) != len(image.layers):
            raise InvalidManifestError(
                f"Inconsistent layer count: {len(image.layers)} in manifest, {len(diff_ids)} in config"
            )

    def commit(self) -> None:
        if self._image is None:
            raise TransportError(f"{self._target.path}: an archive needs a manifest")
        config_digest, diff_ids = self._digests(self._image)
        with reporting("write", self._target.path):
            self._write_metadata(config_digest, diff_ids)
            self._target.commit(replaces_others=False)

    def close(self) -> None:
        self._target.close()
        if self._earlier is not None:
            self._earlier.close()

    def _open_earlier(self) -> EarlierArchive:
        if not self._context.flag("append"):
            raise UnsupportedError("docker-archive doesn't support modifying existing images")
        if self._target.is_stream:
            raise UnsupportedError(f"{self._target.path}: cannot be appended to, it is no file with a name")
        return EarlierArchive(self._target.path, self._context)

    @property
    def _writer(self) -> TarWriter:
        if self._opened is None:
            file = self._target.open()
            if self._target.is_stream:
                self._opened = StreamTarWriter(file, self._context.temporary_directory, mode=_READ_ONLY)
            else:
                self._opened = writer = FileTarWriter(file, mode=_READ_ONLY)
                if self._earlier is not None:
                    self._earlier.copy_to(writer)
        return self._opened

    def _find_earlier(self, descriptor: Descriptor) -> Descriptor | None:
        if self._earlier is None:
            return None
        with reporting("read", self._target.path):
            found = self._earlier.verified_blob(_layer_name(descriptor.digest), descriptor)
        if found is not None:
            self._written[descriptor.digest] = found
        return found

    def _put_config(self, blob: BlobReader) -> None:
        data = bytearray()
        for chunk in blob:
            data += chunk
            if len(data) > METADATA_LIMIT:
                raise InvalidManifestError(f"image config: exceeded maximum allowed size of {METADATA_LIMIT} bytes")
        digest = blob.descriptor.digest
        if digest not in self._configs:
            self._configs[digest] = bytes(data)
            with reporting("write", self._target.path):
                self._add_file(_config_name(digest), bytes(data))

    def _put_layer(self, blob: BlobReader) -> None:
        with reporting("write", self._target.path):
            descriptor = self._writer.add_blob(blob, _layer_name, self._has)
        self._written[descriptor.digest] = descriptor

    def _has(self, digest: Digest) -> bool:
        """Whether the layer is there; one of an earlier archive must be what its name says."""
        if digest in self._written:
            return True
        return self._earlier is not None and self._earlier.has_blob(_layer_name(digest), digest)

    def _add_file(self, name: str, data: bytes) -> None:
        if self._earlier is None or not self._earlier.has_file(name, data):
            self._writer.add_file(name, data)

    def _digests(self, image: ImageManifest) -> tuple[Digest, list[Digest]]:
        config = image.config.digest if image.config else None
        if config is None or config not in self._configs:
            raise BlobNotFoundError(f"{self._target.path}: the config {config} was not written")
        diff_ids = [layer.descriptor.digest for layer in image.layers]
        for diff_id in diff_ids:
            if diff_id not in self._written:
                raise BlobNotFoundError(f"{self._target.path}: the layer {diff_id} was not written")
        return config, diff_ids

    def _write_metadata(self, config: Digest, diff_ids: list[Digest]) -> None:
        layers = legacy_layers(diff_ids, self._configs[config])
        for layer in layers:
            if self._earlier is None or not self._earlier.has_file(f"{layer.id}/json", layer.json):
                self._writer.add_link(f"{layer.id}/layer.tar", f"../{_layer_name(layer.diff_id)}")
                self._writer.add_file(f"{layer.id}/VERSION", b"1.0")
                self._writer.add_file(f"{layer.id}/json", layer.json)
        item: dict[str, Any] = {
            "Config": _config_name(config),
            "RepoTags": [str(name) for name in self._names],
            "Layers": [_layer_name(diff_id) for diff_id in diff_ids],
        }
        items = self._earlier.items_with(item) if self._earlier else [item]
        tops = self._earlier.repositories if self._earlier else {}
        listing = dump_json(items)
        if len(listing) > MANIFEST_LIMIT:
            raise UnsupportedError(f"{self._target.path}: too many images for one docker archive")
        self._writer.add_file(MANIFEST_FILE, listing)
        self._writer.add_file(REPOSITORIES_FILE, repositories(self._names, layers[-1].id if layers else "", tops))
        self._writer.finish()


def _layer_name(digest: Digest) -> str:
    return f"{digest.encoded}.tar"


def _config_name(digest: Digest) -> str:
    return f"{digest.encoded}.json"


def _require_sha256(digest: Digest) -> None:
    if digest.algorithm != "sha256":
        raise UnsupportedError(f"docker-archive: blobs are named by sha256, not by {digest.algorithm}")
