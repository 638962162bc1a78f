"""The programs that are measured."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path


def default_transship() -> str:
    """The transship of this Python's environment, else the one on the PATH."""
    beside = Path(sys.executable).parent / "transship"
    return str(beside) if beside.exists() else "transship"


def command_line(text: str) -> list[str]:
    """The words of ``text``, the first as a whole path; ends this program if that is nowhere."""
    words = shlex.split(text)
    found = shutil.which(words[0])
    if not found:
        sys.exit(f"{words[0]} is not there: name it with --transship or --peer")
    return [found, *words[1:]]
