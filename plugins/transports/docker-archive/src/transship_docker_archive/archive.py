"""A docker archive, as it is read."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from transship.plugin.context import Context
from transship.plugin.files import reporting
from transship.plugin.tar import TarArchive, open_input
from transship_docker_archive.manifest_items import MANIFEST_FILE, MANIFEST_LIMIT, ManifestItem, parse_items


class Archive(TarArchive):
    """An archive's files, of which the first counts if two have one name, and the images that ``items`` lists."""

    def __init__(self, path: str, context: Context) -> None:
        """Raises ``TransportError`` for what is no archive of that kind."""
        with reporting(f'opening file "{path}": open', path):
            opened = open_input(path)
        super().__init__(opened, path, context, first_counts=True)
        try:
            self.items: tuple[ManifestItem, ...] = parse_items(
                self.read(MANIFEST_FILE, MANIFEST_LIMIT), f"{path}: {MANIFEST_FILE}"
            )
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
