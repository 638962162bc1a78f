"""Layers; one that is the same blob elsewhere in this copy is copied once."""

from __future__ import annotations

from concurrent.futures import Future

from transship.copy.plan import LayerTask
from transship.copy.session import Session, Target
from transship.copy.transfer import stays_away, transfer
from transship.image.conversion import LayerOperation, WrittenLayer
from transship.image.descriptor import Descriptor
from transship.plugin.events import BlobFinished, BlobStarted


def copy_layer(session: Session, task: LayerTask) -> list[WrittenLayer]:
    """One layer to all targets; what is the same blob elsewhere in this run is waited for, not copied again.

    The answer has what became of it at each target.
    """
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
    if all(stays_away(task.descriptor, target) for target in session.targets):
        return
    key, descriptor = next(session.keys), task.descriptor
    session.emit(BlobStarted(session.image, key, descriptor.digest, descriptor.size, is_config=False))
    session.emit(BlobFinished(session.image, key, descriptor.digest, descriptor.size, reused=True))


def _settle(session: Session, task: LayerTask, mine: list[Target], futures: list[Future[WrittenLayer]]) -> None:
    own = {id(target): future for target, future in zip(session.targets, futures, strict=True)}
    try:
        with session.bringing(task.descriptor.digest):
            transferred = transfer(session, task, mine)
        for target, written in transferred.items():
            own[id(target)].set_result(written)
    except BaseException as error:
        for target in mine:
            if not own[id(target)].done():
                own[id(target)].set_exception(error)
        raise


def _as_this_layer(session: Session, task: LayerTask, future: Future[WrittenLayer], target: Target) -> WrittenLayer:
    written = future.result()
    diff_id = written.diff_id or session.diff_ids.get(task.descriptor.digest)
    if stays_away(task.descriptor, target) or written.operation is LayerOperation.PRESERVE:
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
