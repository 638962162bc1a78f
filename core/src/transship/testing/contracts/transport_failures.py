"""What a transport does when something is not there, damaged or in the way."""
# ruff: noqa: S101, S311 - assert is how tests speak, and random bytes are no secret here

from __future__ import annotations

import contextlib
import random
import resource
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
from transship.plugin.transport import Reference, Transport
from transship.testing.contracts.transport_steps import (
    PROMISE,
    TransportSteps,
    bytes_of,
    failing_only_with,
    in_pieces,
    known_digest,
    layers_of,
    refused,
)
from transship.testing.images import Image, image_of_layers
from transship.testing.layers import tar_of

_BIG = 1 << 20
_MOST_WRITTEN = _BIG // 4
_RUBBISH = (
    b"",
    b"\0" * 1024,
    b"\xff\xfe",
    b"{}",
    b"[]",
    b"null",
    b"1",
    b'"text"',
    b'{"manifests": [7], "layers": null, "config": "x"}',
    b"[" * 5000,
    b"one\ntwo three\n",
)


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
        reference = self._reference(transport, reference_text)
        self._written(transport, reference)
        with self._source(transport, reference) as source, refused(NotFoundError, TransportError, UnsupportedError):
            source.get_manifest(PROMISE.digest)

    def test_blob_that_is_not_there_is_an_error(self, transport: Transport, reference_text: str) -> None:
        reference = self._reference(transport, reference_text)
        self._written(transport, reference)
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
            assert isinstance(self._try_to_read(transport, reference), tuple), "nobody said that a write failed"
            with self._source(transport, reference) as source:
                self._check_image(source, source.get_manifest(), image)
            return
        assert self._found(transport, reference) is None, "what could not be written looks complete"
        again = self._written(transport, reference)
        with self._source(transport, reference) as source:
            self._check_image(source, source.get_manifest(), again)

    def test_damage_is_an_error_in_one_line_or_makes_no_difference(
        self, transport: Transport, reference_text: str, local_path: Path | None
    ) -> None:
        reference = self._reference(transport, reference_text)
        image = self._written(transport, reference, signed=True)
        for path in _all_in(local_path):
            with _put_aside(path) as aside:
                original = aside.read_bytes() if aside.is_file() else b""
                cut = [original[: len(original) * tenths // 10] for tenths in (1, 5, 9)]
                for damaged in (*_RUBBISH, *cut, original + b"\nmore", _shuffled(original)):
                    path.write_bytes(damaged)
                    self._try_to_read(transport, reference)
                path.unlink()
                self._try_to_read(transport, reference)
                path.symlink_to(path.name)  # a link that never ends
                self._try_to_read(transport, reference)
                path.unlink()
                path.mkdir()
                self._try_to_read(transport, reference)
                path.rmdir()
        with self._source(transport, reference) as source:
            self._check_image(source, source.get_manifest(), image)

    def test_links_that_lead_out_of_a_place_are_not_followed(
        self,
        transport: Transport,
        reference_text: str,
        local_path: Path | None,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> None:
        """A file or folder elsewhere, with all that is wanted in it, is not read for one that is gone."""
        reference = self._reference(transport, reference_text)
        self._written(transport, reference, signed=True)
        expected = self._try_to_read(transport, reference)
        if local_path is None or not local_path.is_dir():
            return
        outside = tmp_path_factory.mktemp("outside") / "kept"
        for path in [path for path in sorted(local_path.rglob("*")) if not path.is_symlink()]:
            path.rename(outside)
            without = self._try_to_read(transport, reference)
            path.symlink_to(outside)
            linked = self._try_to_read(transport, reference)
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
        reference = self._reference(transport, reference_text)
        self._written(transport, reference)
        if local_path is None or not local_path.is_dir():
            return
        outside = tmp_path_factory.mktemp("outside")
        for number, path in enumerate(sorted(local_path.rglob("*"), reverse=True)):
            path.rename(outside / str(number))
            path.symlink_to(outside / str(number))
        before = _state_of(outside)
        for architecture in ("amd64", "arm64"):
            with contextlib.suppress(TransshipError):
                self._written(transport, reference, architecture=architecture)
            assert _state_of(outside) == before

    def _try_to_read(self, transport: Transport, reference: Reference) -> object:
        """All that there is of an image; the type of what refused it, which must be one of transship's errors."""
        with failing_only_with(TransshipError):
            try:
                with self._source(transport, reference) as source:
                    return self._all_of(source)
            except TransshipError as error:
                refusal = error
        assert "\n" not in str(refusal), "an error is one line"
        return type(refusal)


@contextlib.contextmanager
def limited_file_size() -> Iterator[None]:
    """Meanwhile no file of this process gets big, as if a disk was full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_MOST_WRITTEN, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _failing(data: bytes, error: BaseException) -> Iterator[Buffer]:
    yield from in_pieces(data[: len(data) // 2])
    raise error


def _big_image(media_type: str, compression: str) -> Image:
    tar = tar_of({"big": random.Random(13).randbytes(_BIG)})
    return image_of_layers([tar], media_type=media_type, compression=compression)


def _shuffled(data: bytes) -> bytes:
    return bytes(random.Random(17).sample(data, len(data)))


def _all_in(path: Path | None) -> list[Path]:
    """All files and folders of a place, itself included."""
    return [] if path is None or not path.exists() else [path, *sorted(path.rglob("*"))]


@contextlib.contextmanager
def _put_aside(path: Path) -> Iterator[Path]:
    """Meanwhile the file or folder has another name."""
    aside = path.with_name(f".{path.name}.aside")
    path.rename(aside)
    yield aside
    aside.rename(path)


def _state_of(folder: Path) -> Mapping[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}
