"""The program's entry: finds the command, runs it, turns errors into one line and an exit code."""

from __future__ import annotations

import sys
from typing import NoReturn

from transship import __version__


def main() -> NoReturn:
    """Run the program with the arguments of the process."""
    if sys.argv[1:] in (["--version"], ["-v"]):  # answered before anything costly is imported
        print(f"transship version {__version__}")
        sys.exit(0)
    from transship.cli.application import Application

    sys.exit(Application().run(sys.argv[1:]))
