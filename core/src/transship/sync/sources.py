"""What a sync reads: groups of images, found one group after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from transship.errors import InvalidReferenceError, TransshipError, UnsupportedError
from transship.image.reference import DockerReference
from transship.places import Place
from transship.plugin.transport import TagIterator, TagLister, Transport
from transship.retry import Retries, with_retries
from transship.sync.naming import SourceName, clean_path, folder_base, registry_base
from transship.sync.settings import SourceSettings
from transship.sync.sides import Side, Workplace

if TYPE_CHECKING:
    from transship.sync.document import RegistrySource, RepositorySource

_MANIFEST = "manifest.json"  # what marks an image in a tree of folders


class SyncLog(Protocol):
    """Where a sync says what it is doing."""

    def info(self, message: str, **fields: str) -> None:
        """Say what is going on."""

    def warning(self, message: str, **fields: str) -> None:
        """Say what should be known."""

    def error(self, message: str, **fields: str) -> None:
        """Say what failed while the rest goes on."""


class SilentLog:
    """Keeps everything to itself."""

    def info(self, message: str, **fields: str) -> None:
        """Nothing."""

    def warning(self, message: str, **fields: str) -> None:
        """Nothing."""

    def error(self, message: str, **fields: str) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class SourceImage:
    """One image: its reference as text, and its names for templates, in full, and without its path."""

    reference: str
    name: SourceName
    scoped_base: str
    base: str


@dataclass(frozen=True, slots=True)
class ImageGroup:
    """Images of one place, such as a repository. ``images`` are what ``describe`` makes one of.

    ``is_listing``: they are all that is wanted of what is there; else single images were named.
    """

    side: Side
    settings: SourceSettings
    images: Sequence[str]
    describe: Callable[[str], SourceImage]
    is_listing: bool = True

    def __iter__(self) -> Iterator[SourceImage]:
        return map(self.describe, self.images)


Load = Callable[[], ImageGroup]
"""Finds the images of one group; it may take long."""


@dataclass(frozen=True, slots=True)
class SourceReader:
    """Finds what to sync. ``side`` is how sources are opened, ``settings`` what is wanted of them."""

    workplace: Workplace
    log: SyncLog
    side: Side = field(default_factory=Side)
    settings: SourceSettings = field(default_factory=SourceSettings)
    retries: Retries = field(default_factory=Retries)

    def image_or_repository(self, text: str) -> Load:
        """What ``HOST/REPOSITORY[:TAG][@DIGEST]`` names."""
        named = _docker_reference(text)
        is_tagged = bool(named.tag or named.digest)
        self.log.info("Tag presence check", imagename=text, tagged=str(is_tagged).lower())
        if is_tagged:
            self._refuse_selection(text)
            return lambda: self._named_images([named], self.side, self.settings)
        return lambda: self._required(text, self._repository(named, self.side, self.settings))

    def folders(self, text: str) -> Load:
        """The images in folders at and below ``text``."""
        self._refuse_selection(text)
        try:
            os.stat(text)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise TransshipError(f"Invalid source directory specified: stat {text}: {reason}") from error

        def describe(path: str) -> SourceImage:
            bases = [folder_base(text, path, scoped=scoped) for scoped in (True, False)]
            return SourceImage(f"dir:{path}", SourceName.of_folder(bases[0]), *bases)

        return lambda: self._required(text, ImageGroup(self.side, self.settings, list(_image_folders(text)), describe))

    def place(self, transport_name: str, text: str) -> Load:
        """All named images in the place ``text`` of any transport that lists what is in it."""
        transport = self.workplace.manager.transport(transport_name)
        if not isinstance(transport, TagLister):
            raise UnsupportedError(f'sync from "{transport_name}" needs a transport that lists images')
        path = text.rstrip(":")

        def describe(tag: str) -> SourceImage:
            name, base = _names_in_place(path, tag)
            return SourceImage(f"{transport_name}:{path}:{tag}", name, base, base.rpartition("/")[2])

        def load() -> ImageGroup:
            tags = self._tags(transport, text, self.side, self.settings, lambda tag: describe(tag).reference)
            return self._required(text, ImageGroup(self.side, self.settings, tags, describe))

        return load

    def document(self, sources: Iterable[tuple[RegistrySource, Side]]) -> Iterator[Load]:
        """What a sync document names, each registry opened as its side says."""
        for source, side in sources:
            for repository in source.repositories:
                yield self._section(source, repository, side)

    def _section(self, source: RegistrySource, section: RepositorySource, side: Side) -> Load:
        settings = section.settings.over(self.settings)
        fields = {"registry": source.registry, "repo": _within(section.repository, source.registry)}

        def load() -> ImageGroup:
            self.log.info("Processing repo", **fields)
            if section.images:
                return self._named_images(section.images, side, settings)
            self.log.info("Querying registry for image tags", **fields)
            try:
                group = self._repository(section.repository, side, settings)
            except TransshipError as error:
                self.log.error("Error processing repo, skipping", **fields)
                raise SkippedGroupError(str(error)) from error
            for pattern in settings.include or ():
                self.log.info(f"Start filtering using the regular expression: {pattern}", **fields)
            if settings.semver:
                self.log.info(f"Start filtering using the semver constraint: {settings.semver}", **fields)
            if not group.images:
                self.log.warning("No refs to sync found", **fields)
            return group

        return load

    def _repository(self, named: DockerReference, side: Side, settings: SourceSettings) -> ImageGroup:
        self.log.info("Getting tags", image=named.name)
        transport = self.workplace.manager.transport("docker")
        prefix = f"docker://{named.familiar_name}:"
        try:
            tags = self._tags(transport, f"//{named.name}", side, settings, lambda tag: prefix + tag)
        except UnsupportedError:
            raise
        except (TransshipError, OSError) as error:
            raise TransshipError(f"Error determining repository tags for repo {named.name}: {error}") from error
        return ImageGroup(
            side, settings, tags, lambda tag: _in_registry(DockerReference(named.domain, named.path, tag))
        )

    def _named_images(self, images: Sequence[DockerReference], side: Side, settings: SourceSettings) -> ImageGroup:
        return ImageGroup(side, settings, [str(image) for image in images], _described, is_listing=False)

    def _tags(
        self,
        transport: Transport,
        text: str,
        side: Side,
        settings: SourceSettings,
        reference_of: Callable[[str], str],
    ) -> list[str]:
        """The tags that are wanted; the others are forgotten as they come."""
        context = self.workplace.context("source", side)
        selection = settings.selection

        def listed() -> list[str]:
            place = transport.parse_place(text)  # type: ignore[attr-defined]  # a TagLister
            if isinstance(transport, TagIterator):
                with closing(transport.iterate_tags(place, context)) as tags:  # type: ignore[type-var]
                    return list(selection.candidates(tags))
            assert isinstance(transport, TagLister)  # noqa: S101 - the callers have made sure
            return list(selection.candidates(transport.list_tags(place, context).tags))

        candidates = with_retries(listed, self.retries, context.cancellation, context.warn)
        if not selection.needs_created:
            return candidates if selection.newest is None else selection.select(candidates)

        from transship.sync.creation import created_at  # hardly any run wants to know

        def place_of(tag: str) -> Place:
            return Place(*self.workplace.manager.parse_reference(reference_of(tag)), context)

        return selection.select(
            candidates, created_at(candidates, place_of, self.retries, self.workplace.creation_cache).get
        )

    def _required(self, text: str, group: ImageGroup) -> ImageGroup:
        if not group.images:
            raise TransshipError(f'No images to sync found in "{text}"')
        return group

    def _refuse_selection(self, text: str) -> None:
        if not self.settings.selection.is_everything:
            raise UnsupportedError(f"tags can only be chosen of what lists its tags, not of {text}")


class SkippedGroupError(TransshipError):
    """The images of one group could not be found; the others go on."""


def _docker_reference(text: str) -> DockerReference:
    try:
        return DockerReference.parse(text)
    except InvalidReferenceError as error:
        raise InvalidReferenceError(
            f'Cannot obtain a valid image reference for transport "docker" and reference "{text}": {error}'
        ) from error


def _described(text: str) -> SourceImage:
    return _in_registry(DockerReference.parse(text))


def _in_registry(image: DockerReference) -> SourceImage:
    suffix = str(image).removeprefix(image.name)
    return SourceImage(
        f"docker://{image.familiar_name}{suffix}",
        SourceName.of_reference(image),
        registry_base(image, scoped=True),
        registry_base(image, scoped=False),
    )


def _within(repository: DockerReference, registry: str) -> str:
    """The repository as the document names it below ``registry``."""
    return repository.familiar_name.removeprefix(f"{registry}/")


def _names_in_place(path: str, tag: str) -> tuple[SourceName, str]:
    """What an image is called that a layout or an archive calls ``tag``: that, if it is a whole name already."""
    if "/" in tag or ":" in tag:
        try:
            named = DockerReference.parse(tag)
            return SourceName.of_reference(named), registry_base(named, scoped=True)
        except InvalidReferenceError:
            return SourceName("", "", tag), tag
    folder = clean_path(path).rpartition("/")[2]
    return SourceName("", folder, tag), f"{folder}:{tag}"


def _image_folders(root: str) -> Iterator[str]:
    """The folders at and below ``root`` with an image, in order; links are not followed.

    What sorts after the manifest in its folder is left out, as Skopeo does.
    """
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        below: list[str] = []
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: os.fsencode(entry.name))
        is_image = False
        for entry in ordered:
            if entry.name == _MANIFEST:
                is_image = not entry.is_dir(follow_symlinks=False)
                break
            if entry.is_dir(follow_symlinks=False):
                below.append(entry.path)
        if is_image:
            yield clean_path(folder)
        waiting += reversed(below)
