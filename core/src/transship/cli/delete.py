"""transship delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from transship import hookimpl
from transship.cli.flags import GoCommand, UsageError
from transship.cli.options import (
    image_options,
    retry_options,
    shared_options,
    with_options,
)

if TYPE_CHECKING:
    from transship.cli.application import Application


@click.command("delete", cls=GoCommand, options_metavar="[options]")
@click.argument("arguments", nargs=-1, metavar="IMAGE")
@with_options(shared_options(), image_options(), retry_options())
@click.pass_obj
def delete(app: Application, /, arguments: tuple[str, ...], **flags: Any) -> None:
    """Delete an image

    IMAGE is TRANSPORT:REFERENCE, such as oci:folder:tag. Blobs that nothing else refers to go with it.
    """
    if len(arguments) != 1:
        raise UsageError("Usage: delete imageReference")
    from transship.api import Retries
    from transship.api import delete as delete_image

    delete_image(
        arguments[0],
        context=app.context(arguments[0], "source", flags),
        retries=Retries(flags["retry_times"], flags["retry_delay"]),
        manager=app.manager,
    )


@hookimpl
def transship_commands() -> list[click.Command]:
    """The command."""
    return [delete]
