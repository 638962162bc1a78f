"""One layer on its way from the source to targets: reused where it is there already, else read once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import TypeVar

from transship.copy.layer_writer import LayerWriter, compression_recipe
from transship.copy.pipeline import Tee, TeeReader, raise_first_failure
from transship.copy.plan import LayerTask, foreseen_compression
from transship.copy.session import Progress, Session, Target, failure
from transship.decompression import HEAD_SIZE, detect, sniffed
from transship.errors import CancelledError, ContentMismatchError, CopyError, TransshipError
from transship.image.conversion import LayerOperation, WrittenLayer
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest
from transship.plugin.blob import BlobReader, Buffer, Content, ContinuedContent, Expectation, FileContent
from transship.plugin.events import BlobFinished, BlobPlanned, BlobStarted
from transship.plugin.transport import LayerCompression, ResumableDestination, ResumableSource

_Result = TypeVar("_Result")

_transforming = threading.BoundedSemaphore(max(len(os.sched_getaffinity(0)), 2))
"""Each layer that is compressed keeps all cores busy; more of them at once only cost memory.

One layer takes it once, whatever the number of its targets: they wait for each other."""


def stays_away(descriptor: Descriptor, target: Target) -> bool:
    """A layer that others distribute is not copied to where its URLs suffice (images.md of the OCI, foreign layers)."""
    return bool(descriptor.urls) and target.traits.accepts_foreign_urls


def transfer(session: Session, task: LayerTask, targets: list[Target]) -> dict[Target, WrittenLayer]:
    """Bring one layer to ``targets``."""
    key = next(session.keys)
    descriptor = task.descriptor
    results: dict[Target, WrittenLayer] = {}
    needing: list[Target] = []
    for target in targets:
        if stays_away(descriptor, target):
            results[target] = WrittenLayer(descriptor, LayerOperation.PRESERVE, None, None)
            continue
        may_change = task.may_change[session.targets.index(target)]
        present = _reused(session, task, target, may_change=may_change)
        if present is not None:
            results[target] = present
        else:
            needing.append(target)
    if all(stays_away(descriptor, target) for target in targets):
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
        if stays_away(descriptor, target):
            continue
        reused = target not in needing
        target.count(descriptor.size, reused=reused)
        session.emit(
            BlobPlanned(
                session.image, str(target.reference), descriptor.digest, descriptor.size, is_config=False, reused=reused
            )
        )
    return {target: WrittenLayer(descriptor, LayerOperation.PRESERVE, None, None) for target in needing}


def _reused(session: Session, task: LayerTask, target: Target, *, may_change: bool) -> WrittenLayer | None:
    """The layer as the destination has it already, if it may stay so."""
    session.cancellation.check()
    try:
        present = _as_it_is(session, task, target, may_change=may_change)
        if present is None:
            present = _compressed_before(session, task, target, may_change=may_change)
    except (TransshipError, OSError) as error:
        doing = f"trying to reuse blob {task.descriptor.digest} at destination"
        raise failure(doing, error, operation="reuse", side="destination") from error
    if present is not None and not session.options.dry_run:
        target.count(present.descriptor.size, reused=True)
    return present


def _as_it_is(session: Session, task: LayerTask, target: Target, *, may_change: bool) -> WrittenLayer | None:
    compresses = may_change and target.traits.compression is LayerCompression.COMPRESS
    if compresses and (task.is_surely_uncompressed or session.options.force_compress_format):
        return None
    if task.needs_diff_id and task.descriptor.digest not in session.diff_ids:
        return None
    present = target.destination.reuse_blob(task.descriptor)
    return None if present is None else WrittenLayer(present, LayerOperation.PRESERVE, None, None)


def _compressed_before(session: Session, task: LayerTask, target: Target, *, may_change: bool) -> WrittenLayer | None:
    """What would come of the layer now, if it came of one before. Not relied upon for what is going to be signed."""
    traits, requested = target.traits, session.options.compress_format
    compression = foreseen_compression(traits.compression, task, requested, may_change=may_change)
    if not compression or task.diff_id is None or session.signers:
        return None
    made_by = compression_recipe(session, compression)
    variant = target.destination.known_variant(task.diff_id, made_by)
    present = None if variant is None else target.destination.reuse_blob(variant)
    return None if present is None else WrittenLayer(present, LayerOperation.COMPRESS, compression, task.diff_id)


def _read_once(session: Session, task: LayerTask, targets: list[Target], key: int) -> dict[Target, WrittenLayer]:
    beginning = _beginning(session, task, targets)
    if beginning is not None:
        try:
            return _read(session, task, targets, key, beginning)
        except CopyError as error:  # what was kept is not the beginning of this blob
            if not isinstance(error.__cause__, ContentMismatchError):
                raise
    return _read(session, task, targets, key, None)


def _beginning(session: Session, task: LayerTask, targets: list[Target]) -> FileContent | None:
    """What a copy that was broken off has left at the only target, of a layer that goes there as it is."""
    destination = targets[0].destination
    if len(targets) > 1 or task.needs_diff_id or not isinstance(session.source, ResumableSource):
        return None
    if not isinstance(destination, ResumableDestination) or (kept := destination.find_partial(task.descriptor)) is None:
        return None
    with ExitStack() as stack:
        stack.callback(kept.close)
        head, _ = sniffed(kept)
        writer = LayerWriter(session, task, targets[0], Progress(session, 0, reports=False))
        if len(head) < HEAD_SIZE or writer.transforms(detect(session.manager, head)):
            return None
        stack.pop_all()
        return kept


def _content(session: Session, descriptor: Descriptor, beginning: FileContent | None) -> Content:
    if beginning is None:
        return session.source.get_blob(descriptor)
    assert isinstance(session.source, ResumableSource)  # noqa: S101 - there is no beginning otherwise
    try:
        return ContinuedContent(beginning, session.source.get_blob_from(descriptor, beginning.size))
    except BaseException:
        beginning.close()
        raise


def _read(
    session: Session, task: LayerTask, targets: list[Target], key: int, beginning: FileContent | None
) -> dict[Target, WrittenLayer]:
    descriptor = task.descriptor
    try:
        content = _content(session, descriptor, beginning)
    except (TransshipError, OSError) as error:
        raise failure(f"reading blob {descriptor}", error, operation="read", side="source") from error
    try:
        writers = [
            LayerWriter(session, task, target, Progress(session, key, reports=number == 0))
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
    writers: list[LayerWriter],
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
            raise_first_failure([*futures, *probes])
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
