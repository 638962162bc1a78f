"""Blobs that can be read once, kept so that what an upload lost can be sent again.

A registry may lose what it has received when a connection breaks: some keep the offset, others discard the whole
upload. So all that was read is kept, as cheaply as it goes: a blob that is a file of this machine is read again
there; of any other the first megabytes are in memory, all that follows in an unnamed temporary file. Where no
temporary file can be had, uploads go on without that safety.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import BinaryIO

from transship.errors import TransportError
from transship.image.descriptor import Descriptor
from transship.plugin.blob import BlobReader, Buffer, FileContent
from transship.plugin.files import reporting, unnamed_file

MEMORY_LIMIT = 4 << 20
"""How many bytes of one blob are kept in memory."""

_PIECE = 1 << 20


class ReplayableBlob:
    """A blob whose bytes come from it once, and again from where they are kept. Close it.

    ``end`` is how many bytes were read from it so far. ``failure`` is what the blob raised, if it did: that is no
    fault of the registry.
    """

    def __init__(self, blob: BlobReader, folder: str) -> None:
        self._blob = blob
        self._chunks = iter(blob)
        self._kept = _Spool(folder) if blob.file_content is None else _FileRegion(blob.file_content)
        self._has_ended = False
        self._last = b""
        self.end = 0
        self.failure: BaseException | None = None

    @property
    def is_read(self) -> bool:
        """Whether all of it was read."""
        return self._has_ended

    @property
    def size(self) -> int:
        """The number of its bytes, -1 as long as nobody knows."""
        return self.end if self._has_ended else self._blob.expected.size

    def pieces(self, start: int, stop: int | None) -> Iterator[bytes]:
        """The bytes from ``start`` to before ``stop``, None: to the end. Raises what the blob raises."""
        for piece in self._known_pieces(start, self.end if stop is None else min(stop, self.end)):
            start += len(piece)
            yield piece
        while (stop is None or start < stop) and (chunk := self._next()):
            surplus = 0 if stop is None else max(self.end - stop, 0)
            start = self.end - surplus
            yield chunk[: len(chunk) - surplus]

    def read_until(self, stop: int | None) -> None:
        """Keep what comes before ``stop``, None: all; less if the blob ends."""
        while (stop is None or self.end < stop) and self._next():
            pass

    def finish(self) -> Descriptor:
        """What the blob is, now that all of it was read. Raises if it is not what was promised."""
        self.read_until(None)
        return self._blob.descriptor

    def can_replay(self, start: int) -> bool:
        """Whether all bytes from ``start`` on can still be had."""
        return self._kept.is_whole or start >= self.end - len(self._last)

    def close(self) -> None:
        """Drop what was kept."""
        self._kept.close()

    def _known_pieces(self, start: int, stop: int) -> Iterator[bytes]:
        before = self.end - len(self._last)
        if start < before:
            yield from self._kept.pieces(start, min(stop, before))
        if stop > before:
            yield self._last[max(start - before, 0) : stop - before]

    def _next(self) -> bytes:
        """The next piece, which is never empty; ``b""`` at the end."""
        while not self._has_ended:
            try:
                chunk = next(self._chunks, None)
            except BaseException as error:
                self.failure = error
                raise
            if chunk is None:
                self._has_ended = True
            elif len(chunk):
                self._kept.append(chunk)
                self.end += len(chunk)
                self._last = bytes(chunk)
                return self._last
        return b""


class _FileRegion:
    """Bytes that are in a file of this machine anyway."""

    is_whole = True

    def __init__(self, content: FileContent) -> None:
        self._content = content

    def append(self, chunk: Buffer) -> None:
        """Nothing needs to be kept."""

    def pieces(self, start: int, stop: int) -> Iterator[bytes]:
        offset = self._content.offset
        yield from _read_pieces(self._content.file, offset + start, offset + stop)

    def close(self) -> None:
        """The file belongs to others."""


class _Spool:
    """Bytes that are kept in memory while they are few, else in a file without a name."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._memory = bytearray()
        self._file: BinaryIO | None = None
        self.is_whole = True

    def append(self, chunk: Buffer) -> None:
        if not self.is_whole:
            return
        if len(self._memory) + len(chunk) <= MEMORY_LIMIT and self._file is None:
            self._memory += chunk
            return
        try:
            if self._file is None:
                self._file = unnamed_file(self._folder)
                self._write(self._memory)
                self._memory = bytearray()
            self._write(chunk)
        except OSError:  # no room: better an upload without safety than none
            self.is_whole = False
            self.close()

    def pieces(self, start: int, stop: int) -> Iterator[bytes]:
        if not self.is_whole:
            raise TransportError("what was sent could not be kept in a temporary file, so it cannot be sent again")
        if self._file is not None:
            yield from _read_pieces(self._file, start, stop)
        else:
            view = bytes(memoryview(self._memory)[start:stop])
            yield from (view[at : at + _PIECE] for at in range(0, len(view), _PIECE))

    def close(self) -> None:
        self._memory = bytearray()
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def _write(self, chunk: Buffer) -> None:
        view = memoryview(chunk)
        while view:
            written = self._file.write(view) if self._file else 0
            if not written:
                raise OSError("the file takes no more bytes")
            view = view[written:]


def _read_pieces(file: BinaryIO, start: int, stop: int) -> Iterator[bytes]:
    while start < stop:
        with reporting("read", "what was sent"):
            piece = os.pread(file.fileno(), min(_PIECE, stop - start), start)
        if not piece:
            raise TransportError("a file that is being uploaded became shorter")
        start += len(piece)
        yield piece
