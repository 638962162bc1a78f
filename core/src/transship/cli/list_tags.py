"""transship list-tags."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from transship import hookimpl
from transship.cli.flags import Flag, GoCommand, UsageError
from transship.cli.options import (
    image_options,
    retry_options,
    shared_options,
    with_options,
)
from transship.cli.output import write_result

if TYPE_CHECKING:
    from transship.cli.application import Application


def _list_options() -> list[click.Option]:
    return [Flag("--digests", help="tell the digest of what each tag names, too")]


@click.command("list-tags", cls=GoCommand, options_metavar="[options]")
@click.argument("arguments", nargs=-1, metavar="PLACE")
@with_options(_list_options(), shared_options(), image_options(local=False), retry_options())
@click.pass_obj
def list_tags(app: Application, /, arguments: tuple[str, ...], **flags: Any) -> None:
    """List the tags of a repository, archive or layout

    PLACE is docker://REPOSITORY, oci:FOLDER, oci-archive:FILE, docker-archive:FILE, or a place of another transport
    that lists its tags.
    """
    if len(arguments) != 1:
        raise UsageError("Exactly one non-option argument expected", show_help=True)
    from transship import api

    settings: dict[str, Any] = {
        "context": app.context(arguments[0], "source", flags),
        "retries": api.Retries(flags["retry_times"], flags["retry_delay"]),
        "manager": app.manager,
    }
    if flags["digests"]:
        repository, digests = api.tag_digests(arguments[0], **settings)
        listed = {"Tags": list(digests), "Digests": {tag: digest and str(digest) for tag, digest in digests.items()}}
    else:
        repository, tags = api.list_tags(arguments[0], **settings)
        listed = {"Tags": list(tags)}
    document = {"Repository": repository} if repository else {}
    write_result(json.dumps(document | listed, indent=4, ensure_ascii=False) + "\n")


@hookimpl
def transship_commands() -> list[click.Command]:
    """The command."""
    return [list_tags]
