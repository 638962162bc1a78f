"""A layout on an SSH server."""

from __future__ import annotations

from collections.abc import Iterator
from stat import S_ISDIR, S_ISREG
from typing import Any, BinaryIO

from transship.errors import TransportError
from transship.plugin.context import Context

from .connection import Connections
from .failures import reporting
from .reference import Url
from .store import PIECE
from .tree_store import TreeStore

READ_AT_ONCE = 128  # requests of 32 KiB


class SftpStore(TreeStore):
    """Links inside of the layout are refused. Much is asked for at once, as answers may take long."""

    def __init__(self, url: Url, connections: Connections, context: Context) -> None:
        super().__init__(url, connections, context)
        self._real_folders: set[str] = set()

    def _status(self, name: str) -> dict[str, Any] | None:
        parts = name.split("/")
        for count in range(1, len(parts)):
            self._require_folder("/".join(parts[:count]))
        try:
            status = self._filesystem.ftp.lstat(self._path(name))
        except FileNotFoundError:
            return None
        if not S_ISREG(status.st_mode):
            raise TransportError(f"{self.place(name)} is no regular file")
        return {"type": "file", "size": status.st_size}

    def make_folder(self, name: str) -> None:
        super().make_folder(name)
        parts = name.split("/")
        for count in range(1, len(parts) + 1 if name else 0):
            self._require_folder("/".join(parts[:count]))

    def remove(self, name: str) -> None:
        with reporting("remove", self.place(name)):
            self._status(name)
        super().remove(name)

    def _require_folder(self, name: str) -> None:
        if name in self._real_folders:
            return
        with reporting("read", self.place(name)):
            try:
                status = self._filesystem.ftp.lstat(self._path(name))
            except FileNotFoundError:
                return
        if not S_ISDIR(status.st_mode):
            raise TransportError(f"{self.place(name)} is no folder")
        self._real_folders.add(name)

    def _open(self, name: str, offset: int) -> BinaryIO:
        if self._status(name) is None:
            raise FileNotFoundError(name)
        return super()._open(name, offset)

    def _create(self, name: str) -> BinaryIO:
        return _PipelinedFile(self._filesystem.ftp.open(self._path(name), "wxb"))  # type: ignore[return-value]

    def _pieces(self, file: Any, name: str) -> Iterator[bytes]:
        with reporting("read", self.place(name)):
            position, size = file.tell(), file.stat().st_size
        while position < size:
            with reporting("read", self.place(name)):
                (piece,) = file.readv([(position, min(PIECE, size - position))], READ_AT_ONCE)
            if not piece:
                return
            position += len(piece)
            yield piece


class _PipelinedFile:
    """A file that does not wait for the answer to each request, and loses none of them.

    paramiko looks at the answers that are left only when it writes without pipelining, so the last byte is kept back.
    It forgets them when anything else is asked over the connection, so nothing may be before ``close``.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._last = b""
        file.set_pipelined(True)

    def write(self, data: bytes) -> int:
        if data:
            self._file.write(self._last + data[:-1])
            self._last = data[-1:]
        return len(data)

    def close(self) -> None:
        self._file.set_pipelined(False)
        if self._last:
            self._file.write(self._last)
        self._last = b""
        self._file.close()
