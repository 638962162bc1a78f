"""transship sync."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from transship import hookimpl
from transship.cli.flags import GO_INT, Flag, GoCommand, UsageError, Value
from transship.cli.options import (
    check_credentials,
    disabled_plugins,
    image_options,
    manifest_options,
    manifest_type,
    progress_options,
    report_options,
    retry_options,
    shared_options,
    unsided_options,
    with_options,
    word_option,
)
from transship.cli.signing import open_signers, signing_options
from transship.errors import TransshipError
from transship.plugin.suggestion import did_you_mean

if TYPE_CHECKING:
    from transship.cli.application import Application
    from transship.copy.options import CopyOptions
    from transship.sync.request import Secrets, SyncRequest
    from transship.sync.settings import SourceSettings
    from transship.sync.sides import Side

_DOCUMENT = "yaml"


def _sync_options() -> list[click.Option]:
    return [
        Value(
            "--src",
            "-s",
            default="",
            metavar="TRANSPORT",
            plugins="transports",
            choices=(_DOCUMENT,),
            help="transport of SOURCE, or yaml",
        ),
        Value("--dest", "-d", default="", metavar="TRANSPORT", plugins="transports", help="transport of DESTINATION"),
        Flag("--all", "-a", help="copy all images of an index"),
        Value(
            "--platform", multiple=True, metavar="OS/ARCH[/VARIANT]", help="copy this platform of an index (repeatable)"
        ),
        Flag("--referrers", help="copy what refers to the images too"),
        Flag("--scoped", help="keep the whole path of the source image below DESTINATION"),
        Value("--append-suffix", default="", metavar="TEXT", help="put TEXT behind the tag or folder at DESTINATION"),
        Value("--dest-name", default=None, metavar="TEMPLATE", help="name images below DESTINATION by a template"),
        Value(
            "--include-tag", multiple=True, metavar="REGEX", help="take the tags in which REGEX is found (repeatable)"
        ),
        Value(
            "--exclude-tag",
            multiple=True,
            metavar="REGEX",
            help="leave out the tags in which REGEX is found (repeatable)",
        ),
        Value("--semver", default="", metavar="RANGE", help="take the tags that are versions in RANGE"),
        Value("--newest", type=GO_INT, default=None, metavar="N", help="take the newest N tags"),
        word_option(
            "--newest-by",
            default="version",
            metavar="ORDER",
            choices=("version", "created"),
            help="what is newest: version (default) or created",
        ),
        Flag("--update", help="bring folders of a dir: destination that exist up to date"),
        Flag("--no-cache", help="do not remember when images were created, nor where blobs were seen"),
        Flag("--full", help="look at every blob also of images that seem to be there"),
        Flag("--prune", help="remove at DESTINATION what SOURCE no longer has; needs --dry-run or --yes"),
        Flag("--yes", help="really remove what --prune finds"),
        Value("--jobs", "-j", type=GO_INT, default=0, metavar="N", help="images at the same time (default 6)"),
        Value(
            "--executor",
            default="threads",
            metavar="NAME",
            plugins="executors",
            help="what runs the jobs (default threads)",
        ),
        Value("--executor-address", default="", metavar="ADDRESS", help="where the executor's service is"),
        Flag("--dry-run", help="say what would be copied, and change nothing"),
        Flag("--keep-going", help="copy the other images when one fails"),
        Value("--digestfile", default="", metavar="FILE", help="write digests and names of the copies to FILE"),
        *report_options("a line of JSON for each image"),
        Flag("--quiet", "-q", help="show no progress on standard output"),
        *progress_options(),
        *manifest_options(),
        *unsided_options(),
    ]


@click.command("sync", cls=GoCommand, options_metavar="[options]")
@click.argument("arguments", nargs=-1, metavar="SOURCE DESTINATION")
@with_options(
    _sync_options(),
    signing_options(),
    shared_options(),
    image_options("src-", "source", local=False),
    image_options("dest-", "destination", local=False),
    retry_options(),
)
@click.pass_obj
def sync(app: Application, /, arguments: tuple[str, ...], **flags: Any) -> None:
    """Copy many images from one place to another, those that are not there yet

    SOURCE is HOST/REPOSITORY[:TAG], a folder with images, a YAML file, or a place of another transport that lists
    images; DESTINATION is HOST[/PATH], a folder, or a place of another transport.
    """
    if len(arguments) != 2:
        raise UsageError("Exactly two arguments expected", show_help=True)
    if flags["tls_verify"] is not None:
        app.log.warning("'--tls-verify' is deprecated, instead use: --src-tls-verify, --dest-tls-verify")
    policy = app.load_policy()
    _check_transports(app, flags)
    for prefix in ("src_", "dest_"):
        check_credentials(flags, prefix)
    from transship.cli.sync_output import sync_output
    from transship.plugin.cancellation import Cancellation
    from transship.plugin.private_database import cache_file
    from transship.sync.request import Secrets, run_sync
    from transship.sync.sides import Workplace

    secrets = Secrets()
    request = _request(app, flags, arguments, secrets)
    with open_signers(app, flags) as signers:
        workplace = Workplace(
            app.manager,
            policy,
            cancellation=Cancellation(parent=app.cancellation),
            temporary_directory=app.globals.tmpdir,
            warn=app.log.warning,
            debug=app.log.debug,
            secrets=secrets,
            signers=signers,
            creation_cache="" if flags["no_cache"] else cache_file("creation-v1.sqlite"),
        )
        try:
            with sync_output(app.log, flags) as output:
                if flags["dry_run"]:
                    app.log.warning("Running in dry-run mode")
                summary = run_sync(request, workplace, secrets, app.log, output)
                output.show_summary(summary)
        finally:
            workplace.close()
    if summary.has_failures:
        raise TransshipError("Sync failed due to previous reported error(s) for one or more images")


def _check_transports(app: Application, flags: Mapping[str, Any]) -> None:
    known = app.manager.names("transports")
    for flag, side, names in (("src", "source", [*known, _DOCUMENT]), ("dest", "destination", known)):
        if not flags[flag]:
            raise UsageError(f"A {side} transport must be specified")
        if flags[flag] not in names:
            meant = did_you_mean(flags[flag], names)
            raise UsageError(f'"{flags[flag]}" is not a valid {side} transport{meant}')
    if flags["src"] == flags["dest"] == "dir":
        raise UsageError("sync from 'dir' to 'dir' not implemented, consider using rsync instead")


def _request(app: Application, flags: Mapping[str, Any], arguments: tuple[str, ...], secrets: Secrets) -> SyncRequest:
    from transship.retry import Retries
    from transship.sync.request import SyncRequest
    from transship.sync.sides import WorkplaceSettings

    if flags["prune"] and not (flags["yes"] or flags["dry_run"]):
        raise UsageError("--prune removes images: see which ones with --dry-run, then use --yes")
    if flags["jobs"] < 0:
        raise UsageError(f"--jobs must not be negative, not {flags['jobs']}")
    return SyncRequest(
        flags["src"],
        arguments[0],
        flags["dest"],
        arguments[1],
        _copy_options(app, flags),
        _settings(flags),
        _side(app, flags, "src", "source", secrets),
        _side(app, flags, "dest", "destination", secrets),
        Retries(flags["retry_times"], flags["retry_delay"]),
        keep_going=flags["keep_going"],
        rechecks=flags["full"],
        updates=flags["update"],
        prunes=flags["prune"],
        jobs=flags["jobs"],
        executor=flags["executor"],
        address=flags["executor_address"],
        elsewhere=WorkplaceSettings(
            app.globals.policy, app.globals.insecure_policy, app.globals.tmpdir, tuple(disabled_plugins())
        ),
    )


def _copy_options(app: Application, flags: Mapping[str, Any]) -> CopyOptions:
    from transship.copy.options import CopyOptions, MultiArch

    if flags["all"] and flags["platform"]:
        raise UsageError("Cannot use --all and --platform flags together")
    return CopyOptions(
        multi_arch=MultiArch.ALL if flags["all"] else MultiArch.SYSTEM,
        platform=app.globals.platform,
        manifest_type=manifest_type(flags["format"]),
        preserve_digests=flags["preserve_digests"],
        remove_signatures=flags["remove_signatures"],
        remove_index_signatures=flags["remove_list_signatures"],
        dry_run=flags["dry_run"],
        require_signed=app.globals.require_signed,
        referrers=flags["referrers"],
    )


def _settings(flags: Mapping[str, Any]) -> SourceSettings:
    from transship.image.platform import Platform
    from transship.sync.settings import SourceSettings

    settings = SourceSettings(
        flags["include_tag"] or None,
        flags["exclude_tag"] or None,
        flags["semver"] or None,
        flags["newest"],
        flags["newest_by"],
        tuple(Platform.parse(text) for text in flags["platform"]) or None,
        flags["referrers"] or None,
        flags["dest_name"],
        flags["append_suffix"] or None,
        flags["scoped"] or None,
    )
    settings.selection  # noqa: B018 - raises for what makes no sense
    return settings


def _side(app: Application, flags: Mapping[str, Any], flag: str, side: str, secrets: Secrets) -> Side:
    from transship.sync.sides import Side

    transport = "docker" if flags[flag] == _DOCUMENT else flags[flag]
    settings = {"no-cache": "true"} if flags["no_cache"] else {}
    context = app.context(f"{transport}:", side, flags, f"{flag}_", settings=settings)
    return Side(anonymous=context.anonymous, secret=secrets.add(context.credentials)).with_options(context.options)


@hookimpl
def transship_commands() -> list[click.Command]:
    """The command."""
    return [sync]
