"""The program's entry: finds the command, runs it, turns errors into one line and an exit code."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from typing import NoReturn

from transship import __version__

LIKE_SKOPEO = "1.9.3"
"""The version of Skopeo that the tests compare with."""


def _open_closed_streams() -> None:
    """Let what is written to a stream that the caller has closed go nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - open until the end


def main() -> NoReturn:
    """Run the program with the arguments of the process."""
    program = "skopeo" if os.path.basename(sys.argv[0]) == "skopeo" else "transship"
    gc.disable()  # imports leave nothing to collect; Application turns it on again before it does the work
    _open_closed_streams()
    try:
        code = _run(program, sys.argv[1:])
    except KeyboardInterrupt:  # while the program was still being loaded
        code = 130
    if code in (130, 143):  # interrupted: a thread that is stuck in a pipe must not keep the process
        _flush()
        os._exit(code)
    gc.freeze()  # the process ends: looking through all modules for garbage would only take time
    sys.exit(code)


def version_of(program: str) -> str:
    """What ``--version`` prints. Under the name of Skopeo, scripts ask whether it is recent enough."""
    ours = f"transship version {__version__}"
    return f"skopeo version {LIKE_SKOPEO} ({ours})" if program == "skopeo" else ours


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()


def _run(program: str, args: list[str]) -> int:
    if args in (["--version"], ["-v"]):  # answered before anything costly is imported
        print(version_of(program))
        return 0
    if args[:1] == ["__complete"]:
        from transship.cli.candidates import answer

        return answer(args[1:], program)
    from transship.cli.application import Application

    return Application(program).run(args)
