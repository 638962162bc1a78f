"""Where the images of a sync go, and what they are called there."""

from __future__ import annotations

from dataclasses import dataclass

from transship.discovery import PluginManager
from transship.errors import InvalidReferenceError, TransshipError
from transship.sync.naming import ClaimedNames, NameTemplate, destination_name
from transship.sync.settings import SourceSettings
from transship.sync.sources import SourceImage

_WITH_PATHS = {"docker": "//", "dir": ""}
"""Transports whose names are paths below the destination; those of others are names in one place."""


@dataclass(frozen=True, slots=True)
class SyncDestination:
    """The place ``text`` of a transport, such as a registry, with or without part of a path, or a folder."""

    manager: PluginManager
    transport: str
    text: str
    claimed: ClaimedNames

    @classmethod
    def of(cls, manager: PluginManager, transport: str, text: str) -> SyncDestination:
        """A destination at which no name is taken yet."""
        return cls(manager, transport, text, ClaimedNames(nested=transport == "dir"))

    @property
    def layout(self) -> str:
        """The one place in which all images get names, ``""`` where their names are paths."""
        return "" if self.transport in _WITH_PATHS else self.text.rstrip(":")

    def reference_for(self, image: SourceImage, settings: SourceSettings) -> str:
        """What ``image`` is called there, in full; raises ``TransshipError`` if it cannot be called so."""
        suffix = settings.append_suffix or ""
        if settings.dest_name is not None:
            base = NameTemplate(settings.dest_name).fill(image.name)
        else:
            base = image.scoped_base if settings.scoped else image.base
        if self.transport not in _WITH_PATHS:
            return self._valid(f"{self.transport}:{self.layout}:", destination_name("", base, suffix))
        name = destination_name(self.text, base, suffix)
        return self._valid(f"{self.transport}:{_WITH_PATHS[self.transport]}", name)

    def _valid(self, prefix: str, name: str) -> str:
        reference = prefix + name
        if self.transport == "dir":  # whether its parents exist is seen to when it is written
            return reference
        try:
            return str(self.manager.parse_reference(reference)[1])
        except InvalidReferenceError as error:
            raise InvalidReferenceError(
                f'Cannot obtain a valid image reference for transport "{self.transport}" and reference '
                f'"{reference.partition(":")[2]}": {error}'
            ) from error

    def claim(self, reference: str, image: SourceImage) -> bool:
        """Give ``image`` this name; False if it has it already, as it was named or listed before.

        Raises ``TransshipError`` if another image of this run has it.
        """
        if self.claimed.has(reference, image.reference):
            return False
        holder = self.claimed.claim(reference, image.reference)
        if holder is not None:
            raise TransshipError(
                f"{image.reference} and {holder} would both become {reference}: tell them apart with --scoped, "
                "--dest-name or --append-suffix"
            )
        return True
