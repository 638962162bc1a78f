"""transship for programs: copy, sync, verify, inspect, compare, list tags and delete as plain functions.

    from transship.api import copy

    result = copy("oci:layout:app", "docker-archive:app.tar:app:1.0", insecure_policy=True)
    print(result.digest)

Nothing here prints, exits or keeps state between calls; every function may be used from several threads at once.
Failures are ``transship.errors.TransshipError``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from transship.copy.options import CopyOptions, CopyResult, MultiArch
from transship.deletion import delete_image, delete_tag
from transship.discovery import PluginManager
from transship.errors import UnsupportedError
from transship.image.platform import Platform, PlatformRequest
from transship.inspection import InspectedImage, inspect_image, read_raw
from transship.places import make_context, place
from transship.plugin.context import Context
from transship.plugin.transport import TagDigests, TagList
from transship.retry import Retries, with_retries
from transship.tags import list_digests, list_place

if TYPE_CHECKING:
    from transship.anatomy.difference import Difference
    from transship.anatomy.parts import Part
    from transship.copy.signers import SharedSigner
    from transship.plugin.cancellation import Cancellation
    from transship.plugin.credentials import Credentials
    from transship.plugin.events import Event
    from transship.policy.document import Policy
    from transship.sync.request import SyncRequest
    from transship.sync.run import SyncObserver, SyncSummary
    from transship.verification import JudgedImage

__all__ = [
    "CopyOptions",
    "CopyResult",
    "InspectedImage",
    "MultiArch",
    "Platform",
    "PlatformRequest",
    "PluginManager",
    "Retries",
    "TagDigests",
    "TagList",
    "copy",
    "copy_to_all",
    "delete",
    "diff",
    "inspect",
    "list_tags",
    "make_context",
    "open_signer",
    "raw_manifest",
    "sync",
    "tag_digests",
    "tree",
    "verify",
]


def copy(
    source: str,
    destination: str,
    *,
    options: CopyOptions | None = None,
    policy: str | Policy | None = None,
    insecure_policy: bool = False,
    signers: Sequence[SharedSigner] = (),
    source_signatures: str = "",
    destination_signatures: str = "",
    source_context: Context | None = None,
    destination_context: Context | None = None,
    retries: Retries | None = None,
    manager: PluginManager | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> CopyResult:
    """Copy the image ``source`` to ``destination``, both ``transport:reference``. See ``copy_to_all``."""
    return copy_to_all(
        source,
        [destination],
        options=options,
        policy=policy,
        insecure_policy=insecure_policy,
        signers=signers,
        source_signatures=source_signatures,
        destination_signatures=destination_signatures,
        source_context=source_context,
        destination_contexts=[destination_context],
        retries=retries,
        manager=manager,
        on_event=on_event,
    )[0]


def copy_to_all(
    source: str,
    destinations: Sequence[str],
    *,
    options: CopyOptions | None = None,
    policy: str | Policy | None = None,
    insecure_policy: bool = False,
    signers: Sequence[SharedSigner] = (),
    source_signatures: str = "",
    destination_signatures: str = "",
    source_context: Context | None = None,
    destination_contexts: Sequence[Context | None] | None = None,
    retries: Retries | None = None,
    manager: PluginManager | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> list[CopyResult]:
    """Copy one image to several destinations, reading each of its blobs once; the results are in their order.

    ``policy`` is a trust policy or the path of one; None: the user's or the system's. ``insecure_policy`` accepts any
    image. ``signers`` are from ``open_signer``, and stay open. ``source_signatures`` and ``destination_signatures``
    name places that mechanisms keep signatures in, ``MECHANISM:TEXT``: the former is read beside the source's own, the
    latter written instead of the destinations'. ``on_event`` is called with ``transship.plugin.events``, from several
    threads.
    """
    # What only a copy needs is heavy, and the other functions start faster without it.
    from transship.copy.run import copy_image

    manager = manager or _new_manager()
    trusted = _policy(policy, manager, insecure=insecure_policy)
    from_place = place(manager, source, "source", source_context, source_signatures)
    contexts = destination_contexts or [None] * len(destinations)
    to_places = [
        place(manager, text, "destination", context, destination_signatures)
        for text, context in zip(destinations, contexts, strict=True)
    ]
    return with_retries(
        lambda: copy_image(
            manager,
            from_place,
            to_places,
            policy=trusted,
            options=options or CopyOptions(),
            signers=signers,
            observer=on_event,
        ),
        retries or Retries(),
        from_place.context.cancellation,
        from_place.context.warn,
    )


def sync(
    request: SyncRequest,
    *,
    policy: str | Policy | None = None,
    insecure_policy: bool = False,
    signers: Sequence[SharedSigner] = (),
    source_credentials: Credentials | None = None,
    destination_credentials: Credentials | None = None,
    observer: SyncObserver | None = None,
    warn: Callable[[str], None] = lambda message: None,
    cancellation: Cancellation | None = None,
    manager: PluginManager | None = None,
) -> SyncSummary:
    """Copy many images, those that are not at the destination yet; ``transship.sync.request`` says what can be asked.

    ``policy``, ``insecure_policy`` and ``signers`` are as in ``copy_to_all``. Where jobs run elsewhere, a path is one
    there, and a policy that is no file is refused. Credentials that are not given are looked for as always.
    Raises at the first image that fails; if the request says ``keep_going``, the summary tells how many did, and
    ``observer`` hears of each.
    """
    from dataclasses import replace

    from transship.plugin.cancellation import Cancellation
    from transship.sync.request import Secrets, run_sync
    from transship.sync.run import SyncObserver
    from transship.sync.sides import Workplace
    from transship.sync.sources import SilentLog

    manager = manager or _new_manager()
    secrets = Secrets()
    request = replace(
        request,
        source_side=replace(request.source_side, secret=secrets.add(source_credentials)),
        destination_side=replace(request.destination_side, secret=secrets.add(destination_credentials)),
        elsewhere=replace(
            request.elsewhere,
            policy=policy if isinstance(policy, str) else request.elsewhere.policy,
            insecure_policy=insecure_policy or request.elsewhere.insecure_policy,
        ),
    )
    if not isinstance(policy, str | None) and manager.executor(request.executor).runs_elsewhere:
        raise UnsupportedError(
            f"the executor {request.executor!r} runs jobs elsewhere: name the path that the policy has there"
        )
    workplace = Workplace(
        manager,
        _policy(policy, manager, insecure=insecure_policy),
        Cancellation(parent=cancellation),
        warn=warn,
        secrets=secrets,
        signers=signers,
    )
    try:
        return run_sync(request, workplace, secrets, SilentLog(), observer or SyncObserver())
    finally:
        workplace.close()


def open_signer(
    key: str,
    *,
    mechanism: str = "openpgp",
    method: str = "",
    passphrase: bytes | None = None,
    tell: Callable[[str], None] | None = None,
    cancellation: Cancellation | None = None,
    manager: PluginManager | None = None,
) -> SharedSigner:
    """Make ready to sign with ``key``: of ``openpgp`` what names a secret key to gpg, of ``sigstore`` a file.

    ``method`` is one of the mechanism's ways to sign, ``""``: its first. Use it in a ``with`` block, or close it.
    ``tell`` shows the user a line, such as an address to log in at; None: nobody is there. ``cancellation`` ends
    waiting for a login or a server.
    """
    from transship.copy import signers
    from transship.plugin.mechanism import tell_nobody

    return signers.open_signer(
        manager or _new_manager(),
        mechanism,
        key,
        method=method,
        passphrase=passphrase,
        tell=tell or tell_nobody,
        cancellation=cancellation,
    )


def verify(
    image: str,
    *,
    policy: str | Policy | None = None,
    platform: PlatformRequest | None = None,
    all_instances: bool = False,
    require_signed: bool = False,
    signatures: str = "",
    context: Context | None = None,
    retries: Retries | None = None,
    manager: PluginManager | None = None,
) -> list[JudgedImage]:
    """What the policy makes of ``image``, without copying it: accepted if the verdict on all in the answer is.

    Of an index that is the instance for ``platform``, with ``all_instances`` each one. ``policy`` and ``signatures``
    are as in ``copy_to_all``. An image that is refused raises nothing; one that cannot be read does.
    """
    from transship.verification import verify_image

    manager = manager or _new_manager()
    trusted = _policy(policy, manager)
    found = place(manager, image, "source", context, signatures)
    return with_retries(
        lambda: verify_image(
            found,
            trusted,
            platform=platform or PlatformRequest(),
            all_instances=all_instances,
            require_signed=require_signed,
        ),
        retries or Retries(),
        found.context.cancellation,
        found.context.warn,
    )


def inspect(
    image: str,
    *,
    platform: PlatformRequest | None = None,
    with_tags: bool = False,
    context: Context | None = None,
    retries: Retries | None = None,
    manager: PluginManager | None = None,
) -> InspectedImage:
    """Manifest and config of an image; of an index, of the instance for ``platform``. No policy applies."""
    manager = manager or _new_manager()
    found = place(manager, image, "source", context)
    return with_retries(
        lambda: inspect_image(
            found.transport, found.reference, found.context, platform or PlatformRequest(), with_tags=with_tags
        ),
        retries or Retries(),
        found.context.cancellation,
        found.context.warn,
    )


def tree(
    image: str,
    *,
    platforms: Sequence[Platform] = (),
    referrers: bool = True,
    limit: int = 200,
    context: Context | None = None,
    retries: Retries | None = None,
    manager: PluginManager | None = None,
) -> Part:
    """What an image is made of: the members of an index, layers, sizes, and with ``referrers`` what refers to it.

    ``platforms``: only these members of an index, none: all. At most ``limit`` manifests are read, and their configs;
    no layer is. What is broken further inside is the ``problem`` of a part. No policy applies, and no signature is
    verified.
    """
    from transship.anatomy.survey import SurveyOptions, survey_image

    found = place(manager or _new_manager(), image, "source", context)
    options = SurveyOptions(tuple(platforms), referrers, limit)
    return with_retries(
        lambda: survey_image(found, options),
        retries or Retries(),
        found.context.cancellation,
        found.context.warn,
    )


def diff(
    first: str,
    second: str,
    *,
    platforms: Sequence[Platform] = (),
    limit: int = 200,
    first_context: Context | None = None,
    second_context: Context | None = None,
    retries: Retries | None = None,
    manager: PluginManager | None = None,
) -> Difference:
    """How two images differ in layers, configs and manifests; members of two indexes are compared by platform.

    Arguments are as of ``tree``, by which both are read. Raises ``UnsupportedError`` if one is an index that has no
    member for the other's platform.
    """
    from transship.anatomy.difference import compare

    manager = manager or _new_manager()
    read = [
        tree(
            image,
            platforms=platforms,
            referrers=False,
            limit=limit,
            context=context,
            retries=retries,
            manager=manager,
        )
        for image, context in ((first, first_context), (second, second_context))
    ]
    return compare(*read, is_selection=bool(platforms))


def raw_manifest(
    image: str,
    *,
    context: Context | None = None,
    retries: Retries | None = None,
    manager: PluginManager | None = None,
) -> bytes:
    """The manifest or index that ``image`` names, byte for byte."""
    manager = manager or _new_manager()
    found = place(manager, image, "source", context)
    return with_retries(
        lambda: read_raw(found.transport, found.reference, found.context),
        retries or Retries(),
        found.context.cancellation,
        found.context.warn,
    )


def list_tags(
    repository: str,
    *,
    context: Context | None = None,
    retries: Retries | None = None,
    manager: PluginManager | None = None,
) -> TagList:
    """The tags of a place, such as ``docker-archive:app.tar``, in stored order."""
    manager = manager or _new_manager()
    used = context or make_context(manager)
    return with_retries(
        lambda: list_place(manager, repository, used), retries or Retries(), used.cancellation, used.warn
    )


def tag_digests(
    repository: str,
    *,
    context: Context | None = None,
    retries: Retries | None = None,
    manager: PluginManager | None = None,
) -> TagDigests:
    """As ``list_tags``, and what each tag names; raise ``UnsupportedError`` where that is not known."""
    manager = manager or _new_manager()
    used = context or make_context(manager)
    return with_retries(
        lambda: list_digests(manager, repository, used), retries or Retries(), used.cancellation, used.warn
    )


def delete(
    image: str,
    *,
    tag_only: bool = False,
    context: Context | None = None,
    retries: Retries | None = None,
    manager: PluginManager | None = None,
) -> None:
    """Delete an image, or its tag alone; raise ``UnsupportedError`` where the transport cannot."""
    manager = manager or _new_manager()
    found = place(manager, image, "source", context)
    remove = delete_tag if tag_only else delete_image
    with_retries(
        lambda: remove(found.transport, found.reference, found.context),
        retries or Retries(),
        found.context.cancellation,
        found.context.warn,
    )


def _new_manager() -> PluginManager:
    manager = PluginManager()
    for error in manager.load_extensions():
        warnings.warn(str(error), RuntimeWarning, stacklevel=3)
    return manager


def _policy(policy: str | Policy | None, manager: PluginManager, *, insecure: bool = False) -> Policy:
    from transship.policy.document import ACCEPT_ALL
    from transship.policy.files import load_policy

    if insecure:
        return ACCEPT_ALL
    return load_policy(policy, manager) if isinstance(policy, str | None) else policy
