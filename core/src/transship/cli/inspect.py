"""transship inspect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from transship import hookimpl
from transship.cli.flags import Flag, GoCommand, UsageError, Value
from transship.cli.options import (
    credentials_of,
    image_options,
    retry_options,
    shared_options,
    with_options,
)
from transship.cli.output import write_result
from transship.cli.several import with_each
from transship.errors import InvalidManifestError, TransshipError
from transship.image.strict_json import dump_json, load_json_object

if TYPE_CHECKING:
    from transship.cli.application import Application
    from transship.inspection import InspectedImage, OpeningError

_ALGORITHMS = ("sha256", "sha384", "sha512")


def _inspect_options() -> list[click.Option]:
    return [
        Flag("--raw", help="print the manifest, or with --config the config, byte for byte"),
        Flag("--config", help="print the config"),
        Value("--format", "-f", default=None, metavar="TEMPLATE", help="print what a Go template makes of it"),
        Flag("--no-tags", "-n", help="do not list the repository's tags"),
        Value("--manifest-digest", default="", metavar="ALGORITHM", help="compute the digest with this algorithm"),
    ]


@click.command("inspect", cls=GoCommand, options_metavar="[options]")
@click.argument("arguments", nargs=-1, metavar="IMAGE...")
@with_options(_inspect_options(), shared_options(), image_options(), retry_options())
@click.pass_obj
def inspect(app: Application, /, arguments: tuple[str, ...], **flags: Any) -> None:
    """Show what images are, without copying them

    IMAGE is TRANSPORT:REFERENCE, such as oci:folder:tag. Without flags: a summary as JSON, one after another.
    """
    if not arguments:
        raise UsageError("At least one argument expected")
    if flags["raw"] and len(arguments) > 1:
        raise UsageError("--raw shows one image, not several: where one ends could not be told")
    if flags["raw"] and flags["format"]:
        raise UsageError("raw output does not support format option")
    if flags["manifest_digest"] not in ("", *_ALGORITHMS):
        raise UsageError(f'digest algorithm "{flags["manifest_digest"]}" is not available')
    credentials_of(flags)
    with_each(app.log, arguments, lambda image: _show(app, image, flags))


def _show(app: Application, name: str, flags: dict[str, Any]) -> None:
    if flags["raw"] and not flags["config"]:
        write_result(_raw(app, name, flags))
        return
    image = _image(app, name, flags)
    if flags["raw"]:
        write_result(image.config or b"")
        return
    write_result(_report(image, flags, app.program))


def _settings(app: Application, name: str, flags: dict[str, Any]) -> dict[str, Any]:
    from transship.api import Retries

    return {
        "context": app.context(name, "source", flags),
        "retries": Retries(flags["retry_times"], flags["retry_delay"]),
        "manager": app.manager,
    }


def _raw(app: Application, name: str, flags: dict[str, Any]) -> bytes:
    from transship.api import raw_manifest
    from transship.inspection import OpeningError

    _require_name(app, name)
    settings = _settings(app, name, flags)
    try:
        return raw_manifest(name, **settings)
    except OpeningError as error:
        raise _not_opened(name, error) from error.__cause__
    except (TransshipError, OSError) as error:
        raise TransshipError(f"Error retrieving manifest for image: {_reason(error)}") from error


def _image(app: Application, name: str, flags: dict[str, Any]) -> InspectedImage:
    from transship.api import inspect as inspect_image
    from transship.inspection import OpeningError

    _require_name(app, name)
    settings = _settings(app, name, flags)
    with_tags = not flags["no_tags"] and not flags["config"]
    try:
        return inspect_image(name, platform=app.globals.platform, with_tags=with_tags, **settings)
    except OpeningError as error:
        raise _not_opened(name, error) from error.__cause__
    except OSError as error:
        raise TransshipError(f'Error parsing image name "{name}": {_reason(error)}') from error


def _not_opened(name: str, error: OpeningError) -> TransshipError:
    """The same, with the name as the user wrote it."""
    return TransshipError(f'Error parsing image name "{name}": {error.__cause__}')


def _require_name(app: Application, name: str) -> None:
    try:
        app.manager.parse_reference(name)
    except TransshipError as error:
        raise TransshipError(f'Error parsing image name "{name}": {error}') from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return ": ".join(filter(None, (error.filename, (error.strerror or str(error)).lower())))
    return str(error)


def _report(image: InspectedImage, flags: dict[str, Any], program: str) -> str:
    image.manifest.require_image()
    document = _config(image) if flags["config"] else _summary(image, flags["manifest_digest"])
    if flags["format"]:
        return _rendered(flags["format"], document, program, is_config=flags["config"])
    shown = {name: value for name, value in document.items() if value != "" or name not in ("Name", "Tag")}
    return dump_json(shown, indent=4).decode() + "\n"


def _rendered(template: str, document: dict[str, Any], program: str, *, is_config: bool) -> str:
    from transship.cli.inspect_report import config_value, render, summary_value

    if not is_config:
        return render(template, summary_value(document), program)
    try:
        return render(template, config_value(document), program)
    except TransshipError as error:
        raise TransshipError(f"Error writing OCI-formatted configuration data to standard output: {error}") from error


def _config(image: InspectedImage) -> dict[str, Any]:
    """The config as OCI defines it."""
    from transship.image.conversion import oci_config

    try:
        return load_json_object(oci_config(image.manifest, image.config), "config")
    except InvalidManifestError as error:
        raise TransshipError(f"Error reading OCI-formatted configuration data: {error}") from error


def _summary(image: InspectedImage, algorithm: str) -> dict[str, Any]:
    """Skopeo's summary; what an image does not say is empty or null as there."""
    from transship.image.config import parse_config
    from transship.image.manifest import Schema1Manifest

    schema1 = image.manifest.document if isinstance(image.manifest, Schema1Manifest) else None
    config = parse_config(schema1.embedded_config if schema1 else image.config or b"{}")
    named = image.reference.named
    descriptors = [layer.descriptor for layer in image.manifest.layers]
    return {
        "Name": named.name if named else "",
        "Tag": schema1.tag if schema1 else "",
        "Digest": str(image.digest(algorithm)),
        "RepoTags": list(image.tags),
        "Created": config.created,
        "DockerVersion": config.docker_version,
        "Labels": config.labels,
        "Architecture": config.architecture,
        "Os": config.os,
        "Layers": [str(descriptor.digest) for descriptor in descriptors],
        "LayersData": [
            {
                "MIMEType": descriptor.media_type,
                "Digest": str(descriptor.digest),
                "Size": descriptor.size,
                "Annotations": _sorted(descriptor.annotations),
            }
            for descriptor in descriptors
        ],
        "Env": list(config.env) if config.env is not None else None,
    }


def _sorted(annotations: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if annotations is None else dict(sorted(annotations.items()))


@hookimpl
def transship_commands() -> list[click.Command]:
    """The command."""
    return [inspect]
