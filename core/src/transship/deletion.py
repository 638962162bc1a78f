"""Deleting an image, or a name of it."""

from __future__ import annotations

from transship.errors import UnsupportedError
from transship.plugin.context import Context
from transship.plugin.transport import Deleter, Reference, TagDeleter, Transport


def delete_image(transport: Transport, reference: Reference, context: Context) -> None:
    """Delete what ``reference`` names; raise ``UnsupportedError`` where that cannot be done."""
    if not isinstance(transport, Deleter):
        name = "oci" if transport.name == "oci-archive" else transport.name
        raise UnsupportedError(f"Deleting images not implemented for {name}: images")
    transport.delete(reference, context)


def delete_tag(transport: Transport, reference: Reference, context: Context) -> None:
    """Delete the name alone, never the image; raise ``UnsupportedError`` where that cannot be done."""
    if not isinstance(transport, TagDeleter):
        raise UnsupportedError(f"Deleting tags alone not implemented for {transport.name}: images")
    transport.delete_tag(reference, context)
