"""What every transport that reads and writes must do, as a test class to subclass.

    class TestMemory(TransportContract):
        @pytest.fixture
        def transport(self):
            return MemoryTransport()

        @pytest.fixture
        def reference_text(self):
            return "a-new-place"

The class says what each fixture is to give.
"""
# ruff: noqa: S101 - assert is how tests speak

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from transship.errors import (
    ContentMismatchError,
    InvalidReferenceError,
    ManifestRejectedError,
    TransshipError,
    UnsupportedError,
)
from transship.image.descriptor import Descriptor
from transship.image.digest import digest_of
from transship.image.media_types import OCI_LAYER_GZIP
from transship.plugin.blob import BlobReader, BytesContent, Expectation
from transship.plugin.context import Context
from transship.plugin.transport import DigestLister, ResumableSource, TagLister, Transport
from transship.testing.contracts.failing import limited_file_size, refused
from transship.testing.contracts.transport_failures import FailureTests
from transship.testing.contracts.transport_scopes import ScopeTests
from transship.testing.contracts.transport_steps import (
    PROMISED,
    SIGNATURES,
    bytes_of,
    in_pieces,
    known_digest,
    layers_of,
    lying_blob,
    open_files,
    prefers_docker,
    stored_blobs,
    takes_indexes,
)
from transship.testing.images import PLATFORMS, docker_list, oci_index

_THREADS = 4


class TransportContract(ScopeTests, FailureTests):
    """Subclass it and give two fixtures: ``transport``, and ``reference_text``, a place that nobody has used yet.

    Others have a sensible value: ``missing_text``, ``local_path``, ``elsewhere_text`` and ``failing_writes``.

    ``context`` is what the transport is opened with. ``keeps_manifests`` is False for a transport that makes a
    manifest of its own when it reads: then only the config and the layers are compared.
    """

    context: Context = Context()
    keeps_manifests: bool = True

    @pytest.fixture
    def missing_text(self, transport: Transport, reference_text: str) -> str | None:
        """An image that is not there, in the place of ``reference_text``; None where a place has one image only."""
        return f"{reference_text}-missing" if isinstance(transport, TagLister | DigestLister) else None

    @pytest.fixture
    def local_path(self, reference_text: str) -> Path | None:
        """The file or folder of this machine that ``reference_text`` names, None if it names none."""
        path = reference_text.partition(":")[0]
        return Path(path) if path.startswith("/") and not path.startswith("//") else None

    @pytest.fixture
    def elsewhere_text(
        self, reference_text: str, local_path: Path | None, tmp_path_factory: pytest.TempPathFactory
    ) -> str | None:
        """Another place with an image of the same name, such as another host or folder; None if there is none."""
        if local_path is None:
            return None
        return reference_text.replace(str(local_path), str(tmp_path_factory.mktemp("elsewhere") / local_path.name))

    @pytest.fixture
    def failing_writes(self) -> Callable[[], AbstractContextManager[object]]:
        """Makes a context in which an image of a megabyte cannot be written; as it is, local files cannot get big."""
        return limited_file_size

    def test_text_of_a_reference_gives_it_back(self, transport: Transport, reference_text: str) -> None:
        reference = transport.parse_reference(reference_text)
        assert transport.parse_reference(reference.text) == reference
        assert str(reference) == f"{transport.name}:{reference.text}"

    def test_any_text_is_a_reference_or_refused(self, transport: Transport) -> None:
        for text in ("", ":", "::", "@", "a\0b", "\udcff", "a" * 100_000):
            with contextlib.suppress(InvalidReferenceError):
                reference = transport.parse_reference(text)
                assert transport.parse_reference(reference.text) == reference, f"{text[:20]!r} changes its meaning"
                self._found(transport, reference)

    def test_image_comes_back(self, transport: Transport, reference_text: str) -> None:
        reference, image = self._filled(transport, reference_text)
        with self._source(transport, reference) as source:
            self._check_image(source, source.get_manifest(), image)

    def test_image_replaces_another_or_is_refused(self, transport: Transport, reference_text: str) -> None:
        reference, expected = self._filled(transport, reference_text)
        with contextlib.suppress(TransshipError):
            expected = self._written(transport, reference, architecture="arm64")
        with self._source(transport, reference) as source:
            self._check_image(source, source.get_manifest(), expected)

    def test_index_comes_back_or_is_refused(self, transport: Transport, reference_text: str) -> None:
        reference = self._reference(transport, reference_text)
        with self._destination(transport, reference) as destination:
            index = docker_list() if prefers_docker(destination.traits) else oci_index()
            if not takes_indexes(destination.traits):
                with refused(ManifestRejectedError, UnsupportedError):
                    destination.put_manifest(index.manifest, index.media_type)
                return
            self._put_index(destination, index)
            destination.commit()
        with self._source(transport, reference) as source:
            assert source.get_manifest().data == index.manifest
            for instance in index.instances:
                raw = source.get_manifest(instance.digest)
                assert raw.data == instance.manifest
                self._check_image(source, raw, instance)

    def test_blob_of_a_wrong_digest_is_refused(self, transport: Transport, reference_text: str) -> None:
        self._check_refused(transport, reference_text, b"what was promis3d")

    def test_blob_that_is_too_long_is_refused(self, transport: Transport, reference_text: str) -> None:
        self._check_refused(transport, reference_text, PROMISED + b" and more")

    def test_blob_that_is_too_short_is_refused(self, transport: Transport, reference_text: str) -> None:
        self._check_refused(transport, reference_text, PROMISED[:-1])

    def test_blob_may_be_of_unknown_digest_and_size(self, transport: Transport, reference_text: str) -> None:
        reference = self._reference(transport, reference_text)
        with self._destination(transport, reference) as destination:
            image = self._image_for(destination.traits)
            for layer in layers_of(image):
                blob = BlobReader(in_pieces(image.blobs[known_digest(layer)]), Expectation(layer.media_type))
                destination.put_blob(blob)
                assert blob.descriptor.digest == layer.digest
            self._finish(destination, image)
            destination.commit()
        with self._source(transport, reference) as source:
            self._check_image(source, source.get_manifest(), image)

    def test_empty_blob_comes_back(self, transport: Transport, reference_text: str) -> None:
        reference = self._reference(transport, reference_text)
        empty = Descriptor(OCI_LAYER_GZIP, digest_of(b""), 0)
        with self._destination(transport, reference) as destination:
            blob = BlobReader(BytesContent(b""), empty)
            destination.put_blob(blob)
            assert blob.descriptor.size == 0
            image = self._image_for(destination.traits)
            self._put_image(destination, image)
            destination.commit()
        with self._source(transport, reference) as source, contextlib.suppress(TransshipError):
            # Nothing in the image refers to it, so a transport need not keep it: what it gives must be empty.
            assert bytes_of(source.get_blob(empty)) == b""

    def test_blob_may_be_read_twice(self, transport: Transport, reference_text: str) -> None:
        reference, _ = self._filled(transport, reference_text)
        with self._source(transport, reference) as source:
            for descriptor in stored_blobs(source.get_manifest()):
                first, second = source.get_blob(descriptor), source.get_blob(descriptor)
                content = bytes_of(first)
                assert content == bytes_of(second)
                assert {first.size, second.size} <= {-1, len(content)}

    def test_blob_may_begin_later_where_the_source_says_so(self, transport: Transport, reference_text: str) -> None:
        reference, _ = self._filled(transport, reference_text)
        with self._source(transport, reference) as source:
            if isinstance(source, ResumableSource):
                for descriptor in stored_blobs(source.get_manifest()):
                    whole = bytes_of(source.get_blob(descriptor))
                    for offset in (1, len(whole) - 1):
                        assert bytes_of(source.get_blob_from(descriptor, offset)) == whole[offset:]

    def test_reading_may_end_early(self, transport: Transport, reference_text: str) -> None:
        reference, _ = self._filled(transport, reference_text)
        with self._source(transport, reference) as source:
            for descriptor in stored_blobs(source.get_manifest()):
                unread, begun = source.get_blob(descriptor), source.get_blob(descriptor)
                next(iter(begun))
                for content in (unread, begun):
                    content.close()
                    content.close()
                assert digest_of(bytes_of(source.get_blob(descriptor))) == descriptor.digest

    def test_content_that_is_closed_holds_no_file_open(
        self, transport: Transport, reference_text: str, local_path: Path | None
    ) -> None:
        reference, _ = self._filled(transport, reference_text)
        if local_path is not None:
            with self._source(transport, reference) as source:
                before = open_files(local_path)
                contents = [source.get_blob(descriptor) for descriptor in stored_blobs(source.get_manifest())]
                for content in contents:
                    content.close()
                assert open_files(local_path) == before
            assert open_files(local_path) == []

    def test_blobs_may_come_from_several_threads(self, transport: Transport, reference_text: str) -> None:
        reference = self._reference(transport, reference_text)
        with self._destination(transport, reference) as destination:
            images = [
                self._image_for(destination.traits, architecture=architecture) for architecture, _variant in PLATFORMS
            ]
            blobs = {layer.digest: (image, layer) for image in images for layer in layers_of(image)}
            workers = _THREADS if destination.traits.parallel else 1
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(lambda pair: destination.put_blob(self._reader(*pair)), blobs.values()))
            self._finish(destination, images[0])
            destination.commit()
        with self._source(transport, reference) as source:
            self._check_image(source, source.get_manifest(), images[0])

    def test_blobs_may_be_read_by_several_threads(self, transport: Transport, reference_text: str) -> None:
        reference, _ = self._filled(transport, reference_text)
        with self._source(transport, reference) as source:
            descriptors = stored_blobs(source.get_manifest()) * 4
            with ThreadPoolExecutor(_THREADS if source.parallel else 1) as pool:
                contents = list(pool.map(lambda descriptor: bytes_of(source.get_blob(descriptor)), descriptors))
        assert [digest_of(data) for data in contents] == [descriptor.digest for descriptor in descriptors]

    def test_reuse_tells_the_truth(self, transport: Transport, reference_text: str) -> None:
        with self._destination(transport, self._reference(transport, reference_text)) as destination:
            image = self._image_for(destination.traits)
            layer = layers_of(image)[0]
            assert destination.reuse_blob(layer) is None
            destination.put_blob(self._reader(image, layer))
            found = destination.reuse_blob(layer)
            assert found is None or (found.digest, found.size) == (layer.digest, layer.size)
            lying = Descriptor(layer.media_type, layer.digest, layer.size + 1)
            assert destination.reuse_blob(lying) is None, "a blob of another size was offered"

    def test_variants_are_remembered_as_they_were_noted_or_not_at_all(
        self, transport: Transport, reference_text: str
    ) -> None:
        with self._destination(transport, self._reference(transport, reference_text)) as destination:
            image = self._image_for(destination.traits)
            layer = layers_of(image)[0]
            uncompressed = digest_of(b"what nobody has compressed before")
            assert destination.known_variant(uncompressed, "a recipe") is None
            destination.put_blob(self._reader(image, layer))
            destination.note_variant(uncompressed, "a recipe", layer)
            found = destination.known_variant(uncompressed, "a recipe")
            assert found is None or (found.digest, found.size) == (layer.digest, layer.size)
            assert destination.known_variant(uncompressed, "another recipe") is None
            assert destination.known_variant(known_digest(layer), "a recipe") is None

    def test_what_is_reused_need_not_be_written(self, transport: Transport, reference_text: str) -> None:
        reference, image = self._filled(transport, reference_text)
        with contextlib.suppress(TransshipError), self._destination(transport, reference) as destination:
            self._put_image(destination, image)
            destination.commit()
        with self._source(transport, reference) as source:
            self._check_image(source, source.get_manifest(), image)

    def test_nothing_appears_before_commit(self, transport: Transport, reference_text: str) -> None:
        reference = self._reference(transport, reference_text)
        with self._destination(transport, reference) as destination:
            image = self._image_for(destination.traits)
            self._put_image(destination, image)
            assert self._found(transport, reference) is None
            destination.commit()
        assert self._found(transport, reference) is not None

    def test_nothing_appears_without_commit(self, transport: Transport, reference_text: str) -> None:
        reference = self._reference(transport, reference_text)
        with self._destination(transport, reference) as destination:
            self._put_image(destination, self._image_for(destination.traits))
        assert self._found(transport, reference) is None

    def test_old_image_stays_without_commit(self, transport: Transport, reference_text: str) -> None:
        reference, old = self._filled(transport, reference_text)
        with contextlib.suppress(TransshipError), self._destination(transport, reference) as destination:
            self._put_image(destination, self._image_for(destination.traits, architecture="arm64"))
        with self._source(transport, reference) as source:
            self._check_image(source, source.get_manifest(), old)

    def test_opening_for_writing_changes_nothing(self, transport: Transport, reference_text: str) -> None:
        reference, old = self._filled(transport, reference_text)
        with contextlib.suppress(TransshipError):
            transport.open_destination(reference, self.context).close()
        with self._source(transport, reference) as source:
            self._check_image(source, source.get_manifest(), old)

    def test_place_can_be_used_after_a_failure(self, transport: Transport, reference_text: str) -> None:
        reference = self._reference(transport, reference_text)
        with self._destination(transport, reference) as destination, refused(ContentMismatchError):
            destination.put_blob(lying_blob(b"something else", is_config=False))
        image = self._written(transport, reference)
        with self._source(transport, reference) as source:
            self._check_image(source, source.get_manifest(), image)

    def test_closing_twice_is_harmless(self, transport: Transport, reference_text: str) -> None:
        reference = self._reference(transport, reference_text)
        unused = transport.open_destination(reference, self.context)
        unused.close()
        unused.close()
        self._written(transport, reference)
        source = transport.open_source(reference, self.context)
        source.close()
        source.close()

    def test_signatures_come_back_or_are_refused(self, transport: Transport, reference_text: str) -> None:
        reference = self._reference(transport, reference_text)
        with self._destination(transport, reference) as destination:
            self._put_image(destination, self._image_for(destination.traits))
            if destination.traits.refuses_signatures:
                with refused(UnsupportedError):
                    destination.put_signatures(SIGNATURES)
                return
            destination.put_signatures(SIGNATURES)
            destination.commit()
        with self._source(transport, reference) as source:
            assert tuple(source.get_signatures()) == SIGNATURES

    def test_signatures_of_an_index_and_of_its_members_are_kept_apart(
        self, transport: Transport, reference_text: str
    ) -> None:
        reference = self._reference(transport, reference_text)
        with self._destination(transport, reference) as destination:
            traits = destination.traits
            if traits.refuses_signatures or not takes_indexes(traits):
                return
            index = docker_list() if prefers_docker(traits) else oci_index()
            self._put_index(destination, index)
            first, second, *_ = (instance.digest for instance in index.instances)
            destination.put_signatures(SIGNATURES[:1], first)
            destination.put_signatures(SIGNATURES[1:])
            destination.commit()
        with self._source(transport, reference) as source:
            found = [tuple(source.get_signatures(instance)) for instance in (first, second, None)]
        assert found == [SIGNATURES[:1], (), SIGNATURES[1:]]

    def test_image_without_signatures_has_none(self, transport: Transport, reference_text: str) -> None:
        reference, _ = self._filled(transport, reference_text)
        with self._source(transport, reference) as source:
            assert tuple(source.get_signatures()) == ()

    def test_traits_stay_the_same(self, transport: Transport, reference_text: str) -> None:
        with self._destination(transport, self._reference(transport, reference_text)) as destination:
            before = destination.traits
            self._put_image(destination, self._image_for(before))
            assert destination.traits == before
