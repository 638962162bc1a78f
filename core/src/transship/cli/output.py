"""What the user sees: log lines on standard error, as Skopeo writes them, and results."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TextIO

from transship.cli.options import LOG_LEVELS
from transship.errors import TransshipError

_PLAIN = r"[A-Za-z0-9\-._/@^+]+"
_RANKS = {"debug": 0, "info": 1, "warning": 2, "error": 3, "fatal": 4}
_LEVELS = {"debug": "DEBU", "info": "INFO", "warning": "WARN", "error": "ERRO", "fatal": "FATA"}
_COLOURS = {"debug": 37, "info": 36, "warning": 33, "error": 31, "fatal": 31}
_CONTROL = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"

# A user and password in a URL, which ``host:5000/name@sha256:…`` and ``@@unknown-digest@@`` are not.
_LOGIN = r"(?<=://)[^\s\"/@]*:[^\s\"@]*@(?!sha\d+:|@)"


def without_passwords(text: str) -> str:
    """``text`` with ``***`` in place of what URLs in it hold to log in with."""
    return re.sub(_LOGIN, "***@", text)


def printable(text: str) -> str:
    """``text`` with control characters escaped, so that no name or message can steer a terminal."""
    return (
        re.sub(_CONTROL, lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
        .encode("utf-8", "backslashreplace")
        .decode("utf-8")
    )


def write_result(result: str | bytes) -> None:
    """Write what an image or a registry says to standard output, byte for byte.

    Only a terminal gets control characters in the escaped form of JSON: they could steer it.
    """
    if sys.stdout.isatty():
        text = result.decode("utf-8", "backslashreplace") if isinstance(result, bytes) else result
        sys.stdout.write(re.sub(_CONTROL, lambda found: f"\\u{ord(found[0]):04x}", text))
    elif isinstance(result, bytes):
        sys.stdout.buffer.write(result)
    else:
        sys.stdout.write(result)
    sys.stdout.flush()


class Log:
    """Writes log lines.

    ``level`` is the least important of ``LOG_LEVELS`` that is shown. ``coloured``: always, never, or, if None, on
    terminals. ``interlude`` is entered around each line, so that what else is on the terminal can make room.
    """

    def __init__(self, stream: TextIO | None = None, *, coloured: bool | None = None) -> None:
        self.level = "info"
        self.is_json = False
        self.coloured = coloured
        self.interlude: Callable[[], AbstractContextManager[object]] = nullcontext
        self._stream = stream
        self._started = time.monotonic()

    def debug(self, message: str, **fields: str) -> None:
        """A line for those who look for a mistake."""
        self._write("debug", message, fields)

    def info(self, message: str, **fields: str) -> None:
        """A line on what is going on."""
        self._write("info", message, fields)

    def warning(self, message: str, **fields: str) -> None:
        """A line on what should be known and does not stop the command."""
        self._write("warning", message, fields)

    def error(self, message: str, **fields: str) -> None:
        """A line on what failed while the command goes on."""
        self._write("error", message, fields)

    def failure(self, error: Exception, **fields: str) -> None:
        """As ``error``, of an exception; as JSON, with what the exception knows."""
        self._write("error", _told(error), fields | _facts(error) if self.is_json else fields)

    def fatal(self, error: Exception | str, exit_code: int = 1, hint: str = "") -> None:
        """The last line of a command that failed; as JSON, with the exit code and what the exception knows.

        ``hint`` is put behind what the error says.
        """
        fields: dict[str, str | int] = {"exit_code": exit_code, **_facts(error)} if self.is_json else {}
        self._write("fatal", (error if isinstance(error, str) else _told(error)) + hint, fields)

    def tell(self, text: str) -> None:
        """What the user must read to go on, such as an address to log in at, as plain text unless lines are JSON."""
        if self.is_json:
            self.info(text)
        else:
            self._put(printable(text))

    def record(self, fields: Mapping[str, Any]) -> None:
        """A line of JSON for programs that follow what happens, whatever the format of the other lines."""
        import json

        self._put(json.dumps({"time": _now(), **fields}))

    def _write(self, level: str, message: str, fields: Mapping[str, str | int]) -> None:
        if _RANKS[level] >= LOG_LEVELS.index(self.level):
            self._put(self._line(self._stream or sys.stderr, level, without_passwords(message), fields))

    def _put(self, line: str) -> None:
        stream = self._stream or sys.stderr
        try:
            with self.interlude():
                stream.write(line + "\n")
                stream.flush()
        except OSError:  # a closed standard error must not hide the exit code
            return

    def _line(self, stream: TextIO, level: str, message: str, fields: Mapping[str, str | int]) -> str:
        if self.is_json:
            import json

            return json.dumps({"time": _now(), "level": level, "msg": message, **fields})
        message = printable(message)
        if stream.isatty() or self.coloured:
            seconds = int(time.monotonic() - self._started)
            begin, end = ("", "") if self.coloured is False else (f"\x1b[{_COLOURS[level]}m", "\x1b[0m")
            extra = "".join(f" {begin}{key}{end}={_quoted(value)}" for key, value in sorted(fields.items()))
            return f"{begin}{_LEVELS[level]}{end}[{seconds:04d}] {message}{' ' if extra else ''}{extra}"
        extra = "".join(f" {key}={_quoted(value)}" for key, value in sorted(fields.items()))
        return f'time="{_now()}" level={level} msg={_quoted(message)}{extra}'


def _now() -> str:
    from datetime import datetime

    return datetime.now().astimezone().isoformat(timespec="seconds").replace("+00:00", "Z")


def _told(error: Exception) -> str:
    if isinstance(error, OSError):
        return (f"{error.filename}: " if error.filename else "") + (error.strerror or str(error)).lower()
    return str(error)


def _facts(error: Exception | str) -> dict[str, str | int]:
    """The class of the error and of its first cause, and what all in between know; nothing that is empty."""
    chain: list[BaseException] = []
    link: BaseException | None = error if isinstance(error, BaseException) else None
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__
    facts: dict[str, str | int] = {}
    for known in reversed(chain):
        facts |= known.details if isinstance(known, TransshipError) else {}
    facts = {name: value for name, value in facts.items() if value != ""}
    classes = {"error": type(chain[0]).__name__, "cause": type(chain[-1]).__name__} if chain else {}
    return {**classes, **facts}


def _quoted(value: str | int) -> str:
    value = printable(str(value))
    if re.fullmatch(_PLAIN, value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
