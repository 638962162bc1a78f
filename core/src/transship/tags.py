"""Listing what one place holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from transship.discovery import PluginManager
from transship.errors import InvalidReferenceError, TransshipError, UnsupportedError
from transship.places import require_known
from transship.plugin.context import Context
from transship.plugin.transport import DigestLister, TagDigests, TagList, TagLister, Transport


def list_place(manager: PluginManager, text: str, context: Context) -> TagList:
    """The tags of the place ``transport:rest``."""
    transport, rest = _transport(manager, text, context)
    if not isinstance(transport, TagLister):
        raise UnsupportedError(
            f"Unsupported transport '{transport.name}' for tag listing. Only supported: docker, docker-archive, oci"
        )
    place = transport.parse_place(rest)
    with _listing():
        return transport.list_tags(place, context)


def list_digests(manager: PluginManager, text: str, context: Context) -> TagDigests:
    """The tags of the place ``transport:rest``, and what they name."""
    transport, rest = _transport(manager, text, context)
    if not isinstance(transport, DigestLister):
        raise UnsupportedError(f"{transport.name}: does not tell the digests of its tags")
    place = transport.parse_place(rest)
    with _listing():
        return transport.list_digests(place, context)


def _transport(manager: PluginManager, text: str, context: Context) -> tuple[Transport, str]:
    name, colon, rest = text.partition(":")
    if not colon:
        raise InvalidReferenceError(f'Invalid "{text}": does not specify a transport')
    transport = manager.transport(name)
    require_known(transport, context.options, "source")
    return transport, rest


@contextmanager
def _listing() -> Iterator[None]:
    try:
        yield
    except (TransshipError, OSError) as error:
        raise TransshipError(f"Error listing repository tags: {error}") from error
