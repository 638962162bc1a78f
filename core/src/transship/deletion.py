"""Deleting an image."""

from __future__ import annotations

from transship.errors import UnsupportedError
from transship.plugin.context import Context
from transship.plugin.transport import Deleter, Reference, Transport


def delete_image(transport: Transport, reference: Reference, context: Context) -> None:
    """Delete what ``reference`` names; raise ``UnsupportedError`` where that cannot be done."""
    if not isinstance(transport, Deleter):
        name = "oci" if transport.name == "oci-archive" else transport.name
        raise UnsupportedError(f"Deleting images not implemented for {name}: images")
    transport.delete(reference, context)
