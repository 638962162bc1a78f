"""Opening a docker archive for reading, whatever it is: a file, a compressed file, a pipe."""

from __future__ import annotations

import os
from types import TracebackType
from typing import BinaryIO, Self

from transship.errors import TransportError
from transship.plugin.blob import FileContent
from transship.plugin.context import Context
from transship.plugin.files import reporting
from transship.plugin.tar import TarIndex, seekable_archive
from transship_docker_archive.manifest_items import MANIFEST_FILE, MANIFEST_LIMIT, ManifestItem, parse_items

_STANDARD_INPUT = "/dev/stdin"


class Archive:
    """An archive's files, of which the first counts if two have one name, and the images that ``items`` lists.

    ``is_unpacked``: ``file`` is an uncompressed copy of what is at ``path``.
    """

    def __init__(self, path: str, context: Context) -> None:
        """Raises ``TransportError`` for what is no archive of that kind."""
        self.path = path
        opened = _open(path)
        self.file = seekable_archive(opened, path, context)
        self.is_unpacked = self.file is not opened
        try:
            self.index = TarIndex(self.file, path, first_counts=True)
            self.items: tuple[ManifestItem, ...] = parse_items(
                self.read(MANIFEST_FILE, MANIFEST_LIMIT), f"{path}: {MANIFEST_FILE}"
            )
        except BaseException:
            self.close()
            raise

    def find(self, name: str) -> FileContent | None:
        """A regular file of the archive; it shares the archive's own file."""
        region = self.index.find(name)
        if region is None:
            return None
        return FileContent(self.file, region.offset, region.size, close_file=False)

    def read(self, name: str, limit: int) -> bytes:
        """A whole file, which must be there and have no more than ``limit`` bytes."""
        content = self.find(name)
        if content is None:
            raise TransportError(f"{self.path}: file {name[:300]} not found in tar")
        if content.size > limit:
            raise TransportError(f"{self.path}: {name[:300]}: exceeded maximum allowed size of {limit} bytes")
        with reporting("read", self.path):
            return b"".join(bytes(chunk) for chunk in content)

    def close(self) -> None:
        """Release the file."""
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open(path: str) -> BinaryIO:
    with reporting(f'opening file "{path}": open', path):
        if path == _STANDARD_INPUT:  # by its number, which works for sockets too
            return open(os.dup(0), "rb", buffering=0)
        return open(path, "rb", buffering=0)
