"""transship completion: scripts by which shells complete command lines."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

import click

from transship import hookimpl
from transship.cli.flags import Flag, GoCommand, UsageError
from transship.cli.options import SHELLS

if TYPE_CHECKING:
    from transship.cli.application import Application


@click.command(
    "completion",
    cls=GoCommand,
    options_metavar="[options]",
    params=[Flag("--no-cache", help="let the script ask registries each time, and remember no tags")],
)
@click.argument("arguments", nargs=-1, metavar="bash|zsh|fish")
@click.pass_obj
def completion(app: Application, /, arguments: tuple[str, ...], no_cache: bool) -> None:
    """Print a script by which a shell completes command lines

    It completes commands, flags, transports, tags and paths.

    For one bash or zsh: source <(transship completion bash). For one fish: transship completion fish | source. For all
    of them: write it to the place that your shell reads such scripts from.
    """
    if len(arguments) != 1 or arguments[0] not in SHELLS:
        raise UsageError(f"Usage: {app.program} completion {'|'.join(SHELLS)}")
    path = files("transship.cli") / "shells" / f"transship.{arguments[0]}"
    script = path.read_text(encoding="utf-8").replace("transship", app.program)
    click.echo(script.replace(" __complete ", " __complete --no-cache ") if no_cache else script, nl=False)


@hookimpl
def transship_commands() -> list[click.Command]:
    """The command."""
    return [completion]
