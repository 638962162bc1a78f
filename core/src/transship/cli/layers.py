"""transship layers, an old command that scripts may still use."""

from __future__ import annotations

import contextlib
import tempfile
from typing import TYPE_CHECKING, Any

import click

from transship import hookimpl
from transship.cli.flags import GoCommand, UsageError
from transship.cli.options import image_options, shared_options, with_options
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest

if TYPE_CHECKING:
    from transship.cli.application import Application


@click.command("layers", cls=GoCommand, options_metavar="[options]", hidden=True)
@click.argument("arguments", nargs=-1, metavar="IMAGE [LAYER...]")
@with_options(shared_options(), image_options())
@click.pass_obj
def layers(app: Application, /, arguments: tuple[str, ...], **flags: Any) -> None:
    """Fetch layers of an image into a new folder; "copy" does it better"""
    deprecation = f"DEPRECATED: {app.program} layers is deprecated in favor of {app.program} copy"
    if app.log.is_json:
        app.log.warning(deprecation)
    else:
        click.echo(deprecation, err=True)
    if not arguments:
        raise UsageError("Usage: layers imageReference [layer...]")
    from transship.image.manifest import parse_manifest
    from transship.places import make_context, place
    from transship.plugin.blob import BlobReader

    wanted = [Digest.parse(text if ":" in text else f"sha256:{text}") for text in arguments[1:]]
    found = place(app.manager, arguments[0], "source", app.context(arguments[0], "source", flags))
    with contextlib.ExitStack() as stack:
        source = found.transport.open_source(found.reference, found.context)
        stack.callback(source.close)
        raw = source.get_manifest()
        manifest = parse_manifest(raw.data, raw.media_type)
        blobs = [Descriptor("", digest) for digest in wanted]
        if not blobs:
            blobs = [layer.descriptor for layer in manifest.layers if not layer.is_empty]
            blobs += [manifest.config] if manifest.config else []
        folder = tempfile.mkdtemp(prefix="layers-", dir=".")
        target = place(app.manager, f"dir:{folder}", "destination", make_context(app.manager))
        destination = target.transport.open_destination(target.reference, target.context)
        stack.callback(destination.close)
        for descriptor in {blob.digest: blob for blob in blobs}.values():
            with contextlib.closing(source.get_blob(descriptor)) as content:
                destination.put_blob(BlobReader(content, descriptor))
        destination.put_manifest(raw.data, manifest.media_type)
        destination.commit()


@hookimpl
def transship_commands() -> list[click.Command]:
    """The command."""
    return [layers]
