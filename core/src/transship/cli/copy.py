"""transship copy."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from transship import hookimpl
from transship.cli.flags import GO_INT, Flag, GoCommand, UsageError, Value, split_list
from transship.cli.options import (
    check_credentials,
    image_options,
    manifest_options,
    manifest_type,
    pair,
    progress_options,
    report_options,
    report_place,
    retry_options,
    shared_options,
    unsided_options,
    with_options,
)
from transship.cli.signing import open_signers, signing_options, store_options
from transship.errors import (
    InvalidReferenceError,
    TransportError,
    TransshipError,
    UnknownPluginError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from transship.cli.application import Application
    from transship.copy.options import CopyOptions, CopyResult, MultiArch
    from transship.image.platform import Platform
    from transship.plugin.context import Context
    from transship.plugin.events import Event

_STANDARD_OUTPUT = ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
_LATER = (
    "encryption_key",
    "encrypt_layer",
    "decryption_key",
)


def _copy_options() -> list[click.Option]:
    return [
        Flag("--all", "-a", help="copy all images if the source is an index"),
        Value(
            "--multi-arch",
            default=None,
            choices=("system", "all", "index-only"),
            metavar="WHAT",
            help="what to copy of an index: system, all, index-only, or platforms such as linux/amd64,linux/arm64",
        ),
        Value(
            "--platform",
            multiple=True,
            metavar="OS/ARCH[/VARIANT]",
            help="copy this platform of an index, as --multi-arch does (repeatable)",
        ),
        Flag("--strip-removed-platforms", help="leave out of the index what was not copied"),
        Flag("--strip-sparse-manifest-list", "strip_removed_platforms", hidden=True),
        *manifest_options(),
        Flag("--referrers", help="copy what refers to the image too, such as signatures and attestations of cosign"),
        Value("--sign-identity", default="", metavar="REF", help="what new signatures are for, if not DESTINATION"),
        Value("--additional-tag", multiple=True, metavar="REF", help="further tags, for docker: and docker-archive:"),
        Value("--annotation", multiple=True, metavar="KEY=VALUE", help="set an annotation on the copy (repeatable)"),
        Value(
            "--also-to", multiple=True, metavar="DEST", help="a further destination, each blob read once (repeatable)"
        ),
        Value("--digestfile", default="", metavar="FILE", help="write the digest of the copy to FILE"),
        *report_options("a JSON record of the copy"),
        Flag("--quiet", "-q", help="say nothing unless something fails"),
        *progress_options(),
        Flag("--dry-run", help="say what would be copied, and change nothing"),
        Flag("--link", help="hard-link blobs of local files instead of copying them, where that is possible"),
        Value(
            "--image-parallel-copies", type=GO_INT, default=0, metavar="N", help="blobs at the same time (default 6)"
        ),
        Flag("--dest-compress", help="compress layers, for dir:"),
        Flag("--dest-decompress", help="decompress layers, for dir:"),
        Flag("--dest-oci-accept-uncompressed-layers", help="leave layers uncompressed, for oci: and oci-archive:"),
        Value(
            "--dest-compress-format",
            default="",
            metavar="FORMAT",
            choices=("gzip", "zstd"),
            help="compression of layers: gzip or zstd",
        ),
        Value("--dest-compress-level", type=GO_INT, default=None, metavar="LEVEL", help="level of that compression"),
        Flag("--dest-force-compress-format", help="reuse no blob that is compressed otherwise"),
        Flag("--dest-precompute-digests", help="know the digests before the upload, for docker:"),
        Value(
            "--dest-chunk-size", default="", metavar="BYTES", help="upload blobs in pieces of this size, for docker:"
        ),
        Value("--limit-rate", default="", metavar="BYTES", help="most bytes per second of each side, for docker:"),
        Flag("--no-cache", help="do not remember where blobs were seen, for docker:"),
        *unsided_options(),
    ]


def _later_options() -> list[click.Option]:
    """Flags of encryption: known by name, and refused until they do what they say."""
    return [Value(f"--{name.replace('_', '-')}", name, multiple=True, hidden=True) for name in _LATER]


@click.command("copy", cls=GoCommand, options_metavar="[options]")
@click.argument("arguments", nargs=-1, metavar="SOURCE DESTINATION")
@with_options(
    _copy_options(),
    signing_options(),
    store_options(),
    shared_options(),
    image_options("src-", "source"),
    image_options("dest-", "destination"),
    retry_options(),
    _later_options(),
)
@click.pass_obj
def copy(app: Application, /, arguments: tuple[str, ...], **flags: Any) -> None:
    """Copy an image from one location to another

    Locations are TRANSPORT:REFERENCE, such as oci:folder:tag, dir:folder or docker-archive:file.tar:name:tag.
    """
    if len(arguments) != 2:
        raise UsageError("Exactly two arguments expected", show_help=True)
    from transship.api import Retries, copy_to_all
    from transship.cli.progress import copy_progress, progress_way
    from transship.cli.report import CopyReport, written_report

    if flags["tls_verify"] is not None:
        app.log.warning("'--tls-verify' is deprecated, instead use: --src-tls-verify, --dest-tls-verify")
    policy = app.load_policy()
    source, destinations = arguments[0], [arguments[1], *flags["also_to"]]
    _require_names(app, source, destinations)
    for prefix in ("src_", "dest_"):
        check_credentials(flags, prefix)
    _require_registry(app, flags, [source, *destinations])
    options = copy_options(app, flags)
    contexts = [_destination_context(app, flags, text) for text in destinations]
    report = CopyReport(source, destinations, policy, dry_run=options.dry_run)
    writes_image = _needs_standard_output(flags, destinations)
    if writes_image and flags["as_json"]:
        raise UsageError("--json would spoil the image that goes to standard output; use --report")
    way = progress_way(flags, is_taken=writes_image or flags["as_json"])
    with (
        written_report(report_place(flags), report),
        open_signers(app, flags) as signers,
        copy_progress(app.log, way) as show,
    ):

        def observe(event: Event) -> None:
            report.observe(event)
            show(event)

        results = copy_to_all(
            source,
            destinations,
            options=options,
            policy=policy,
            signers=signers,
            source_signatures=flags["src_signatures"],
            destination_signatures=flags["dest_signatures"],
            source_context=_source_context(app, flags, source),
            destination_contexts=contexts,
            retries=Retries(flags["retry_times"], flags["retry_delay"]),
            manager=app.manager,
            on_event=observe,
        )
        report.finish(results)
    if flags["dry_run"] and not flags["as_json"]:
        _print_plan(results)
    elif flags["digestfile"]:
        _write_digest(flags["digestfile"], results[0])


def _needs_standard_output(flags: Mapping[str, Any], destinations: Sequence[str]) -> bool:
    """Whether an archive goes to standard output, where lines among its bytes would spoil it."""
    paths = (text.partition(":")[2].partition(":")[0] for text in destinations)
    return not flags["dry_run"] and any(os.path.abspath(path) in _STANDARD_OUTPUT for path in paths if path)


def _write_digest(path: str, result: CopyResult) -> None:
    from transship.cli.output_file import opened_output

    try:
        with opened_output(path) as file:
            file.write(str(result.digest).encode())
    except TransportError as error:
        raise TransportError(f'Failed to write digest to file "{path}": {error}') from error


def copy_options(app: Application, flags: Mapping[str, Any]) -> CopyOptions:
    """The options of the engine that the flags ask for."""
    from transship.copy.options import CopyOptions

    if flags["encryption_key"] and flags["decryption_key"]:
        raise UsageError("--encryption-key and --decryption-key cannot be specified together")
    if flags["encrypt_layer"] and not flags["encryption_key"]:
        raise UsageError("--encrypt-layer can only be used with --encryption-key")
    for name in _LATER:
        if flags[name]:
            raise UnsupportedError(f"--{name.replace('_', '-')} is not supported yet")
    multi_arch, platforms = _multi_arch(flags)
    return CopyOptions(
        multi_arch=multi_arch,
        platform=app.globals.platform,
        platforms=platforms,
        strip_sparse_index=flags["strip_removed_platforms"],
        manifest_type=manifest_type(flags["format"]),
        preserve_digests=flags["preserve_digests"],
        remove_signatures=flags["remove_signatures"],
        remove_index_signatures=flags["remove_list_signatures"],
        compress_format=_compressor(app, flags),
        compress_level=flags["dest_compress_level"],
        force_compress_format=flags["dest_force_compress_format"],
        parallel_blobs=_parallel(flags["image_parallel_copies"]),
        annotations=dict(pair("--annotation", text) for text in flags["annotation"]),
        dry_run=flags["dry_run"],
        require_signed=app.globals.require_signed,
        referrers=flags["referrers"],
        sign_identity=_sign_identity(flags["sign_identity"]),
    )


def _sign_identity(text: str) -> str:
    from transship.image.reference import DockerReference

    try:
        return str(DockerReference.parse_canonical(text)) if text else ""
    except InvalidReferenceError as error:
        raise UsageError(f"Could not parse --sign-identity: {error}") from error


def _multi_arch(flags: Mapping[str, Any]) -> tuple[MultiArch, tuple[Platform, ...]]:
    from transship.copy.options import MultiArch
    from transship.image.platform import Platform

    what, platforms = flags["multi_arch"], list(flags["platform"])
    if flags["all"] and (what is not None or platforms):
        other = "--multi-arch" if what is not None else "--platform"
        raise UsageError(f"Cannot use --all and {other} flags together")
    if what is not None and platforms:
        raise UsageError("Cannot use --multi-arch and --platform flags together")
    if flags["all"]:
        return MultiArch.ALL, ()
    if what is None and not platforms:
        return MultiArch.SYSTEM, ()
    if what in ("system", "all", "index-only"):
        return MultiArch(what), ()
    try:
        return MultiArch.PLATFORMS, tuple(Platform.parse(text) for text in platforms or map(str.strip, what.split(",")))
    except TransshipError as error:
        if platforms:
            raise UsageError(f"--platform: {error}") from error
        raise UsageError(
            f'unknown multi-arch option "{what}". Choose one of the supported options: '
            "'system', 'all', or 'index-only', or give platforms such as linux/amd64,linux/arm64"
        ) from error


def _compressor(app: Application, flags: Mapping[str, Any]) -> str:
    name: str = flags["dest_compress_format"]
    if name == "zstd:chunked":
        raise UnsupportedError("--dest-compress-format zstd:chunked is not supported yet")
    if name and name not in app.manager.names("compressions"):
        try:
            app.manager.compression(name)
        except UnknownPluginError as error:
            raise UsageError(f'cannot find compressor for "{name}": {error}') from error
    if flags["dest_force_compress_format"] and not name:
        raise UsageError("cannot use ForceCompressionFormat with undefined default compression format")
    return name


def _parallel(number: int) -> int:
    if number < 0:
        raise UsageError(f"--image-parallel-copies must not be negative, not {number}")
    return number


def _require_names(app: Application, source: str, destinations: Sequence[str]) -> None:
    """Read all names before anything else is complained about, as Skopeo does."""
    for side, text in (("source", source), *(("destination", text) for text in destinations)):
        try:
            app.manager.parse_reference(text)
        except TransshipError as error:
            raise InvalidReferenceError(f"Invalid {side} name {text}: {error}") from error


def _source_context(app: Application, flags: Mapping[str, Any], text: str) -> Context:
    return app.context(text, "source", flags, "src_", settings=_registry_settings(flags))


def _registry_settings(flags: Mapping[str, Any]) -> dict[str, str]:
    """Options of ours that mean something to whichever side is a registry."""
    settings = {"limit-rate": flags["limit_rate"], "no-cache": "true" if flags["no_cache"] else ""}
    return {name: value for name, value in settings.items() if value}


def _require_registry(app: Application, flags: Mapping[str, Any], images: Sequence[str]) -> None:
    """Refuse options of ours that no side understands."""
    for name in _registry_settings(flags):
        transports = [app.manager.transport(text.partition(":")[0]) for text in images]
        if not any(option.name == name for transport in transports for option in transport.options):
            raise UnsupportedError(f"--{name} means nothing to {' or '.join(sorted({t.name for t in transports}))}:")


def _destination_context(app: Application, flags: Mapping[str, Any], text: str) -> Context:
    transport = text.partition(":")[0]
    switches = {
        "accept-uncompressed-layers": flags["dest_oci_accept_uncompressed_layers"],
        "precompute-digests": flags["dest_precompute_digests"],
        "compress": flags["dest_compress"],
        "decompress": flags["dest_decompress"],
    }
    for name in ("compress", "decompress"):
        if switches[name] and transport != "dir":
            app.log.warning(f"--dest-{name} can only be used if the destination transport is 'dir'")
    settings = {name: "true" for name, is_set in switches.items() if is_set} | _registry_settings(flags)
    if flags["additional_tag"]:
        settings["additional-tags"] = ",".join(_additional_tags(flags["additional_tag"]))
    own = {}
    if flags["link"]:
        own["link"] = "true"
    if flags["dest_chunk_size"]:
        own["chunk-size"] = flags["dest_chunk_size"]
    return app.context(text, "destination", flags, "dest_", settings=settings, own=own)


def _additional_tags(values: Sequence[str]) -> list[str]:
    from transship.image.reference import DockerReference

    tags = []
    for text in split_list(values):
        try:
            reference = DockerReference.parse(text)
        except TransshipError as error:
            raise UsageError(f"error parsing additional-tag '{text}': {error}") from error
        if not reference.tag or reference.digest is not None:
            raise UsageError(f"additional-tag '{text}' must be a tagged reference")
        tags.append(str(reference))
    return tags


def _print_plan(results: Sequence[CopyResult]) -> None:
    for result in results:
        click.echo(
            f"Would copy {result.blobs_written} blobs ({result.bytes_written} bytes) to {result.destination}, "
            f"{result.blobs_reused} are there already"
        )


@hookimpl
def transship_commands() -> list[click.Command]:
    """The command."""
    return [copy]
