"""Removing at the destination what the source no longer has."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field

from transship.errors import InvalidReferenceError, TransshipError, UnsupportedError
from transship.image.digest import Digest
from transship.places import Place, place
from transship.plugin.files import reporting, unused_name
from transship.plugin.transport import Deleter, DigestLister, TagDeleter, TagLister, Transport
from transship.sync.jobs import FOLDER_TRANSPORT
from transship.sync.run import SyncObserver, SyncSummary
from transship.sync.sides import Side, Workplace
from transship.sync.sources import ImageGroup, SourceImage

_IMAGE_FILES = ("manifest.json", "version")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, slots=True)
class TagPlace:
    """Where the tags of one repository are: the images there are called ``prefix``, a tag and ``suffix``.

    ``prefix`` is a reference as text as far as the colon before the tag. ``layout`` is what the transport calls the one
    place in which all images of a run get names, ``""`` where their names are paths.
    """

    prefix: str
    suffix: str = ""
    layout: str = ""

    @classmethod
    def of(cls, reference: str, tag: str, suffix: str, layout: str) -> TagPlace:
        """The place of an image that has the name ``tag`` there; raises ``UnsupportedError`` for other names."""
        ending = f":{tag}{suffix}"
        if not reference.endswith(ending):
            raise UnsupportedError(f"--prune needs names that end with the tag, unlike {reference}")
        return cls(reference.removesuffix(ending) + ":", suffix, layout)

    def holds(self, reference: str) -> bool:
        """Whether an image that is called so is one of this place: between prefix and suffix there is a tag."""
        if not (reference.startswith(self.prefix) and reference.endswith(self.suffix)):
            return False
        return bool(_TAG.fullmatch(reference, len(self.prefix), len(reference) - len(self.suffix)))


@dataclass(frozen=True, slots=True)
class Wanted:
    """The images that a run has, as references at the destination, and the places of those that were listed."""

    references: set[str] = field(default_factory=set)
    places: dict[TagPlace, None] = field(default_factory=dict)

    def add(self, reference: str, image: SourceImage, group: ImageGroup, layout: str) -> None:
        """Note an image that is copied; raises ``UnsupportedError`` for names that say nothing of their place.

        ``layout`` is as in ``TagPlace``.
        """
        self.references.add(reference)
        if group.is_listing:
            where = TagPlace.of(reference, image.name.tag, group.settings.append_suffix or "", layout)
            self.places[where] = None


class Pruner:
    """Removes the images of some places but for those that are wanted."""

    def __init__(self, workplace: Workplace, side: Side, wanted: Wanted) -> None:
        self._workplace = workplace
        self._context = workplace.context("destination", side)
        self._wanted = wanted

    def run(self, summary: SyncSummary, observer: SyncObserver, *, dry_run: bool, keep_going: bool) -> None:
        """Remove what is not wanted; ``dry_run``: only say so. Raises ``TransshipError`` unless ``keep_going``."""
        for where in self._wanted.places:
            try:
                unwanted = self.unwanted(where)
            except TransshipError as error:
                if not dry_run:
                    raise
                self._workplace.warn(f"Not known what would be removed at {where.prefix.removesuffix(':')}: {error}")
                continue
            for reference in unwanted:
                try:
                    if not dry_run:
                        self.remove(reference, where)
                except TransshipError as error:
                    observer.removed(reference, error)
                    summary.failed_removals += 1
                    if not keep_going:
                        raise TransshipError(f"Error removing {reference}: {error}") from error
                else:
                    observer.removed(reference, None)
                    summary.removed += 1

    def _is_unwanted(self, reference: str, where: TagPlace) -> bool:
        return where.holds(reference) and reference not in self._wanted.references

    def unwanted(self, where: TagPlace) -> list[str]:
        """The images of a place that are not wanted, as references; raises ``TransshipError``."""
        names = _folder_images(where) if _is_folder(where.prefix) else self._listed(where)
        return [name for name in names if self._is_unwanted(name, where)]

    def remove(self, reference: str, where: TagPlace) -> None:
        """Remove one of ``unwanted``; raises ``TransshipError``."""
        if _is_folder(reference):
            _remove_folder(reference.partition(":")[2])
            return
        found = place(self._workplace.manager, reference, "destination", self._context)
        transport = found.transport
        try:
            if not isinstance(transport, TagDeleter):
                raise UnsupportedError(f"{transport.name}: tags cannot be deleted alone")
            transport.delete_tag(found.reference, found.context)
        except UnsupportedError:
            self._remove_manifest(reference, found, where)

    def _remove_manifest(self, reference: str, found: Place, where: TagPlace) -> None:
        """Where tags cannot go alone, the manifest may, if nothing that stays is the same one."""
        transport = found.transport
        if not isinstance(transport, Deleter):
            raise UnsupportedError(f"Deleting images not implemented for {transport.name}: images")
        if isinstance(transport, DigestLister):
            digests = self._digests(transport, where)
            if reference not in digests:  # it went with another tag
                return
            digest = digests[reference]
            kept = [n for n, other in digests.items() if other == digest and not self._is_unwanted(n, where)]
            if kept:
                raise UnsupportedError(
                    f"{reference} cannot be deleted alone, and its manifest is that of {kept[0]} too"
                )
        transport.delete(found.reference, found.context)

    def _digests(self, transport: Transport, where: TagPlace) -> dict[str, Digest | None]:
        assert isinstance(transport, DigestLister)  # noqa: S101 - the caller has made sure
        assert isinstance(transport, TagLister)  # noqa: S101 - those who list digests list tags
        listed = transport.list_digests(transport.parse_place(_place_text(where)), self._context).digests
        return {self._name(where, tag): digest for tag, digest in listed.items() if digest is not None}

    def _listed(self, where: TagPlace) -> Iterator[str]:
        name = where.prefix.partition(":")[0]
        transport = self._workplace.manager.transport(name)
        if not isinstance(transport, TagLister):
            raise UnsupportedError(f"{name}: what is there cannot be listed, so nothing can be pruned")
        tags = transport.list_tags(transport.parse_place(_place_text(where)), self._context).tags
        return (self._name(where, tag) for tag in tags)

    def _name(self, where: TagPlace, tag: str) -> str:
        if not where.layout:
            return f"{where.prefix}{tag}"
        transport, _, _ = where.prefix.partition(":")
        try:
            return str(self._workplace.manager.parse_reference(f"{transport}:{where.layout}:{tag}")[1])
        except InvalidReferenceError:  # no run has given that name
            return f"{transport}:{where.layout}:{tag}"


def _place_text(where: TagPlace) -> str:
    """What the transport of ``where`` calls the repository, layout or archive."""
    return where.layout or where.prefix.partition(":")[2].removesuffix(":")


def _is_folder(reference: str) -> bool:
    return reference.startswith(f"{FOLDER_TRANSPORT}:")


def _folder_images(where: TagPlace) -> Iterator[str]:
    """Folders beside each other that hold images; nothing else is ever touched."""
    parent, begin = os.path.split(where.prefix.removeprefix(f"{FOLDER_TRANSPORT}:"))
    with reporting("open", parent), contextlib.suppress(FileNotFoundError), os.scandir(parent or ".") as entries:
        for entry in entries:
            path = os.path.join(parent, entry.name)
            if entry.name.startswith(begin) and entry.is_dir(follow_symlinks=False) and _is_image(path):
                yield f"{FOLDER_TRANSPORT}:{path}"


def _is_image(folder: str) -> bool:
    return all(os.path.isfile(os.path.join(folder, name)) for name in _IMAGE_FILES)


def _remove_folder(path: str) -> None:
    """Remove a folder that is an image; it is none any more as soon as that begins."""
    parent, name = os.path.split(path)
    doomed = unused_name(parent, name)
    try:
        os.rename(path, doomed)
        shutil.rmtree(doomed)
    except OSError as error:
        raise TransshipError(f"removing {path}: {(error.strerror or str(error)).lower()}") from error
