"""What the user sees on standard error: log lines, as Skopeo writes them."""

from __future__ import annotations

import re
import sys
import time
from typing import TextIO

_PLAIN = re.compile(r"[A-Za-z0-9\-._/@^+]+")
_LEVELS = {"debug": "DEBU", "info": "INFO", "warning": "WARN", "error": "ERRO", "fatal": "FATA"}
_COLOURS = {"debug": 37, "info": 36, "warning": 33, "error": 31, "fatal": 31}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """``text`` with control characters escaped, so that no name or message can steer a terminal."""
    return (
        _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
        .encode("utf-8", "backslashreplace")
        .decode("utf-8")
    )


class Log:
    """Writes log lines. ``debug`` shows those of the debug level too."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.debug_enabled = False
        self._stream = stream
        self._started = time.monotonic()

    def debug(self, message: str, **fields: str) -> None:
        """A line for those who look for a mistake."""
        if self.debug_enabled:
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

    def fatal(self, message: str) -> None:
        """The last line of a command that failed."""
        self._write("fatal", message, {})

    def _write(self, level: str, message: str, fields: dict[str, str]) -> None:
        stream = self._stream or sys.stderr
        message = printable(message)
        if stream.isatty():
            seconds = int(time.monotonic() - self._started)
            colour = _COLOURS[level]
            extra = "".join(f" \x1b[{colour}m{key}\x1b[0m={_quoted(value)}" for key, value in sorted(fields.items()))
            line = f"\x1b[{colour}m{_LEVELS[level]}\x1b[0m[{seconds:04d}] {message}{' ' if extra else ''}{extra}"
        else:
            from datetime import datetime

            now = datetime.now().astimezone().isoformat(timespec="seconds").replace("+00:00", "Z")
            extra = "".join(f" {key}={_quoted(value)}" for key, value in sorted(fields.items()))
            line = f'time="{now}" level={level} msg={_quoted(message)}{extra}'
        try:
            stream.write(line + "\n")
            stream.flush()
        except OSError:  # a closed standard error must not hide the exit code
            return


def _quoted(value: str) -> str:
    value = printable(value)
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
