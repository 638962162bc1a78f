"""The transport ``docker-archive``: tar files as ``docker save`` writes them."""

from __future__ import annotations

from collections.abc import Sequence

from transship import hookimpl
from transship.plugin.context import Context
from transship.plugin.transport import Reference, TagList, Transport, TransportOption
from transship_docker_archive.archive import Archive
from transship_docker_archive.destination import DockerArchiveDestination
from transship_docker_archive.reference import (
    DockerArchiveReference,
    parse_docker_archive_reference,
    refuse_scope,
)
from transship_docker_archive.source import DockerArchiveSource


class DockerArchiveTransport(Transport):
    """``docker-archive:PATH[:REFERENCE]`` and, for reading, ``docker-archive:PATH:@N``."""

    name = "docker-archive"
    options: Sequence[TransportOption] = (
        TransportOption("additional-tags", "Further names for the image, separated by commas", "destination"),
        TransportOption(
            "append",
            "Add the image to an archive that is there already; a name that is taken moves to the new image",
            "destination",
            "bool",
        ),
    )

    def parse_reference(self, text: str) -> DockerArchiveReference:
        return parse_docker_archive_reference(text)

    def open_source(self, reference: Reference, context: Context) -> DockerArchiveSource:
        assert isinstance(reference, DockerArchiveReference)  # noqa: S101 - a transport is given its own references
        return DockerArchiveSource(reference, context)

    def open_destination(self, reference: Reference, context: Context) -> DockerArchiveDestination:
        assert isinstance(reference, DockerArchiveReference)  # noqa: S101 - a transport is given its own references
        return DockerArchiveDestination(reference, context)

    def validate_policy_scope(self, scope: str) -> None:
        refuse_scope(scope)

    def parse_place(self, text: str) -> DockerArchiveReference:
        """Read ``PATH``; what follows it to name one image is accepted and makes no difference."""
        return parse_docker_archive_reference(text)

    def list_tags(self, place: Reference, context: Context) -> TagList:
        """The names of all images as they are stored, ``@N`` for an image that has none."""
        assert isinstance(place, DockerArchiveReference)  # noqa: S101 - a transport is given its own references
        with Archive(place.path, context) as archive:
            names = [name for number, item in enumerate(archive.items) for name in (item.repo_tags or (f"@{number}",))]
        return TagList("", names)


@hookimpl
def transship_transports() -> list[Transport]:
    """The transport of this distribution."""
    return [DockerArchiveTransport()]
