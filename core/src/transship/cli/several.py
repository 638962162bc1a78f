"""Doing something with each of several images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from transship.cli.flags import UsageError
from transship.errors import CancelledError, DeadlineExceededError, TransshipError

if TYPE_CHECKING:
    from transship.cli.output import Log

_ENDS_ALL = (UsageError, CancelledError, DeadlineExceededError, BrokenPipeError)


def with_each(log: Log, images: Sequence[str], act: Callable[[str], None]) -> None:
    """Call ``act`` with each of ``images``, whatever becomes of the others.

    The failure of one among several is logged, and at the end there is a ``TransshipError`` that counts them.
    """
    if len(images) == 1:
        act(images[0])
        return
    failed = 0
    for image in images:
        try:
            act(image)
        except _ENDS_ALL:
            raise
        except (TransshipError, OSError) as error:
            failed += 1
            log.failure(error, image=image)
    if failed:
        raise TransshipError(f"{failed} of {len(images)} images failed")
