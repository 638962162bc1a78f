"""The transport ``dir``: one image in one flat folder."""

from __future__ import annotations

from collections.abc import Sequence

from transship import hookimpl
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest
from transship.plugin.context import Context
from transship.plugin.transport import ManifestIdentity, Reference, Transport, TransportOption
from transship_dir.destination import DirDestination
from transship_dir.layout import has_signatures
from transship_dir.reference import DirReference, parse_dir_reference, validate_path_scope
from transship_dir.siblings import SiblingBlobs
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

    def get_digest(
        self, reference: Reference, context: Context, *, instance: Digest | None = None, for_writing: bool = False
    ) -> ManifestIdentity | None:
        """The image in the folder; the blobs must be there, and are not read."""
        from transship_dir.inventory import complete_image  # only a sync asks

        assert isinstance(reference, DirReference)  # noqa: S101 - a transport is given its own references
        folder = reference.resolved if for_writing else reference.path or "."
        siblings = context.obtain("dir siblings", SiblingBlobs)

        def note(blob: Descriptor) -> None:
            siblings.note(blob.digest, folder, folder)

        return complete_image(folder, instance, note if for_writing else lambda blob: None)

    def may_be_signed(self, reference: Reference, context: Context) -> bool:
        """Whether there is any signature in the folder."""
        assert isinstance(reference, DirReference)  # noqa: S101 - a transport is given its own references
        return has_signatures(reference.path or ".")

    def validate_policy_scope(self, scope: str) -> None:
        validate_path_scope(scope)


@hookimpl
def transship_transports() -> list[Transport]:
    """The transport of this distribution."""
    return [DirTransport()]
