"""transship policy."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import click

from transship import hookimpl
from transship.cli.flags import GoCommand, UsageError
from transship.errors import TransshipError
from transship.plugin.files import reporting
from transship.policy.files import default_paths

if TYPE_CHECKING:
    from transship.cli.application import Application

_FIRST_POLICY = """\
{
    "default": [
        {"type": "reject"}
    ],
    "transports": {
        "dir": {"": [{"type": "insecureAcceptAnything"}]},
        "docker-archive": {"": [{"type": "insecureAcceptAnything"}]},
        "oci": {"": [{"type": "insecureAcceptAnything"}]},
        "oci-archive": {"": [{"type": "insecureAcceptAnything"}]}
    }
}
"""
_EXPLANATION = """\
It accepts what is in files of this machine, and rejects everything else. Edit it to say more:
  "default" holds for what no scope below "transports" names;
  {"type": "insecureAcceptAnything"} accepts any image, {"type": "reject"} none;
  {"type": "sigstoreSigned", "keyPath": "key.pub"} accepts what that key signed, "signedBy" is for keys of GnuPG;
  a scope is "" for a whole transport, or a path such as "/srv/images" for dir: and oci:."""


@click.command("policy", cls=GoCommand, options_metavar="[options]")
@click.argument("arguments", nargs=-1, metavar="init")
@click.pass_obj
def policy(app: Application, /, arguments: tuple[str, ...]) -> None:
    """Write a first trust policy

    "init" writes one to the place that --policy names, or to your own default place, and never overwrites.
    """
    if arguments != ("init",):
        raise UsageError(f"Usage: {app.program} policy init")
    path = app.globals.policy or default_paths()[0]
    if folder := os.path.dirname(path):
        os.makedirs(folder, exist_ok=True)
    try:
        with open(path, "xb", buffering=0) as file, contextlib.ExitStack() as undo, reporting("write", path):
            undo.callback(os.unlink, path)
            file.write(_FIRST_POLICY.encode())
            undo.pop_all()
    except FileExistsError as error:
        raise TransshipError(f"{path} is there already, and is left as it is") from error
    click.echo(f"Wrote {path}\n{_EXPLANATION}")


@hookimpl
def transship_commands() -> list[click.Command]:
    """The command."""
    return [policy]
