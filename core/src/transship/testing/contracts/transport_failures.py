"""What a transport does when something is not there, damaged or in the way."""
# ruff: noqa: S101, S311 - assert is how tests speak, and random bytes are no secret here

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from transship.errors import (
    BlobNotFoundError,
    CancelledError,
    NotFoundError,
    TransportError,
    TransshipError,
    UnsupportedError,
)
from transship.plugin.blob import BlobReader, Buffer
from transship.plugin.transport import Transport
from transship.testing.contracts.damage import damages, limited_memory, overgrown
from transship.testing.contracts.failing import failing_only_with, refused, result_or_refusal
from transship.testing.contracts.transport_steps import (
    PROMISE,
    TransportSteps,
    bytes_of,
    in_pieces,
    known_digest,
    layers_of,
)
from transship.testing.images import Image, image_of_layers
from transship.testing.layers import tar_of

_BIG = 1 << 20


class FailureTests(TransportSteps):
    """A part of ``TransportContract``."""

    def test_place_that_nobody_wrote_to_is_an_error(self, transport: Transport, reference_text: str) -> None:
        reference = self._reference(transport, reference_text)
        with refused(NotFoundError, TransportError), self._source(transport, reference) as source:
            source.get_manifest()

    def test_image_that_is_not_there_is_not_found(
        self, transport: Transport, reference_text: str, missing_text: str | None
    ) -> None:
        if missing_text is not None:
            self._written(transport, self._reference(transport, reference_text))
            missing = self._reference(transport, missing_text)
            with refused(NotFoundError), self._source(transport, missing) as source:
                source.get_manifest()

    def test_instance_that_is_not_there_is_an_error(self, transport: Transport, reference_text: str) -> None:
        reference, _ = self._filled(transport, reference_text)
        with self._source(transport, reference) as source, refused(NotFoundError, TransportError, UnsupportedError):
            source.get_manifest(PROMISE.digest)

    def test_blob_that_is_not_there_is_an_error(self, transport: Transport, reference_text: str) -> None:
        reference, _ = self._filled(transport, reference_text)
        with self._source(transport, reference) as source, refused(BlobNotFoundError):
            bytes_of(source.get_blob(PROMISE))

    def test_error_of_the_source_passes_and_leaves_nothing(self, transport: Transport, reference_text: str) -> None:
        reference = self._reference(transport, reference_text)
        for error in (TransportError("the source went away"), CancelledError("cancelled"), KeyboardInterrupt()):
            with self._destination(transport, reference) as destination:
                image = self._image_for(destination.traits)
                layer = layers_of(image)[0]
                with pytest.raises(type(error)):
                    destination.put_blob(BlobReader(_failing(image.blobs[known_digest(layer)], error), layer))
                assert destination.reuse_blob(layer) is None, "a part of a blob passes for the whole"
            assert self._found(transport, reference) is None
        image = self._written(transport, reference)
        with self._source(transport, reference) as source:
            self._check_image(source, source.get_manifest(), image)

    def test_failing_write_is_a_clear_error_and_leaves_nothing(
        self,
        transport: Transport,
        reference_text: str,
        failing_writes: Callable[[], AbstractContextManager[object]],
    ) -> None:
        reference = self._reference(transport, reference_text)
        with self._destination(transport, reference) as destination:
            image, is_written = _big_image(*self._form_for(destination.traits)), False
            with failing_writes(), failing_only_with(TransportError):
                self._put_image(destination, image)
                destination.commit()
                is_written = True
        if is_written:
            assert isinstance(result_or_refusal(lambda: self._all_of(transport, reference)), tuple), (
                "nobody said that a write failed"
            )
            with self._source(transport, reference) as source:
                self._check_image(source, source.get_manifest(), image)
            return
        assert self._found(transport, reference) is None, "what could not be written looks complete"
        again = self._written(transport, reference)
        with self._source(transport, reference) as source:
            self._check_image(source, source.get_manifest(), again)

    def test_damaged_place_causes_no_error_but_those_of_transship(
        self, transport: Transport, reference_text: str, local_path: Path | None
    ) -> None:
        reference, image = self._filled(transport, reference_text, signed=True)
        for _ in damages(local_path):
            result_or_refusal(lambda: self._all_of(transport, reference))
        with self._source(transport, reference) as source:
            self._check_image(source, source.get_manifest(), image)

    def test_what_is_far_too_big_is_not_held_in_memory(
        self, transport: Transport, reference_text: str, local_path: Path | None
    ) -> None:
        reference, _ = self._filled(transport, reference_text, signed=True)
        for path in overgrown(local_path):
            with limited_memory(f"of {path}"), contextlib.suppress(TransshipError):
                self._pass_over(transport, reference)

    def test_links_that_lead_out_of_a_place_are_not_followed(
        self,
        transport: Transport,
        reference_text: str,
        local_path: Path | None,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> None:
        """A file or folder elsewhere, with all that is wanted in it, is not read for one that is gone."""
        reference, _ = self._filled(transport, reference_text, signed=True)
        expected = result_or_refusal(lambda: self._all_of(transport, reference))
        if local_path is None or not local_path.is_dir():
            return
        outside = tmp_path_factory.mktemp("outside") / "kept"
        for path in [path for path in sorted(local_path.rglob("*")) if not path.is_symlink()]:
            path.rename(outside)
            without = result_or_refusal(lambda: self._all_of(transport, reference))
            path.symlink_to(outside)
            linked = result_or_refusal(lambda: self._all_of(transport, reference))
            assert linked != expected or without == expected, f"{path} was read though it leads to {outside}"
            path.unlink()
            outside.rename(path)

    def test_writing_leads_out_of_a_place_over_no_link(
        self,
        transport: Transport,
        reference_text: str,
        local_path: Path | None,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> None:
        reference, _ = self._filled(transport, reference_text)
        if local_path is None or not local_path.is_dir():
            return
        for is_linked in (Path.is_file, Path.is_dir):
            outside = tmp_path_factory.mktemp("outside")
            for number, path in enumerate(sorted(filter(is_linked, local_path.rglob("*")), reverse=True)):
                path.rename(outside / str(number))
                path.symlink_to(outside / str(number))
            before = _state_of(outside)
            for architecture in ("amd64", "arm64"):
                with contextlib.suppress(TransshipError):
                    self._written(transport, reference, architecture=architecture)
                assert _state_of(outside) == before


def _failing(data: bytes, error: BaseException) -> Iterator[Buffer]:
    yield from in_pieces(data[: len(data) // 2])
    raise error


def _big_image(media_type: str, compression: str) -> Image:
    tar = tar_of({"big": random.Random(13).randbytes(_BIG)})
    return image_of_layers([tar], media_type=media_type, compression=compression)


def _state_of(folder: Path) -> Mapping[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}
