"""Tags of places in the network, remembered for a moment: whoever completes a line presses the key more than once.

They are in a file of this user's own, which a command that may have changed some empties.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from transship.cli.tag_names import tags_of
from transship.plugin.private_database import PrivateDatabase, cache_file

if TYPE_CHECKING:
    import sqlite3

    from transship.plugin.context import Context
    from transship.plugin.transport import Transport

_FILE = "tags-v1.sqlite"
_LIFETIME = 120.0
_MOST_QUESTIONS = 100
_SCHEMA = "CREATE TABLE IF NOT EXISTS tags (question TEXT PRIMARY KEY, tags TEXT NOT NULL, asked REAL NOT NULL)"
_FIND = "SELECT tags FROM tags WHERE question = ? AND asked BETWEEN ? AND ?"
_ADD = "INSERT OR REPLACE INTO tags VALUES (?, ?, ?)"
_DROP_OLD = """
DELETE FROM tags WHERE asked NOT BETWEEN ? AND ?
OR question NOT IN (SELECT question FROM tags ORDER BY asked DESC LIMIT ?)
"""


def recent_tags(transport: Transport, place: str, begin: str, context: Context) -> list[str]:
    """The tags of ``place``, as they were a moment ago if some of those begin with ``begin``; asked for otherwise.

    What is asked with credentials of the command line is not remembered. Raises what ``tags_of`` raises.
    """
    if context.credentials is not None:
        return tags_of(transport, place, context)
    question = repr((transport.name, place, sorted(context.options.items()), context.anonymous))
    file = PrivateDatabase(cache_file(_FILE), patience=0)
    now = time.time()
    for (text,) in file.find(_FIND, (question, now - _LIFETIME, now)):
        known = str(text).split("\n")
        if any(tag.startswith(begin) for tag in known):
            return known
    tags = tags_of(transport, place, context)

    def add(connection: sqlite3.Connection) -> None:
        with connection:
            connection.execute(_SCHEMA)
            connection.execute(_ADD, (question, "\n".join(tags), now))
            connection.execute(_DROP_OLD, (now - _LIFETIME, now, _MOST_QUESTIONS))

    if tags:
        file.change(add)
    return tags


def forget_tags() -> None:
    """Remember no tags: some may be new, or gone."""
    file = PrivateDatabase(cache_file(_FILE))
    if file.find("SELECT 1 FROM tags LIMIT 1", ()):
        file.change(_empty)


def _empty(connection: sqlite3.Connection) -> None:
    with connection:
        connection.execute("DELETE FROM tags")
