"""What the tests of transports do: write a small image, read it back, and see whether it is the same."""
# ruff: noqa: S101 - assert is how tests speak

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from transship.errors import ContentMismatchError, TransshipError
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest, digest_of
from transship.image.identification import guess_media_type
from transship.image.manifest import parse_manifest
from transship.image.media_types import DOCKER_MANIFEST, INDEX_TYPES, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST
from transship.plugin.blob import BlobReader, Buffer, Content
from transship.plugin.context import Context
from transship.plugin.signature import SIGSTORE_JSON, SIMPLE_SIGNING, Signature
from transship.plugin.transport import (
    Destination,
    DestinationTraits,
    LayerCompression,
    RawManifest,
    Reference,
    Source,
    Transport,
)
from transship.testing.contracts.failing import refused
from transship.testing.contracts.pieces import reused_pieces
from transship.testing.images import Image, oci_image, schema2_image

_OPEN_FILES = "/proc/self/fd"
_PIECE = 100
PROMISED = b"what was promised"
PROMISE = Descriptor(OCI_LAYER_GZIP, digest_of(PROMISED), len(PROMISED))


SIGNATURES = (
    Signature(SIMPLE_SIGNING, b"\x90only its first byte matters here"),
    Signature(SIGSTORE_JSON, b'{"mimeType":"text/plain","payload":"e30=","annotations":{"a":"b"}}'),
)


class TransportSteps:
    """The steps that several tests take. See ``TransportContract`` for its attributes."""

    context: Context
    keeps_manifests: bool

    def _reference(self, transport: Transport, text: str) -> Reference:
        return transport.parse_reference(text)

    def _image_for(self, traits: DestinationTraits, *, architecture: str = "amd64") -> Image:
        """An image that this destination takes as it is."""
        media_type, compression = self._form_for(traits)
        make = oci_image if media_type == OCI_MANIFEST else schema2_image
        return make(compression=compression, architecture=architecture)

    def _form_for(self, traits: DestinationTraits) -> tuple[str, str]:
        """The media type of a manifest and the compression of layers that this destination takes as they are."""
        compression = "" if traits.compression is LayerCompression.DECOMPRESS else "gzip"
        types = traits.manifest_types
        if types is None or OCI_MANIFEST in types:
            return OCI_MANIFEST, compression
        assert DOCKER_MANIFEST in types, "the contract has images of OCI and of Docker's schema 2 only"
        return DOCKER_MANIFEST, compression

    def _written(
        self, transport: Transport, reference: Reference, *, architecture: str = "amd64", signed: bool = False
    ) -> Image:
        with self._destination(transport, reference) as destination:
            image = self._image_for(destination.traits, architecture=architecture)
            self._put_image(destination, image)
            if signed and not destination.traits.refuses_signatures:
                destination.put_signatures(SIGNATURES)
            destination.commit()
        return image

    def _filled(self, transport: Transport, text: str, *, signed: bool = False) -> tuple[Reference, Image]:
        """What ``text`` names, and an image that was written there."""
        reference = self._reference(transport, text)
        return reference, self._written(transport, reference, signed=signed)

    def _put_image(self, destination: Destination, image: Image) -> None:
        self._put_layers(destination, image)
        self._finish(destination, image)

    def _put_index(self, destination: Destination, index: Image) -> None:
        for instance in index.instances:
            self._put_layers(destination, instance)
            self._put_config(destination, instance)
            destination.put_manifest(instance.manifest, instance.media_type, instance.digest)
        destination.put_manifest(index.manifest, index.media_type)

    def _put_layers(self, destination: Destination, image: Image) -> None:
        for layer in layers_of(image):
            if destination.reuse_blob(layer) is None:
                destination.put_blob(self._reader(image, layer))

    def _finish(self, destination: Destination, image: Image) -> None:
        self._put_config(destination, image)
        destination.put_manifest(image.manifest, image.media_type)

    def _put_config(self, destination: Destination, image: Image) -> None:
        config = parse_manifest(image.manifest, image.media_type).config
        assert config is not None
        if destination.reuse_blob(config) is None:
            destination.put_blob(self._reader(image, config, is_config=True))

    def _reader(self, image: Image, descriptor: Descriptor, *, is_config: bool = False) -> BlobReader:
        return BlobReader(in_pieces(image.blobs[known_digest(descriptor)]), descriptor, is_config=is_config)

    def _check_image(self, source: Source, raw: RawManifest, image: Image) -> None:
        if self.keeps_manifests:
            assert raw.data == image.manifest
            assert raw.media_type in ("", image.media_type)
        manifest = parse_manifest(raw.data, raw.media_type or guess_media_type(raw.data))
        assert manifest.config is not None
        assert bytes_of(source.get_blob(manifest.config)) == image.config
        stored = [bytes_of(source.get_blob(layer.descriptor)) for layer in manifest.layers]
        assert stored == [image.blobs[known_digest(layer)] for layer in layers_of(image)]

    def _all_of(self, transport: Transport, reference: Reference) -> tuple[object, ...]:
        """All that there is of an image."""
        with self._source(transport, reference) as source:
            raw = source.get_manifest()
            blobs = [bytes_of(source.get_blob(descriptor)) for descriptor in stored_blobs(raw)]
            return (raw, *blobs, *source.get_signatures())

    def _pass_over(self, transport: Transport, reference: Reference) -> None:
        """Read all that there is of an image, and keep nothing of it."""
        with self._source(transport, reference) as source:
            for descriptor in stored_blobs(source.get_manifest()):
                with contextlib.closing(source.get_blob(descriptor)) as content:
                    for _ in content:
                        pass
            source.get_signatures()

    def _check_refused(self, transport: Transport, reference_text: str, data: bytes) -> None:
        """Whoever stores ``data`` for another blob must notice, and must not let it appear."""
        reference = self._reference(transport, reference_text)
        for is_config in (False, True):
            with self._destination(transport, reference) as destination:
                with refused(ContentMismatchError):
                    destination.put_blob(lying_blob(data, is_config=is_config))
                assert destination.reuse_blob(PROMISE) is None
            assert self._found(transport, reference) is None

    def _found(self, transport: Transport, reference: Reference) -> RawManifest | None:
        """The manifest that the reference names, None if it names nothing."""
        try:
            with self._source(transport, reference) as source:
                return source.get_manifest()
        except TransshipError:
            return None

    @contextlib.contextmanager
    def _source(self, transport: Transport, reference: Reference) -> Iterator[Source]:
        with contextlib.closing(transport.open_source(reference, self.context)) as source:
            yield source

    @contextlib.contextmanager
    def _destination(self, transport: Transport, reference: Reference) -> Iterator[Destination]:
        with contextlib.closing(transport.open_destination(reference, self.context)) as destination:
            yield destination


def prefers_docker(traits: DestinationTraits) -> bool:
    return traits.manifest_types is not None and OCI_INDEX not in traits.manifest_types


def takes_indexes(traits: DestinationTraits) -> bool:
    types = traits.manifest_types
    return types is None or any(kind in types for kind in INDEX_TYPES)


def lying_blob(data: bytes, *, is_config: bool) -> BlobReader:
    return BlobReader(in_pieces(data), PROMISE, is_config=is_config)


def known_digest(descriptor: Descriptor) -> Digest:
    assert descriptor.digest is not None
    return descriptor.digest


def layers_of(image: Image) -> list[Descriptor]:
    return [layer.descriptor for layer in parse_manifest(image.manifest, image.media_type).layers]


def stored_blobs(raw: RawManifest) -> list[Descriptor]:
    manifest = parse_manifest(raw.data, raw.media_type or guess_media_type(raw.data))
    layers = [layer.descriptor for layer in manifest.layers]
    return [*layers, manifest.config] if manifest.config else layers


def in_pieces(data: bytes) -> Iterator[Buffer]:
    """``data`` as the engine gives it: in pieces that are overwritten by the next one."""
    return reused_pieces(data, _PIECE)


def bytes_of(content: Content) -> bytes:
    with contextlib.closing(content):
        return b"".join(map(bytes, content))


def open_files(place: Path) -> list[str]:
    """What this process has open of a file or folder, where the system tells."""
    paths = []
    for name in os.listdir(_OPEN_FILES) if os.path.isdir(_OPEN_FILES) else []:
        with contextlib.suppress(OSError):  # that of the listing itself is gone
            paths.append(os.readlink(f"{_OPEN_FILES}/{name}"))
    root = os.path.realpath(place)
    return sorted(path for path in paths if path == root or path.startswith(f"{root}/"))
