"""The flags that all pictures have, and where pictures go."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from transship.cli.flags import GO_INT, Flag, UsageError, Value
from transship.cli.options import coloured
from transship.errors import TransshipError

if TYPE_CHECKING:
    from transship.anatomy.parts import Part
    from transship.cli.pictures.drawing import Twig
    from transship.image.platform import Platform


def picture_options() -> list[click.Option]:
    """Which members of an index to look at, how far, and how to show them."""
    return [
        Value(
            "--platform",
            multiple=True,
            metavar="OS/ARCH[/VARIANT]",
            help="look at this platform of an index only (repeatable)",
        ),
        Value("--limit", type=GO_INT, default=200, metavar="N", help="read at most N manifests of an image"),
        Flag("--json", "as_json", help="print JSON"),
        Value("--html", default="", metavar="FILE", help="write a page for browsers to FILE, and print nothing"),
        Flag("--ascii", "as_ascii", help="draw with ASCII characters only"),
    ]


def check_picture(flags: Mapping[str, Any]) -> tuple[Platform, ...]:
    """The platforms that the flags ask for; raises ``UsageError`` for flags that make no sense."""
    from transship.image.platform import Platform

    if flags["as_json"] and flags["html"]:
        raise UsageError("--json and --html cannot be used together")
    if flags["limit"] < 1:
        raise UsageError("--limit: at least 1 manifest must be read")
    try:
        return tuple(map(Platform.parse, flags["platform"]))
    except TransshipError as error:
        raise UsageError(f"--platform: {error}") from error


def show(
    flags: Mapping[str, Any],
    *,
    document: Callable[[], Mapping[str, Any]],
    page: Callable[[], str],
    twigs: Callable[[], Iterable[Twig]],
) -> None:
    """Show a picture as the flags want it."""
    if flags["html"]:
        from transship.cli.output_file import opened_output

        with opened_output(flags["html"]) as file:
            file.write(page().encode())
    elif flags["as_json"]:
        sys.stdout.write(json.dumps(document()) + "\n")  # indented, a hostile config would grow without measure
    else:
        _draw(twigs(), as_ascii=flags["as_ascii"])


def problems_of(part: Part) -> int:
    """How many parts could not be read, or not asked about."""
    inner = [*part.members, *(referrer.part for referrer in part.referrers)]
    return bool(part.problem) + bool(part.referrers_problem) + sum(map(problems_of, inner))


def _draw(twigs: Iterable[Twig], *, as_ascii: bool) -> None:
    from transship.cli.pictures.drawing import ASCII, UNICODE, Drawing

    encoding = "ascii" if as_ascii else sys.stdout.encoding or "ascii"
    is_terminal, wanted = sys.stdout.isatty(), coloured()
    drawing = Drawing(
        UNICODE if _can_encode("".join(UNICODE), encoding) else ASCII,
        width=shutil.get_terminal_size().columns if is_terminal else 0,
        is_coloured=is_terminal if wanted is None else wanted,
    )
    for twig in twigs:
        for line in drawing.lines(twig):
            sys.stdout.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
