"""transship delete."""

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
from transship.cli.several import with_each
from transship.errors import TransshipError

if TYPE_CHECKING:
    from transship.cli.application import Application


def _delete_options() -> list[click.Option]:
    return [
        Flag("--tag-only", help="delete the tag and leave the image, where that is possible"),
        Flag("--json", "as_json", help="print JSON: each image, and whether it was deleted"),
    ]


@click.command("delete", cls=GoCommand, options_metavar="[options]")
@click.argument("arguments", nargs=-1, metavar="IMAGE...")
@with_options(_delete_options(), shared_options(), image_options(), retry_options())
@click.pass_obj
def delete(app: Application, /, arguments: tuple[str, ...], **flags: Any) -> None:
    """Delete images

    IMAGE is TRANSPORT:REFERENCE, such as oci:folder:tag. Blobs that nothing else refers to go with it.
    """
    if not arguments:
        raise UsageError("Usage: delete imageReference")
    from transship.api import Retries
    from transship.api import delete as delete_image

    told = []

    def delete_one(image: str) -> None:
        record = {"image": image, "deleted": False, "error": ""}
        told.append(record)
        try:
            delete_image(
                image,
                tag_only=flags["tag_only"],
                context=app.context(image, "source", flags),
                retries=Retries(flags["retry_times"], flags["retry_delay"]),
                manager=app.manager,
            )
        except (TransshipError, OSError) as error:
            record["error"] = str(error)
            raise
        record["deleted"] = True

    try:
        with_each(app.log, arguments, delete_one)
    finally:
        if flags["as_json"]:
            click.echo(json.dumps(told, indent=4))


@hookimpl
def transship_commands() -> list[click.Command]:
    """The command."""
    return [delete]
