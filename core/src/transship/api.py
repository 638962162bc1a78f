"""transship for programs: copy, inspect, list tags and delete as plain functions.

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
from transship.deletion import delete_image
from transship.discovery import PluginManager
from transship.image.platform import Platform, PlatformRequest
from transship.inspection import InspectedImage, inspect_image, read_raw
from transship.places import make_context, place
from transship.plugin.context import Context
from transship.plugin.transport import TagList
from transship.retry import Retries, with_retries
from transship.tags import list_place

if TYPE_CHECKING:
    from transship.plugin.events import Event
    from transship.policy.document import Policy

__all__ = [
    "CopyOptions",
    "CopyResult",
    "InspectedImage",
    "MultiArch",
    "Platform",
    "PlatformRequest",
    "PluginManager",
    "Retries",
    "TagList",
    "copy",
    "copy_to_all",
    "delete",
    "inspect",
    "list_tags",
    "make_context",
    "raw_manifest",
]


def copy(
    source: str,
    destination: str,
    *,
    options: CopyOptions | None = None,
    policy: str | Policy | None = None,
    insecure_policy: bool = False,
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
    source_context: Context | None = None,
    destination_contexts: Sequence[Context | None] | None = None,
    retries: Retries | None = None,
    manager: PluginManager | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> list[CopyResult]:
    """Copy one image to several destinations, reading each of its blobs once; the results are in their order.

    ``policy`` is a trust policy or the path of one; None: the user's or the system's. ``insecure_policy`` accepts any
    image. ``on_event`` is called with ``transship.plugin.events``, from several threads.
    """
    # What only a copy needs is heavy, and the other functions start faster without it.
    from transship.copy.run import copy_image
    from transship.policy.evaluation import require_valid_scopes

    manager = manager or _new_manager()
    trusted = _policy(policy, insecure=insecure_policy)
    from_place = place(manager, source, "source", source_context)
    require_valid_scopes(trusted, from_place.transport)
    contexts = destination_contexts or [None] * len(destinations)
    to_places = [
        place(manager, text, "destination", context) for text, context in zip(destinations, contexts, strict=True)
    ]
    return with_retries(
        lambda: copy_image(
            manager, from_place, to_places, policy=trusted, options=options or CopyOptions(), observer=on_event
        ),
        retries or Retries(),
        from_place.context.cancellation,
        from_place.context.warn,
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


def delete(
    image: str,
    *,
    context: Context | None = None,
    retries: Retries | None = None,
    manager: PluginManager | None = None,
) -> None:
    """Delete an image; raise ``UnsupportedError`` where the transport cannot."""
    manager = manager or _new_manager()
    found = place(manager, image, "source", context)
    with_retries(
        lambda: delete_image(found.transport, found.reference, found.context),
        retries or Retries(),
        found.context.cancellation,
        found.context.warn,
    )


def _new_manager() -> PluginManager:
    manager = PluginManager()
    for error in manager.load_extensions():
        warnings.warn(str(error), RuntimeWarning, stacklevel=3)
    return manager


def _policy(policy: str | Policy | None, *, insecure: bool) -> Policy:
    from transship.policy.document import ACCEPT_ALL
    from transship.policy.files import load_policy

    if insecure:
        return ACCEPT_ALL
    return load_policy(policy) if isinstance(policy, str | None) else policy
