"""Listing what one place holds."""

from __future__ import annotations

from transship.discovery import PluginManager
from transship.errors import InvalidReferenceError, TransshipError, UnsupportedError
from transship.plugin.context import Context
from transship.plugin.transport import TagList, TagLister


def list_place(manager: PluginManager, text: str, context: Context) -> TagList:
    """The tags of the place ``transport:rest``."""
    name, colon, rest = text.partition(":")
    if not colon:
        raise InvalidReferenceError(f'Invalid "{text}": does not specify a transport')
    transport = manager.transport(name)
    if not isinstance(transport, TagLister):
        raise UnsupportedError(
            f"Unsupported transport '{name}' for tag listing. Only supported: docker, docker-archive, oci"
        )
    place = transport.parse_place(rest)
    try:
        return transport.list_tags(place, context)
    except (TransshipError, OSError) as error:
        raise TransshipError(f"Error listing repository tags: {error}") from error
