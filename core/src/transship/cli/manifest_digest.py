"""transship manifest-digest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from transship import hookimpl
from transship.cli.flags import Flag, GoCommand, UsageError
from transship.cli.options import with_options
from transship.errors import TransshipError
from transship.image.identification import manifest_digest as digest_of_manifest
from transship.image.strict_json import METADATA_LIMIT

if TYPE_CHECKING:
    from transship.cli.application import Application


@click.command("manifest-digest", cls=GoCommand, options_metavar="[options]")
@click.argument("arguments", nargs=-1, metavar="FILE")
@with_options([Flag("--json", "as_json", help="print JSON")])
@click.pass_obj
def manifest_digest(app: Application, /, arguments: tuple[str, ...], as_json: bool) -> None:
    """Compute the digest of a manifest file

    That of a signed schema 1 manifest is the digest of its payload.
    """
    if len(arguments) != 1:
        raise UsageError(f"Usage: {app.program} manifest-digest manifest")
    path = arguments[0]
    try:
        with open(path, "rb") as file:
            data = file.read(METADATA_LIMIT + 1)
        if len(data) > METADATA_LIMIT:
            raise TransshipError(f"exceeded maximum allowed size of {METADATA_LIMIT} bytes")
    except (OSError, TransshipError) as error:
        reason = f"open {path}: {(error.strerror or '').lower()}" if isinstance(error, OSError) else error
        raise TransshipError(f"Error reading manifest from {path}: {reason}") from error
    try:
        digest = str(digest_of_manifest(data))
    except TransshipError as error:
        raise TransshipError(f"Error computing digest: {error}") from error
    click.echo(json.dumps({"digest": digest}) if as_json else digest)


@hookimpl
def transship_commands() -> list[click.Command]:
    """The command."""
    return [manifest_digest]
