"""The transport ``dir``: one image in one flat folder."""

from __future__ import annotations

from collections.abc import Sequence

from transship import hookimpl
from transship.plugin.context import Context
from transship.plugin.transport import Reference, Transport, TransportOption
from transship_dir.destination import DirDestination
from transship_dir.reference import DirReference, parse_dir_reference, validate_path_scope
from transship_dir.source import DirSource


class DirTransport(Transport):
    """``dir:PATH``."""

    name = "dir"
    options: Sequence[TransportOption] = (
        TransportOption("compress", "Compress layers that are not compressed", "destination", "bool"),
        TransportOption("decompress", "Decompress layers", "destination", "bool"),
        TransportOption(
            "link",
            "Give blobs that are files on the same file system a second name instead of copying them; "
            "the two then share one fate",
            "destination",
            "bool",
        ),
    )

    def parse_reference(self, text: str) -> DirReference:
        return parse_dir_reference(text)

    def open_source(self, reference: Reference, context: Context) -> DirSource:
        assert isinstance(reference, DirReference)  # noqa: S101 - a transport is given its own references
        return DirSource(reference)

    def open_destination(self, reference: Reference, context: Context) -> DirDestination:
        assert isinstance(reference, DirReference)  # noqa: S101 - a transport is given its own references
        return DirDestination(reference, context)

    def validate_policy_scope(self, scope: str) -> None:
        validate_path_scope(scope)


@hookimpl
def transship_transports() -> list[Transport]:
    """The transport of this distribution."""
    return [DirTransport()]
