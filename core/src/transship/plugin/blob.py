"""Blobs on their way: contents as a source gives them, and what a destination reads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import BinaryIO, NamedTuple

from transship.errors import ContentMismatchError, TransshipError
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest, Digester
from transship.plugin.files import copy_region

Buffer = bytes | bytearray | memoryview
"""A piece of content. It is valid until the next one is asked for, and never changed by who receives it."""

CHUNK_SIZE = 1 << 20
"""How many bytes the core reads at a time."""


class Content:
    """The bytes of one blob as they come: iterate once, close always.

    ``size`` is their number, -1 where it is not known beforehand.
    """

    size: int = -1

    def __iter__(self) -> Iterator[Buffer]:
        raise NotImplementedError

    def close(self) -> None:
        """Release what is behind it. May be called more than once."""


class StreamContent(Content):
    """Content of anything that has ``read(size)``, such as an HTTP body or a pipe."""

    def __init__(self, stream: BinaryIO, size: int = -1) -> None:
        self._stream = stream
        self.size = size

    def __iter__(self) -> Iterator[Buffer]:
        while chunk := self._stream.read(CHUNK_SIZE):
            yield chunk

    def close(self) -> None:
        self._stream.close()


class BytesContent(Content):
    """Content that is in memory already."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def __iter__(self) -> Iterator[Buffer]:
        if self._data:
            yield self._data


class FileContent(Content):
    """Content that is a region of a regular file on this machine, so that it can be copied in the kernel.

    ``file`` is open for reading and unbuffered in effect: it is read by position, so several contents may
    share it. ``close_file=False`` leaves it open.
    """

    def __init__(self, file: BinaryIO, offset: int = 0, size: int = -1, *, close_file: bool = True) -> None:
        self.file = file
        self.offset = offset
        self.size = size if size >= 0 else os.fstat(file.fileno()).st_size - offset
        self._close_file = close_file

    def __iter__(self) -> Iterator[Buffer]:
        position, end, descriptor = self.offset, self.offset + self.size, self.file.fileno()
        while position < end and (chunk := os.pread(descriptor, min(CHUNK_SIZE, end - position), position)):
            position += len(chunk)
            yield chunk

    def head(self, size: int) -> bytes:
        """The first ``size`` bytes, or fewer if there are no more."""
        return os.pread(self.file.fileno(), min(size, self.size), self.offset)

    def close(self) -> None:
        if self._close_file:
            self.file.close()


class ContinuedContent(Content):
    """Content whose first bytes are in a file on this machine, ``beginning``, and the others come from ``rest``.

    Nobody has checked yet that the two fit together.
    """

    def __init__(self, beginning: FileContent, rest: Content) -> None:
        self.beginning = beginning
        self.rest = rest
        self.size = beginning.size + rest.size if rest.size >= 0 else -1

    def __iter__(self) -> Iterator[Buffer]:
        return chain(self.beginning, self.rest)

    def close(self) -> None:
        try:
            self.rest.close()
        finally:
            self.beginning.close()


class Expectation(NamedTuple):
    """What is known of bytes that are still being made. ``digest`` is None and ``size`` -1 where unknown."""

    media_type: str = ""
    digest: Digest | None = None
    size: int = -1

    def __str__(self) -> str:
        return str(self.digest) if self.digest else "content that is made on the way"


def verified(chunks: Iterable[Buffer], expected: Descriptor | Expectation) -> Iterator[Buffer]:
    """Pass ``chunks`` on; at their end raise ``ContentMismatchError`` unless digest and size are ``expected``'s.

    An unknown size (-1) or digest (None) is not compared. Reading stops as soon as there is more than the size.
    """
    digester = Digester(expected.digest.algorithm if expected.digest else "sha256")
    count = 0
    for chunk in chunks:
        count += len(chunk)
        if 0 <= expected.size < count:
            raise ContentMismatchError(
                f"Size mismatch when copying {expected}, expected {expected.size}, got at least {count}"
            )
        digester.update(chunk)
        yield chunk
    _compare(expected, count, digester)


def _compare(expected: Descriptor | Expectation, count: int, digester: Digester) -> Descriptor:
    if 0 <= expected.size != count:
        raise ContentMismatchError(f"Size mismatch when copying {expected}, expected {expected.size}, got {count}")
    digest = digester.digest()
    if expected.digest is not None and digest != expected.digest:
        raise ContentMismatchError(f"Digest did not match, expected {expected.digest}, got {digest}")
    return Descriptor(expected.media_type, digest, count)


class BlobReader:
    """The bytes of one blob for a destination: read them to the end, once.

    ``expected`` is what they are known to be beforehand: its digest is None and its size -1 where they are
    compressed or decompressed on the way. ``is_config`` tells an image's config from its layers. After the
    last byte ``descriptor`` is known; if the bytes are not the expected ones, the last read raises
    ``ContentMismatchError`` instead of ending, so that a destination never completes a wrong blob.
    """

    def __init__(
        self,
        chunks: Iterable[Buffer],
        expected: Descriptor | Expectation,
        *,
        is_config: bool = False,
        on_progress: Callable[[int], None] = lambda count: None,
    ) -> None:
        self.expected = expected
        self.is_config = is_config
        self._source = chunks
        self._on_progress = on_progress
        self._chunks: Iterator[Buffer] | None = None
        self._rest: memoryview = memoryview(b"")
        self._descriptor: Descriptor | None = None

    @property
    def descriptor(self) -> Descriptor:
        """Media type, digest and size of the bytes that were read. Only known after the last one."""
        if self._descriptor is None:
            raise RuntimeError("a blob's descriptor is known only when it was read to the end")
        return self._descriptor

    @property
    def file_content(self) -> FileContent | None:
        """The blob's own file, if it is one: any part of it may be read again there. Nothing checks what is read."""
        return self._source if isinstance(self._source, FileContent) else None

    @property
    def beginning(self) -> FileContent | None:
        """The file that has the first bytes of a blob which is continued, None if it is not."""
        return self._source.beginning if isinstance(self._source, ContinuedContent) else None

    def __iter__(self) -> Iterator[Buffer]:
        """Pieces of what is left of the blob, as they come. A piece is valid until the next one is asked for."""
        chunks = self._begun()
        return chain([bytes(self._take(len(self._rest)))], chunks) if self._rest else chunks

    def read(self, size: int = -1) -> bytes:
        """At most ``size`` bytes, all that are left if it is negative; ``b""`` only at the end."""
        if size < 0:
            return b"".join([bytes(chunk) for chunk in self])
        while size and not self._rest:
            chunk = next(self._begun(), None)
            if chunk is None:
                return b""
            self._rest = memoryview(bytes(chunk))
        return bytes(self._take(size))

    def write_to(self, file: BinaryIO) -> None:
        """Write what is left of the blob at the position of ``file``, which is open to read and write, unbuffered.

        A blob that is a file of this machine is cloned or copied in the kernel, and then it is the bytes in
        ``file`` that are verified. In the file that ``beginning`` is, the first bytes are only read.
        """
        if isinstance(self._source, FileContent) and self._chunks is None:
            self._chunks = iter(())
            self._write_region(self._source, file)
            return
        present = self._present_in(file)
        for chunk in self:
            known = min(present, len(chunk))
            present -= known
            _write_all(file, memoryview(chunk)[known:])

    def link_to(self, path: str) -> bool:
        """Give the blob's own file the further name ``path``, if it is a whole file; False where that cannot be.

        What is verified is the very file that is linked. The two names then share one fate.
        """
        content = self._source
        if not isinstance(content, FileContent) or self._chunks is not None or content.offset:
            return False
        if content.size != os.fstat(content.file.fileno()).st_size:
            return False
        try:
            number = content.file.fileno()  # given as src_dir_fd too: without one, link() does not follow
            os.link(f"/proc/self/fd/{number}", path, src_dir_fd=number, follow_symlinks=True)
        except OSError:
            return False
        try:
            for _ in self:
                pass
        except BaseException:
            os.unlink(path)
            raise
        return True

    def _present_in(self, file: BinaryIO) -> int:
        """How many bytes of the blob are in ``file`` already; it is then where the others belong."""
        beginning = self.beginning
        if beginning is None or beginning.file is not file or self._chunks is not None:
            return 0
        file.seek(beginning.offset + beginning.size)
        return beginning.size

    def _begun(self) -> Iterator[Buffer]:
        if self._chunks is None:
            self._chunks = self._hashed()
        return self._chunks

    def _take(self, size: int) -> memoryview:
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def _hashed(self) -> Iterator[Buffer]:
        digester = self._digester()
        count = 0
        for chunk in self._source:
            count += len(chunk)
            self._refuse_excess(count)
            digester.update(chunk)
            self._on_progress(len(chunk))
            yield chunk
        self._descriptor = _compare(self.expected, count, digester)

    def _write_region(self, content: FileContent, file: BinaryIO) -> None:
        self._refuse_excess(content.size)
        digester = self._digester()
        count = 0
        for chunk in copy_region(content.file, content.offset, content.size, file):
            digester.update(chunk)
            count += len(chunk)
            self._on_progress(len(chunk))
        self._descriptor = _compare(self.expected, count, digester)

    def _digester(self) -> Digester:
        return Digester(self.expected.digest.algorithm if self.expected.digest else "sha256")

    def _refuse_excess(self, count: int) -> None:
        if 0 <= self.expected.size < count:
            raise ContentMismatchError(
                f"Size mismatch when copying {self.expected}, expected {self.expected.size}, got at least {count}"
            )


def holds(content: Content, expected: Descriptor) -> bool:
    """Whether ``content``, read to its end, is what ``expected`` says. For a blob that is there already."""
    try:
        for _ in verified(content, expected):
            pass
    except ContentMismatchError:
        return False
    return True


def _write_all(file: BinaryIO, chunk: Buffer) -> None:
    view = memoryview(chunk)
    while view:
        written = file.write(view)
        if not written:
            raise TransshipError("writing a blob: the file takes no more bytes")
        view = view[written:]
