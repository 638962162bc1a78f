"""Writing one layer to one target: verified, and changed only where asked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from transship.copy.pipeline import ahead
from transship.copy.plan import LayerAction, LayerTask, plan_layer, recipe
from transship.copy.session import Progress, Session, Target
from transship.errors import ContentMismatchError
from transship.image.conversion import LayerOperation, WrittenLayer
from transship.image.digest import Digest
from transship.image.layer_types import has_other_form
from transship.plugin.blob import BlobReader, Buffer, Expectation, verified

_OPERATIONS = {
    LayerAction.PRESERVE: LayerOperation.PRESERVE,
    LayerAction.COMPRESS: LayerOperation.COMPRESS,
    LayerAction.RECOMPRESS: LayerOperation.COMPRESS,
    LayerAction.DECOMPRESS: LayerOperation.DECOMPRESS,
}


class LayerWriter(NamedTuple):
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
            may_change=self._may_change(found),
        )

    def _may_change(self, found: str | None) -> bool:
        return not self._is_unreadable(found) and self.task.may_change[self.session.targets.index(self.target)]

    def _is_unreadable(self, found: str | None) -> bool:
        """Whether the layer only seems to be uncompressed: it is encrypted, or the plugin that knows it is not here."""
        return found is None and has_other_form(self.task.descriptor.media_type)

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
            written = self._put(blob, action, compression)
            self._note(self.task.descriptor.digest if found is None else self.task.diff_id, compression, written)
            return written
        finally:
            for stage in reversed(stages):
                stage.close()  # type: ignore[attr-defined]  # generators have it

    def _compressed(self, name: str, plain: Iterable[Buffer]) -> Iterator[Buffer]:
        level = _level(self.session, name)
        threads = len(os.sched_getaffinity(0))
        yield from self.session.manager.compression(name).compress(plain, level=level, threads=threads)

    def _note(self, uncompressed: Digest | None, compression: str, written: WrittenLayer) -> None:
        """Tell the target what came of content whose digest was computed on the way."""
        if uncompressed is not None:
            made_by = compression_recipe(self.session, compression)
            self.target.destination.note_variant(uncompressed, made_by, written.descriptor)

    def _require_promised_diff_id(self, found: str | None) -> None:
        """An uncompressed layer's digest is its diff ID; the config may not promise another one."""
        promised, digest = self.task.diff_id, self.task.descriptor.digest
        if self._is_unreadable(found):
            return
        if found is None and promised and digest and promised.algorithm == digest.algorithm and promised != digest:
            raise ContentMismatchError(
                f"layer {digest} is not compressed, but the config promises the diff ID {promised}"
            )

    def _put(self, blob: BlobReader, action: LayerAction, compression: str | None) -> WrittenLayer:
        self.target.destination.put_blob(blob)
        written = blob.descriptor
        self.target.count(written.size, reused=False)
        return WrittenLayer(written, _OPERATIONS[action], compression, None)


def compression_recipe(session: Session, name: str) -> str:
    """How this copy compresses by the algorithm ``name``."""
    return recipe(session.manager.compression(name), _level(session, name))


def _level(session: Session, name: str) -> int | None:
    options = session.options
    return options.compress_level if options.compress_format in ("", name) else None


def _completely(outputs: Iterable[Buffer], inputs: Iterable[Buffer]) -> Iterator[Buffer]:
    """``outputs``, and then what a decompressor left of ``inputs``, so that their digest is compared."""
    yield from outputs
    for chunk in inputs:
        if len(chunk):
            raise ContentMismatchError("a compressed layer goes on after its end")
