"""What a sync is asked to do, and how its parts are put together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from transship.copy.options import CopyOptions, MultiArch
from transship.errors import TransshipError, UnsupportedError
from transship.plugin.credentials import Credentials
from transship.plugin.executor import ExecutorFactory, ExecutorSettings
from transship.policy.evaluation import require_valid_scopes
from transship.retry import Retries
from transship.sync.destinations import SyncDestination
from transship.sync.jobs import CopyJob, require_new_folder, run_job
from transship.sync.run import Begin, SyncObserver, SyncRun, SyncSummary
from transship.sync.settings import SourceSettings
from transship.sync.sides import Side, Workplace, WorkplaceSettings
from transship.sync.sources import ImageGroup, Load, SourceReader, SyncLog

if TYPE_CHECKING:
    from transship.sync.document import RegistrySource
    from transship.sync.pruning import Wanted

DOCUMENT = "yaml"
"""What stands for a transport where the source is a sync document."""

_ONE_AT_A_TIME = ("oci-archive", "docker-archive")


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """What to sync, and how. ``source_transport`` is the name of a transport, or ``yaml``.

    ``settings`` hold for all images unless a sync document says otherwise. ``keep_going``: a failure does not end the
    run. ``rechecks``: images that seem to be there are looked at blob by blob. ``updates``: folders that exist are
    brought up to date. ``prunes``: what the source no longer has is removed. ``jobs`` at the same time, 0: as many as
    suits the ``executor``, whose service is at ``address``.
    """

    source_transport: str
    source: str
    destination_transport: str
    destination: str
    options: CopyOptions = field(default_factory=CopyOptions)
    settings: SourceSettings = field(default_factory=SourceSettings)
    source_side: Side = field(default_factory=Side)
    destination_side: Side = field(default_factory=Side)
    retries: Retries = field(default_factory=Retries)
    keep_going: bool = False
    rechecks: bool = False
    updates: bool = False
    prunes: bool = False
    jobs: int = 0
    executor: str = "threads"
    address: str = ""
    elsewhere: WorkplaceSettings = field(default_factory=WorkplaceSettings)


class Secrets(dict[str, Credentials]):
    """The credentials of a run, by the names that sides have for them."""

    def add(self, credentials: Credentials | None) -> str:
        """A name for ``credentials``, ``""`` for none."""
        if credentials is None:
            return ""
        name = f"credentials-{len(self)}"
        self[name] = credentials
        return name


def run_sync(
    request: SyncRequest, workplace: Workplace, secrets: Secrets, log: SyncLog, observer: SyncObserver
) -> SyncSummary:
    """Copy every image that the request names. ``secrets`` are those of ``workplace``.

    Raises ``TransshipError`` at the first failure, or with ``keep_going`` only for what no image is to blame for.
    """
    factory = workplace.manager.executor(request.executor)
    source_transport = "docker" if request.source_transport == DOCUMENT else request.source_transport
    require_valid_scopes(workplace.policy, workplace.manager.transport(source_transport))
    reader = SourceReader(workplace, log, request.source_side, request.settings, request.retries)
    loads = _loads(request, reader, secrets)
    destination = SyncDestination.of(workplace.manager, request.destination_transport, request.destination)
    _require_no_secrets(factory, secrets, workplace)
    settings = ExecutorSettings(_jobs(request), request.address)
    executor = factory.open(settings, workplace.cancellation)
    wanted = _new_wanted() if request.prunes else None
    try:
        summary = SyncRun(
            executor,
            _beginner(request, factory, workplace, observer),
            partial(_jobs_of, request, destination, wanted),
            observer,
            workplace.cancellation,
            keep_going=request.keep_going,
        ).run(loads)
    finally:
        executor.close()
    if wanted is not None:
        _prune(request, workplace, wanted, summary, log, observer)
    return summary


def _new_wanted() -> Wanted:
    from transship.sync.pruning import Wanted  # hardly any run removes anything

    return Wanted()


def _prune(
    request: SyncRequest,
    workplace: Workplace,
    wanted: Wanted,
    summary: SyncSummary,
    log: SyncLog,
    observer: SyncObserver,
) -> None:
    if summary.has_failures:
        log.warning("Nothing is removed at the destination: not all images could be listed and copied")
        return
    from transship.sync.pruning import Pruner

    pruner = Pruner(workplace, request.destination_side, wanted)
    pruner.run(summary, observer, dry_run=request.options.dry_run, keep_going=request.keep_going)


def _loads(request: SyncRequest, reader: SourceReader, secrets: Secrets) -> Iterator[Load]:
    if request.source_transport == DOCUMENT:
        from transship.sync.document import load_sync_document  # it brings a reader of YAML
        from transship.sync.yaml_nodes import DOCUMENT_LIMIT

        data = _read(request.source, DOCUMENT_LIMIT + 1)  # one more than may be, and reading refuses it
        sources = load_sync_document(data, request.source, reader.log)
        sides = [_side_of(request.source_side, secrets, source) for source in sources]
        return reader.document(zip(sources, sides, strict=True))
    if request.source_transport == "docker":
        return iter([reader.image_or_repository(request.source)])
    if request.source_transport == "dir":
        return iter([reader.folders(request.source)])
    return iter([reader.place(request.source_transport, request.source)])


def _read(path: str, limit: int) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(limit)
    except OSError as error:
        raise TransshipError(f"open {path}: {(error.strerror or str(error)).lower()}") from error


def _side_of(side: Side, secrets: Secrets, source: RegistrySource) -> Side:
    options: Mapping[str, str] = {"cert-dir": source.cert_dir}
    if source.tls_verify is not None:
        options = {**options, "tls-verify": str(source.tls_verify).lower()}
    secret = secrets.add(source.credentials) or side.secret
    return replace(side.with_options(options), secret=secret)


def _require_no_secrets(factory: ExecutorFactory, secrets: Secrets, workplace: Workplace) -> None:
    if factory.runs_elsewhere and (secrets or workplace.signers):
        raise UnsupportedError(
            f"the executor {factory.name!r} runs jobs elsewhere, where no secret is sent: put credentials into auth "
            "files on its machines instead of flags or the YAML file, and do not sign"
        )


def _jobs(request: SyncRequest) -> int:
    if request.destination_transport not in _ONE_AT_A_TIME:
        return request.jobs
    if request.jobs > 1:
        raise UnsupportedError(f"{request.destination_transport}: takes one image at a time, not {request.jobs}")
    return 1


def _jobs_of(
    request: SyncRequest, destination: SyncDestination, wanted: Wanted | None, group: ImageGroup
) -> Iterator[CopyJob]:
    options = _options(request.options, group.settings)
    for image in group:
        reference = destination.reference_for(image, group.settings)
        is_new = destination.claim(reference, image)
        if wanted is not None:
            wanted.add(reference, image, group, destination.layout)
        if not is_new:
            continue
        job = CopyJob(
            image.reference,
            reference,
            options,
            group.side,
            request.destination_side,
            request.retries,
            request.rechecks,
            request.updates,
        )
        require_new_folder(job)
        yield job


def _options(options: CopyOptions, settings: SourceSettings) -> CopyOptions:
    if settings.platforms:
        options = options._replace(multi_arch=MultiArch.PLATFORMS, platforms=settings.platforms)
    return options if settings.referrers is None else options._replace(referrers=settings.referrers)


def _beginner(request: SyncRequest, factory: ExecutorFactory, workplace: Workplace, observer: SyncObserver) -> Begin:
    if factory.runs_elsewhere:
        from transship.sync.elsewhere import run_elsewhere

        return lambda executor, task: executor.submit(run_elsewhere, task.job, request.elsewhere)
    return lambda executor, task: executor.submit(run_job, task.job, workplace, partial(observer.happened, task))
