"""A file in which something is remembered from one run to the next, by this user only.

What others could have written does not count. Nothing here raises for trouble with the file: it is done without then.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from transship.plugin.files import home_folder

if TYPE_CHECKING:
    import sqlite3


def cache_file(name: str) -> str:
    """Where a file is kept that remembers something from one run to the next; it need not be there."""
    folder = os.environ.get("XDG_CACHE_HOME", "")
    return os.path.join(folder if os.path.isabs(folder) else os.path.join(home_folder(), ".cache"), "transship", name)


class PrivateDatabase:
    """An SQLite file at ``path``, ``""`` for none. Threads and processes may use one at the same time.

    Its folder is made when something is first written, and must belong to this user alone, as the file must. Whoever
    else uses it is waited for, for ``patience`` seconds; then it is done without.
    """

    def __init__(self, path: str, patience: float = 3.0) -> None:
        self._path = path
        self._patience = patience

    def find(self, query: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """The rows that ``query`` finds; none where there is no such file, or no such table."""
        rows: list[tuple[Any, ...]] = []
        self._use(lambda connection: rows.extend(connection.execute(query, values)))
        return rows

    def change(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Let ``work`` write, tables included. It may happen in part, or not at all, unless it is one transaction."""
        self._use(work, creates=True)

    def _use(self, work: Callable[[sqlite3.Connection], None], *, creates: bool = False) -> None:
        """Do ``work`` with the file, if it is there or ``creates`` says that it is to be."""
        if not self._path or not (creates or os.path.exists(self._path)):
            return
        import sqlite3

        try:
            if not _is_private(self._path, creates=creates):
                self._path = ""
                return
            with closing(sqlite3.connect(self._path, self._patience, isolation_level="IMMEDIATE")) as connection:
                # What a crash of the machine breaks is noticed: no copy need wait for the disk.
                connection.execute("PRAGMA synchronous = OFF")
                work(connection)
        except (sqlite3.Error, OSError, ValueError) as error:
            if type(error) is sqlite3.DatabaseError:  # it is no database, or a broken one
                _remove(self._path)
            self._give_up_after(error)

    def _give_up_after(self, error: Exception) -> None:
        """Do without the file, unless others were only busy with it, or have just begun to make it."""
        if "locked" not in str(error) and "no such table" not in str(error):
            self._path = ""


def _remove(path: str) -> None:
    for name in (f"{path}-journal", path):  # in this order: what is left alone would be taken for another file's
        with suppress(OSError):
            os.unlink(name)


def _is_private(path: str, *, creates: bool) -> bool:
    """Whether a file, and its folder, belong to this user, who alone may write to them; both are made if need be.

    In a folder of others no file is made either: what has its name there may lead anywhere.
    """
    folder = os.path.dirname(path)
    if creates:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    if not _is_own(folder, stat.S_ISDIR):
        return False
    if creates:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600))
    return _is_own(path, stat.S_ISREG)


def _is_own(path: str, is_kind: Callable[[int], bool]) -> bool:
    status = os.stat(path)
    return is_kind(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
