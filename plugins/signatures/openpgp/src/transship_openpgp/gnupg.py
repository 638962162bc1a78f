"""The program gpg: how it is run, and what it says about what it did."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from transship.errors import SignatureError

ISOLATED = (
    "--no-options",
    "--no-autostart",
    "--disable-dirmngr",
    "--no-auto-key-retrieve",
    "--no-auto-check-trustdb",
    "--trust-model=always",
    "--lock-never",
)
"""Options under which nothing counts but the keys in one folder, and nothing is started or asked."""

TIMEOUT = 60.0
"""Seconds for what needs no user."""

_STATUS = "[GNUPG:] "


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run of gpg ended: its exit code, its status lines and others as words, and the last line of its log."""

    code: int
    statuses: tuple[tuple[str, ...], ...]
    records: tuple[tuple[str, ...], ...]
    last_line: str

    def all(self, keyword: str) -> list[tuple[str, ...]]:
        """What follows ``keyword`` in each status line that begins with it."""
        return [status[1:] for status in self.statuses if status[0] == keyword]


def run_gpg(arguments: Sequence[str], *, data: bytes = b"", timeout: float | None = None, locale: str = "C") -> Outcome:
    """Run gpg without a terminal.

    ``data`` is its standard input, the only place for a secret. Its standard output is for status lines and listings,
    never for the text of a message. ``locale`` is the language of its log, ``""`` the user's. Raises ``SignatureError``
    if it is not installed or takes more than ``timeout`` seconds, None: ``TIMEOUT``.
    """
    import subprocess

    timeout = TIMEOUT if timeout is None else timeout
    command = [_program(), "--batch", "--no-tty", "--no-verbose", "--status-fd=1", *arguments]
    try:
        done = subprocess.run(
            command, input=data, capture_output=True, timeout=timeout, env=_environment(locale), check=False
        )
    except subprocess.TimeoutExpired:
        raise SignatureError(f"gpg: no answer within {timeout:.0f} seconds") from None
    except OSError as error:
        raise SignatureError(f"running {command[0]}: {(error.strerror or str(error)).lower()}") from error
    # Lines end where gpg ends them: it escapes line feeds in names, and no other character that may end a line.
    lines = done.stdout.decode("utf-8", "replace").split("\n")
    statuses = tuple(tuple(line.split(" ")[1:]) for line in lines if line.startswith(_STATUS))
    records = tuple(tuple(line.split(":")) for line in lines if not line.startswith(_STATUS))
    return Outcome(done.returncode, statuses, records, _last_line(done.stderr))


def stop_agent(home: str) -> None:
    """End the gpg-agent of another GnuPG than the user's, if there is one; it knows secret keys."""
    import subprocess

    with contextlib.suppress(SignatureError, OSError, subprocess.TimeoutExpired):
        command = [_program("gpgconf"), f"--homedir={home}", "--kill", "gpg-agent"]
        subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False)


def _program(name: str = "gpg") -> str:
    import shutil

    program = shutil.which(name)
    if program is None or not os.path.isabs(program):  # never one that lies in the current folder by chance
        raise SignatureError(f"the program {name} is not on PATH; install GnuPG")
    return program


def _environment(locale: str) -> dict[str, str]:
    environment = dict(os.environ)
    if locale:
        environment["LC_ALL"] = locale
        environment.pop("LANGUAGE", None)
    with contextlib.suppress(OSError):  # standard input is no terminal, or one of another container
        environment.setdefault("GPG_TTY", os.ttyname(0))  # where gpg-agent asks for a passphrase
    return environment


def _last_line(log: bytes) -> str:
    lines = log.decode("utf-8", "replace").rstrip().split("\n")
    return lines[-1].removeprefix("gpg: ")
