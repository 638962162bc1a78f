"""TOML in its plainest form. Distributions ship files of it, and importing a reader of all TOML takes 4 ms."""

from __future__ import annotations

from typing import Any


def read_plain(text: str) -> dict[str, Any] | None:
    """What ``tomllib.loads`` gives, None if it takes that to tell.

    Plain are comments, ``[tables]`` with nothing but letters in their names, and lines ``"name" = "value"`` in them,
    without backslashes.
    """
    document: dict[str, Any] = {}
    table: dict[str, str] | None = None
    for line in (line.strip(" \t") for line in text.split("\n")):
        if not line.isascii() or not line.isprintable():
            return None
        if not line or line.startswith("#"):
            continue
        name = line[1:-1]
        if line == f"[{name}]" and name.isalpha() and name not in document:
            table = document[name] = {}
            continue
        if line.count('"') != 4 or "\\" in line or table is None:
            return None
        before, key, equals, value, after = line.split('"')
        if before or equals.strip(" \t") != "=" or after or key in table:
            return None
        table[key] = value
    return document
