"""When images were created, as their configs say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from transship.image.platform import PlatformRequest
from transship.inspection import inspect_image
from transship.places import Place
from transship.retry import Retries, with_retries

_PARALLEL = 8
_FRACTION = re.compile(r"(\.[0-9]{6})[0-9]+")


def created_at(tags: Sequence[str], place_of: Callable[[str], Place], retries: Retries) -> dict[str, datetime]:
    """When the image of each tag was created; those that do not say are left out. Several are read at a time.

    Raises ``TransshipError`` if one cannot be read: to leave it out would be a guess.
    """
    known: dict[str, datetime] = {}
    with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="transship-created") as pool:
        for tag, created in zip(tags, pool.map(lambda tag: _created(place_of(tag), retries), tags), strict=True):
            if created is not None:
                known[tag] = created
    return known


def _created(place: Place, retries: Retries) -> datetime | None:
    image = with_retries(
        lambda: inspect_image(place.transport, place.reference, place.context, PlatformRequest()),
        retries,
        place.context.cancellation,
        place.context.warn,
    )
    return _parsed(image.config)


def _parsed(config: bytes | None) -> datetime | None:
    try:
        text = json.loads(config or b"{}").get("created")
        return datetime.fromisoformat(_FRACTION.sub(r"\1", text)) if isinstance(text, str) else None
    except (ValueError, AttributeError, RecursionError):
        return None
