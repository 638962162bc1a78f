"""Writes usage and flags into ``docs/reference/commands``, from what the commands say about themselves.

    python3 docs/generate_reference.py

In each page, what stands between a marker and its end is replaced; the rest is left alone. The manual pages, which are
made of these pages, are written too.
"""

from __future__ import annotations

import runpy
from collections.abc import Iterable
from pathlib import Path

import click

from transship.cli.options import global_options
from transship.discovery import PluginManager

COMMANDS = Path(__file__).parent / "reference" / "commands"
GLOBAL_PAGE = "global-flags"


def command_names() -> list[str]:
    """The commands that must have a page."""
    return PluginManager().names("commands")


def page_of(name: str) -> Path:
    """The page of a command, or of the global flags."""
    return COMMANDS / f"{name}.md"


def updated(name: str) -> str:
    """What the page of ``name`` should say."""
    page = page_of(name).read_text(encoding="utf-8")
    if name != GLOBAL_PAGE:
        page = _replaced(page, "usage", _usage(name), page_of(name))
    return _replaced(page, "flags", _table(_options(name)), page_of(name))


def _replaced(page: str, what: str, text: str, path: Path) -> str:
    begin, end = f"<!-- {what}: written by docs/generate_reference.py -->", f"<!-- end of {what} -->"
    before, found_begin, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found_begin and found_end):
        raise SystemExit(f"{path}: the page needs the lines {begin} and {end}")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def _usage(name: str) -> str:
    command = PluginManager().command(name)
    context = command.make_context(f"transship {name}", [], resilient_parsing=True)
    pieces = [context.command_path, *command.collect_usage_pieces(context)]
    return f"```text\n{' '.join(pieces).rstrip()}\n```"


def _options(name: str) -> list[click.Option]:
    if name == GLOBAL_PAGE:
        return list(global_options())
    params = PluginManager().command(name).params
    return [param for param in params if isinstance(param, click.Option) and not param.hidden]


def _table(options: Iterable[click.Option]) -> str:
    rows = [f"| {_spelling(option)} | {_cell(option.help or '')} |" for option in options if not option.hidden]
    return "\n".join(["| Flag | Meaning |", "| --- | --- |", *rows]) if rows else "It has no flags of its own."


def _spelling(option: click.Option) -> str:
    metavar = option.metavar if option.metavar is not None else option.type.name.upper()
    names = ", ".join(f"`{name}`" for name in sorted(option.opts, key=len))
    return names if not metavar else f"{names} {_cell(metavar)}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    for each in [GLOBAL_PAGE, *command_names()]:
        page_of(each).write_text(updated(each), encoding="utf-8")
    runpy.run_path(str(Path(__file__).with_name("generate_manual.py")), run_name="__main__")
