"""Blobs on their way from the source to the destinations: each read once, verified, changed only where asked."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from transship.copy.options import DEFAULT_PARALLEL_BLOBS
from transship.copy.pipeline import Tee, TeeReader, ahead
from transship.copy.plan import LayerAction, plan_layer
from transship.copy.session import Progress, Session, Target, failure
from transship.decompression import detect, sniffed
from transship.errors import CancelledError, ContentMismatchError, TransshipError
from transship.image.conversion import LayerOperation, WrittenLayer
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest
from transship.image.strict_json import METADATA_LIMIT
from transship.plugin.blob import (
    BlobReader,
    Buffer,
    BytesContent,
    Content,
    Expectation,
    FileContent,
    verified,
)
from transship.plugin.events import BlobFinished, BlobPlanned, BlobStarted
from transship.plugin.transport import LayerCompression

_Result = TypeVar("_Result")

_OPERATIONS = {
    LayerAction.PRESERVE: LayerOperation.PRESERVE,
    LayerAction.COMPRESS: LayerOperation.COMPRESS,
    LayerAction.RECOMPRESS: LayerOperation.COMPRESS,
    LayerAction.DECOMPRESS: LayerOperation.DECOMPRESS,
}

_transforming = threading.BoundedSemaphore(max(len(os.sched_getaffinity(0)), 2))
"""Each layer that is compressed keeps all cores busy; more of them at once only cost memory.

One layer takes it once, whatever the number of its targets: they wait for each other."""


@dataclass(frozen=True, slots=True)
class LayerTask:
    """One layer of one image.

    ``diff_id`` is what the config says of it, None if nothing; ``needs_diff_id``: it must be known afterwards.
    ``may_change`` holds, for each target, whether the layer may be compressed otherwise there.
    """

    descriptor: Descriptor
    diff_id: Digest | None
    needs_diff_id: bool
    may_change: tuple[bool, ...]

    @property
    def is_surely_uncompressed(self) -> bool:
        """Whether the layer's own digest says that it is what the config promises after decompression."""
        return self.diff_id is not None and self.diff_id == self.descriptor.digest


def copy_layers(session: Session, tasks: list[LayerTask]) -> list[list[WrittenLayer]]:
    """Copy all layers of an image; the answer has, for each layer, what became of it at each target."""
    workers = _workers(session)
    if workers == 1 or len(tasks) < 2:
        return [_copy_layer(session, task) for task in tasks]
    with ThreadPoolExecutor(workers, thread_name_prefix="transship-blob") as pool:
        futures = [pool.submit(_copy_layer, session, task) for task in tasks]
        try:
            return [future.result() for future in _as_they_fail(futures)]
        except BaseException:
            session.cancellation.cancel()
            pool.shutdown(cancel_futures=True)
            raise


def _as_they_fail(futures: list[Future[list[WrittenLayer]]]) -> list[Future[list[WrittenLayer]]]:
    """Wait for all, or for the first failure, which is raised."""
    _raise_first_failure(futures)
    return futures


def _raise_first_failure(futures: Sequence[Future[Any]]) -> None:
    """Wait for all, or for the first failure. Those that were cancelled are not the first: that one comes later."""
    from concurrent.futures import ALL_COMPLETED, FIRST_EXCEPTION, wait

    errors: list[BaseException] = []
    for until in (FIRST_EXCEPTION, ALL_COMPLETED):
        done, _ = wait(futures, return_when=until)
        errors = [error for future in done if (error := future.exception()) is not None]
        if not all(isinstance(error, CancelledError) for error in errors):
            break
    for error in sorted(errors, key=lambda error: isinstance(error, CancelledError)):
        raise error


def _workers(session: Session) -> int:
    parallel = session.source.parallel and all(target.traits.parallel for target in session.targets)
    return (session.options.parallel_blobs or DEFAULT_PARALLEL_BLOBS) if parallel else 1


def _copy_layer(session: Session, task: LayerTask) -> list[WrittenLayer]:
    """One layer to all targets; what is the same blob elsewhere in this run is waited for, not copied again."""
    mine: list[Target] = []
    futures: list[Future[WrittenLayer]] = []
    for target, may_change in zip(session.targets, task.may_change, strict=True):
        with_diff_id, without = ((task.descriptor.digest, may_change, has_diff_id) for has_diff_id in (True, False))
        fitting = (with_diff_id,) if task.needs_diff_id else (with_diff_id, without)
        with target.lock:
            future = next((target.known[key] for key in fitting if key in target.known), None)
            if future is None:
                future = target.known[fitting[-1]] = Future()
                mine.append(target)
        futures.append(future)
    if mine:
        _settle(session, task, mine, futures)
    written = [
        _as_this_layer(session, task, future, target) for future, target in zip(futures, session.targets, strict=True)
    ]
    if not mine and not session.options.dry_run:
        _announce_again(session, task)
    return written


def _announce_again(session: Session, task: LayerTask) -> None:
    """Observers hear of every layer of every image, also of one that this run has copied before."""
    if all(_stays_away(task.descriptor, target) for target in session.targets):
        return
    key, descriptor = next(session.keys), task.descriptor
    session.emit(BlobStarted(session.image, key, descriptor.digest, descriptor.size, is_config=False))
    session.emit(BlobFinished(session.image, key, descriptor.digest, descriptor.size, reused=True))


def _settle(session: Session, task: LayerTask, mine: list[Target], futures: list[Future[WrittenLayer]]) -> None:
    own = {id(target): future for target, future in zip(session.targets, futures, strict=True)}
    try:
        for target, written in _transfer(session, task, mine).items():
            own[id(target)].set_result(written)
    except BaseException as error:
        for target in mine:
            if not own[id(target)].done():
                own[id(target)].set_exception(error)
        raise


def _as_this_layer(session: Session, task: LayerTask, future: Future[WrittenLayer], target: Target) -> WrittenLayer:
    written = future.result()
    diff_id = written.diff_id or session.diff_ids.get(task.descriptor.digest)
    if _stays_away(task.descriptor, target) or written.operation is LayerOperation.PRESERVE:
        urls = task.descriptor.urls if written.descriptor.urls else ()
    else:
        urls = ()
    described = Descriptor(
        task.descriptor.media_type,
        written.descriptor.digest,
        written.descriptor.size,
        urls,
        task.descriptor.annotations,
    )
    return WrittenLayer(described, written.operation, written.compression, diff_id)


def _stays_away(descriptor: Descriptor, target: Target) -> bool:
    """A layer that others distribute is not copied to where its URLs suffice (images.md of the OCI, foreign layers)."""
    return bool(descriptor.urls) and target.traits.accepts_foreign_urls


def _transfer(session: Session, task: LayerTask, targets: list[Target]) -> dict[Target, WrittenLayer]:
    """Bring one layer to ``targets``."""
    key = next(session.keys)
    descriptor = task.descriptor
    results: dict[Target, WrittenLayer] = {}
    needing: list[Target] = []
    for target in targets:
        if _stays_away(descriptor, target):
            results[target] = WrittenLayer(descriptor, LayerOperation.PRESERVE, None, None)
            continue
        may_change = task.may_change[session.targets.index(target)]
        present = _reused(session, task, target, may_change=may_change)
        if present is not None:
            results[target] = WrittenLayer(present, LayerOperation.PRESERVE, None, None)
        else:
            needing.append(target)
    if all(_stays_away(descriptor, target) for target in targets):
        return results
    if session.options.dry_run:
        return results | _planned(session, task, results, needing)
    session.emit(BlobStarted(session.image, key, descriptor.digest, descriptor.size, is_config=False))
    if needing:
        results |= _read_once(session, task, needing, key)
    size = max((results[target].descriptor.size for target in results), default=descriptor.size)
    session.emit(BlobFinished(session.image, key, descriptor.digest, size, reused=not needing))
    return results


def _planned(
    session: Session, task: LayerTask, results: dict[Target, WrittenLayer], needing: list[Target]
) -> dict[Target, WrittenLayer]:
    descriptor = task.descriptor
    for target in (*results, *needing):
        if _stays_away(descriptor, target):
            continue
        reused = target not in needing
        target.count(descriptor.size, reused=reused)
        session.emit(
            BlobPlanned(
                session.image, str(target.reference), descriptor.digest, descriptor.size, is_config=False, reused=reused
            )
        )
    return {target: WrittenLayer(descriptor, LayerOperation.PRESERVE, None, None) for target in needing}


def _reused(session: Session, task: LayerTask, target: Target, *, may_change: bool) -> Descriptor | None:
    """The blob that the destination has already, if it may stay as it is."""
    options = session.options
    compresses = may_change and target.traits.compression is LayerCompression.COMPRESS
    if compresses and (task.is_surely_uncompressed or options.force_compress_format):
        return None
    if task.needs_diff_id and task.descriptor.digest not in session.diff_ids:
        return None
    session.cancellation.check()
    try:
        present = target.destination.reuse_blob(task.descriptor)
    except (TransshipError, OSError) as error:
        raise failure("trying to reuse blob", error, operation="reuse", side="destination") from error
    if present is not None and not options.dry_run:
        target.count(present.size, reused=True)
    return present


def _read_once(session: Session, task: LayerTask, targets: list[Target], key: int) -> dict[Target, WrittenLayer]:
    descriptor = task.descriptor
    try:
        content = session.source.get_blob(descriptor)
    except (TransshipError, OSError) as error:
        raise failure(f"reading blob {descriptor}", error, operation="read", side="source") from error
    try:
        writers = [
            _Writer(session, task, target, Progress(session, key, reports=number == 0))
            for number, target in enumerate(targets)
        ]
        head, chunks = sniffed(content)
        found = detect(session.manager, head)
        with _transforming if any(writer.transforms(found) for writer in writers) else nullcontext():
            if len(writers) == 1 and not task.needs_diff_id:
                return {targets[0]: writers[0].write(chunks, found)}
            return _read_by_all(session, task, writers, chunks, found)
    except (TransshipError, OSError) as error:
        if isinstance(error, CancelledError):
            raise
        raise failure("writing blob", error, operation="write") from error
    finally:
        content.close()


def _read_by_all(
    session: Session,
    task: LayerTask,
    writers: list[_Writer],
    chunks: Iterable[Buffer],
    found: str | None,
) -> dict[Target, WrittenLayer]:
    """The same bytes to several targets, and to a diff ID if one is needed, each in a thread of its own."""
    readers = len(writers) + (1 if task.needs_diff_id else 0)
    views = _views(chunks, readers)
    with ThreadPoolExecutor(readers, thread_name_prefix="transship-fan") as pool:
        futures = [
            pool.submit(_closing, writer.write, view, found) for writer, view in zip(writers, views, strict=False)
        ]
        probes = [pool.submit(_closing, partial(_diff_id, session), views[-1], found)] if task.needs_diff_id else []
        try:
            _raise_first_failure([*futures, *probes])
        except BaseException:
            session.cancellation.cancel()
            for view in views:
                view.close()
            raise
    for probe in probes:
        session.diff_ids[task.descriptor.digest] = probe.result()
    return {writer.target: future.result() for writer, future in zip(writers, futures, strict=True)}


def _views(chunks: Iterable[Buffer], readers: int) -> Sequence[FileContent | TeeReader]:
    if isinstance(chunks, FileContent):
        return [FileContent(chunks.file, chunks.offset, chunks.size, close_file=False) for _ in range(readers)]
    tee = Tee(chunks, readers)
    return [tee.reader(number) for number in range(readers)]


def _closing(
    work: Callable[[Iterable[Buffer], str | None], _Result], view: FileContent | TeeReader, found: str | None
) -> _Result:
    """What ``work`` makes of a view, which is closed at the end, so that nobody waits for one that failed."""
    try:
        return work(view, found)
    finally:
        view.close()


def _diff_id(session: Session, chunks: Iterable[Buffer], found: str | None) -> Digest:
    plain = chunks if found is None else session.manager.compression(found).decompress(chunks)
    probe = BlobReader(plain, Expectation())
    for _ in probe:
        pass
    return probe.descriptor.digest


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes one layer to one target."""

    session: Session
    task: LayerTask
    target: Target
    progress: Progress

    def write(self, chunks: Iterable[Buffer], found: str | None) -> WrittenLayer:
        """Write the layer that comes as ``chunks``, compressed by ``found``."""
        action, compression = self._plan(found)
        if action is LayerAction.PRESERVE:
            self._require_promised_diff_id(found)
            blob = BlobReader(chunks, self.task.descriptor, on_progress=self.progress.advance)
            return self._put(blob, action, compression)
        return self._transform(action, compression, chunks, found)

    def transforms(self, found: str | None) -> bool:
        """Whether the layer, compressed by ``found``, is compressed or decompressed on its way."""
        return self._plan(found)[0] is not LayerAction.PRESERVE

    def _plan(self, found: str | None) -> tuple[LayerAction, str | None]:
        return plan_layer(
            self.target.traits.compression,
            found,
            self.session.options.compress_format,
            may_change=self.task.may_change[self.session.targets.index(self.target)],
        )

    def _transform(
        self,
        action: LayerAction,
        compression: str | None,
        chunks: Iterable[Buffer],
        found: str | None,
    ) -> WrittenLayer:
        source = ahead(verified(self.progress.counted(chunks), self.task.descriptor))
        promised = Expectation(self.task.descriptor.media_type, self.task.diff_id)
        stages: list[Iterator[Buffer]] = [source]
        try:
            if found is not None:
                decompress = self.session.manager.compression(found).decompress
                stages.append(ahead(_completely(decompress(source), source)))
            if action is LayerAction.DECOMPRESS:
                return self._put(BlobReader(stages[-1], promised), action, None)
            assert compression is not None  # noqa: S101 - plan_layer names one for what it compresses
            plain = verified(stages[-1], promised) if found is not None else stages[-1]
            self._require_promised_diff_id(found)
            stages.append(self._compressed(compression, plain))
            blob = BlobReader(stages[-1], Expectation(self.task.descriptor.media_type))
            return self._put(blob, action, compression)
        finally:
            for stage in reversed(stages):
                stage.close()  # type: ignore[attr-defined]  # generators have it

    def _compressed(self, name: str, plain: Iterable[Buffer]) -> Iterator[Buffer]:
        options = self.session.options
        level = options.compress_level if not options.compress_format or options.compress_format == name else None
        threads = len(os.sched_getaffinity(0))
        yield from self.session.manager.compression(name).compress(plain, level=level, threads=threads)

    def _require_promised_diff_id(self, found: str | None) -> None:
        """An uncompressed layer's digest is its diff ID; the config may not promise another one."""
        promised, digest = self.task.diff_id, self.task.descriptor.digest
        if found is None and promised and digest and promised.algorithm == digest.algorithm and promised != digest:
            raise ContentMismatchError(
                f"layer {digest} is not compressed, but the config promises the diff ID {promised}"
            )

    def _put(self, blob: BlobReader, action: LayerAction, compression: str | None) -> WrittenLayer:
        self.target.destination.put_blob(blob)
        written = blob.descriptor
        self.target.count(written.size, reused=False)
        return WrittenLayer(written, _OPERATIONS[action], compression, None)


def _completely(outputs: Iterable[Buffer], inputs: Iterable[Buffer]) -> Iterator[Buffer]:
    """``outputs``, and then what a decompressor left of ``inputs``, so that their digest is compared."""
    yield from outputs
    for chunk in inputs:
        if len(chunk):
            raise ContentMismatchError("a compressed layer goes on after its end")


def read_config(session: Session, descriptor: Descriptor) -> bytes:
    """The bytes of a config, verified, at most 4 MiB."""
    try:
        if descriptor.size > METADATA_LIMIT:
            raise ContentMismatchError(f"exceeded maximum allowed size of {METADATA_LIMIT} bytes")
        content = session.source.get_blob(descriptor)
        try:
            chunks = _bounded(verified(content, descriptor))
            return b"".join(bytes(chunk) for chunk in chunks)
        finally:
            content.close()
    except (TransshipError, OSError) as error:
        raise failure(f"reading config blob {descriptor}", error, operation="read", side="source") from error


def _bounded(chunks: Iterable[Buffer]) -> Iterator[Buffer]:
    count = 0
    for chunk in chunks:
        count += len(chunk)
        if count > METADATA_LIMIT:
            raise ContentMismatchError(f"exceeded maximum allowed size of {METADATA_LIMIT} bytes")
        yield chunk


def put_bytes(session: Session, target: Target, data: bytes, descriptor: Descriptor, *, is_config: bool) -> None:
    """Store a small blob that is in memory, unless the target has it."""
    try:
        present = target.destination.reuse_blob(descriptor)
        if session.options.dry_run:
            target.count(len(data), reused=present is not None)
            planned = BlobPlanned(
                session.image,
                str(target.reference),
                descriptor.digest,
                len(data),
                is_config=is_config,
                reused=present is not None,
            )
            session.emit(planned)
            return
        if present is None:
            content: Content = BytesContent(data)
            target.destination.put_blob(BlobReader(content, descriptor, is_config=is_config))
        target.count(len(data), reused=present is not None)
    except (TransshipError, OSError) as error:
        raise failure("writing blob", error, operation="write", side="destination") from error
