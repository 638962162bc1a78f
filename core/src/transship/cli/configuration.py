"""Defaults of flags from a file that the user wrote: ``[copy]``, then ``retry-times = 3``.

Where there is none, looking for it is all that this costs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import click

from transship.cli.flags import FlagParser, UsageError
from transship.errors import TransportError
from transship.plugin.files import read_settings

GLOBAL_TABLE = "global"

_LIMIT = 1 << 20
_SECRET = ("creds", "password", "registry-token")
_EXCLUSIVE = (
    {"quiet", "progress"},
    {"as_json", "report"},
    {"all", "multi_arch", "platform"},
    *({f"{side}creds", f"{side}username", f"{side}no_creds"} for side in ("", "src_", "dest_")),
)
_TO_BE_SAID = ("insecure-policy", "tls-verify", "yes", "no-config", "help")


def configuration_path() -> tuple[str, bool]:
    """Where the file is, ``""`` for nowhere, and whether the user named it, so that it must be there."""
    named = os.environ.get("TRANSSHIP_CONFIG")
    if named is not None:
        return named, True
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    home = os.environ.get("HOME", "")
    if not os.path.isabs(folder):
        folder = os.path.join(home, ".config") if os.path.isabs(home) else ""
    return (os.path.join(folder, "transship", "config.toml") if folder else ""), False


def read_configuration() -> Configuration | None:
    """What the file says, None if there is none. Raises ``UsageError``."""
    path, is_named = configuration_path()
    if not path:
        return None
    try:
        data = read_settings(path, _LIMIT, is_named=is_named)
    except (FileNotFoundError, NotADirectoryError):
        if is_named:
            raise UsageError(f"{path}: no such file, though TRANSSHIP_CONFIG names it") from None
        return None
    except OSError as error:
        raise UsageError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    except TransportError as error:
        raise UsageError(str(error)) from error
    import tomllib

    try:
        text = data.decode("utf-8")
        return Configuration(path, text, tomllib.loads(text))
    except (ValueError, RecursionError) as error:  # of TOML and of UTF-8
        raise UsageError(f"{path}: {error}") from error


def excluded_by(given: Mapping[str, Any]) -> set[str]:
    """The parameters whose defaults do not count beside those ``given``, these included."""
    excluding = [flags for flags in _EXCLUSIVE if any(given.get(name) for name in flags)]
    return set(given).union(*excluding)


class Configuration:
    """The tables of a file, by command; ``global`` is for the flags that every command takes."""

    def __init__(self, path: str, text: str, tables: Mapping[str, Any]) -> None:
        self._path = path
        self._text = text
        self._tables = tables

    def require_commands(self, known: Collection[str]) -> None:
        """Raise ``UsageError`` for a table that is for no command."""
        for name, table in self._tables.items():
            if not isinstance(table, dict):
                raise self._error("", name, "it stands in no table: write [COMMAND] above it")
            if name != GLOBAL_TABLE and name not in known:
                raise self._error(name, "", f"there is no command {name!r}")

    def defaults(self, table: str, params: Sequence[click.Parameter]) -> dict[str, Any]:
        """The values that ``table`` gives to flags among ``params``, by parameter name. Raises ``UsageError``."""
        values: dict[str, Any] = {}
        parser = FlagParser([param for param in params if isinstance(param, click.Option)])
        for name, value in self._tables.get(table, {}).items():
            if name.endswith(_SECRET) and not name.endswith("no-creds"):
                raise self._error(table, name, "a secret does not belong here; use transship login")
            if name.endswith(_TO_BE_SAID):
                raise self._error(table, name, "this must be said on the command line")
            words = [f"--{name}={text}" for text in self._texts(table, name, value)]
            try:
                values |= parser.parse_args(words)[0]
            except UsageError as error:
                raise self._error(table, name, str(error)) from error
        return values

    def _texts(self, table: str, name: str, value: Any) -> list[str]:
        members = value if isinstance(value, list) else [value]
        if not all(isinstance(member, (str, int)) for member in members):
            raise self._error(table, name, "a value is text, a whole number, true, false, or a list of such")
        texts = [str(member).lower() if isinstance(member, bool) else str(member) for member in members]
        if any("\0" in text for text in texts):
            raise self._error(table, name, "a value has no zero bytes, as on the command line")
        return texts

    def _error(self, table: str, name: str, why: str) -> UsageError:
        return UsageError(f"{self._path}:{self._line(table, name)}: {name or f'[{table}]'}: {why}")

    def _line(self, table: str, name: str) -> int:
        """The line of a key, or of the table's head: as near as can be said, as TOML may be written in many ways."""
        current, found = "", 1
        for number, line in enumerate(self._text.splitlines(), 1):
            if head := re.match(r"""\s*\[\s*["']?([^\]"']+?)["']?\s*\]""", line):
                current = head[1]
                found = number if current == table else found
            elif current == table and name and re.match(rf"""\s*["']?{re.escape(name)}["']?\s*=""", line):
                return number
        return found
