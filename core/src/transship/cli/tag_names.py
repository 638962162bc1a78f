"""The tags of a place: what shells offer, and what somebody may have meant who named one that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from transship.plugin.cancellation import Cancellation
from transship.plugin.transport import TagIterator, TagLister, Transport

if TYPE_CHECKING:
    from transship.discovery import PluginManager
    from transship.plugin.context import Context

_MOST = 1000
_PATIENCE = 2.0


def is_remote(transport: Transport, rest: str) -> bool:
    """Whether ``rest`` is somewhere in the network: it is a URL, or TLS means something to the transport."""
    return "://" in rest or any(option.name == "tls-verify" for option in transport.options)


def tags_of(transport: Transport, place: str, context: Context) -> list[str]:
    """The first tags of ``place``, none after a few seconds. Raises whatever goes wrong."""
    if not isinstance(transport, TagLister):
        return []
    context = replace(context, cancellation=Cancellation(_PATIENCE), warn=lambda message: None)
    reference = transport.parse_place(place)
    if isinstance(transport, TagIterator):
        return list(islice(transport.iterate_tags(reference, context), _MOST))
    return list(islice(transport.list_tags(reference, context).tags, _MOST))


def cuts(transport: Transport, rest: str) -> Iterator[tuple[str, str]]:
    """The ways to read ``rest`` as a place and a tag in it; of a registry only one, which names no other host."""
    if is_remote(transport, rest):
        place, _, tag = rest.rpartition(":")
        if "/" not in tag and "@" not in rest and place.strip("/"):
            yield place, tag
        return
    position = rest.rfind(":")
    while position > 0:
        yield rest[:position], rest[position + 1 :]
        position = rest.rfind(":", 0, position)


def near_images(manager: PluginManager, image: str, context: Context, *, may_connect: bool) -> list[str]:
    """The images beside ``image`` whose tags look like its own, which is not there. Nothing goes wrong here."""
    from transship.plugin.suggestion import near

    name, _, rest = image.partition(":")
    try:
        transport = manager.transport(name)
    except Exception:
        return []
    if is_remote(transport, rest) and not may_connect:
        return []
    for place, tag in cuts(transport, rest):
        try:
            tags = tags_of(transport, place, context)
        except Exception:  # noqa: S112 - the error that is being told is another one
            continue
        return [f"{name}:{place}:{each}" for each in near(tag, tags)] if tag not in tags else []
    return []
