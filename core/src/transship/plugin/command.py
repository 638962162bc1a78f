"""How a plugin's commands speak to the user."""

from __future__ import annotations

import sys


def print_line(text: str) -> None:
    """Write a result to standard output, with a newline."""
    sys.stdout.write(text + "\n")
