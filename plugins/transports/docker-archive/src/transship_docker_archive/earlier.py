"""An archive that is there already, to which an image is added."""

from __future__ import annotations

from typing import Any

from transship.errors import InvalidManifestError, TransportError, UnsupportedError
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest
from transship.image.strict_json import METADATA_LIMIT, load_json, load_json_object
from transship.plugin.blob import holds
from transship.plugin.context import Context
from transship.plugin.tar import clean_path
from transship.plugin.tar_writer import FileTarWriter
from transship_docker_archive.archive import Archive
from transship_docker_archive.legacy import REPOSITORIES_FILE
from transship_docker_archive.manifest_items import MANIFEST_FILE, MANIFEST_LIMIT, normalized_name

_OCI_FILES = ("oci-layout", "index.json")


class EarlierArchive:
    """The members of an archive, all kept but for the two files that list its images."""

    def __init__(self, path: str, context: Context) -> None:
        """Raises ``UnsupportedError`` for an archive that would not be what it was, and ``TransportError``."""
        self._archive = Archive(path, context)
        try:
            self._refuse_other_kinds()
            where = f"{path}: {MANIFEST_FILE}"
            self._items: list[dict[str, Any]] = load_json(self._archive.read(MANIFEST_FILE, MANIFEST_LIMIT), where)
            self.repositories = self._read_repositories()
        except BaseException:
            self.close()
            raise

    def copy_to(self, writer: FileTarWriter) -> None:
        """Write all members but the two."""
        start = end = 0
        for member in self._archive.index.members:
            is_kept = clean_path(member.name) not in (MANIFEST_FILE, REPOSITORIES_FILE)
            if is_kept and member.start == end:
                end = member.end
                continue
            writer.add_region(self._archive.file, start, end)
            start, end = (member.start, member.end) if is_kept else (member.end, member.end)
        writer.add_region(self._archive.file, start, end)

    def verified_blob(self, name: str, descriptor: Descriptor) -> Descriptor | None:
        """The descriptor of a blob in the file ``name``, None if it is not there or not what it should be."""
        content = self._archive.find(name)
        if content is None or descriptor.size not in (-1, content.size) or not holds(content, descriptor):
            return None
        return Descriptor(descriptor.media_type, descriptor.digest, content.size)

    def has_blob(self, name: str, digest: Digest) -> bool:
        """Whether there is a file ``name``; one with anything but the blob ``digest`` in it is refused."""
        if self._archive.find(name) is None:
            return False
        if self.verified_blob(name, Descriptor("", digest)) is None:
            raise self._other_content(name)
        return True

    def has_file(self, name: str, data: bytes) -> bool:
        """Whether there is a file ``name``; one with anything but ``data`` in it is refused."""
        if self._archive.find(name) is None:
            return False
        if self._archive.read(name, METADATA_LIMIT) != data:
            raise self._other_content(name)
        return True

    def items_with(self, item: dict[str, Any]) -> list[dict[str, Any]]:
        """The images of ``manifest.json`` and one more, whose names are taken from the others."""
        taken = set(item["RepoTags"])
        items, is_new = [], True
        for number, old in enumerate(self._items):
            tags = [tag for tag in old.get("RepoTags") or () if normalized_name(tag, number) not in taken]
            if is_new and (old.get("Config"), old.get("Layers")) == (item["Config"], item["Layers"]):
                tags += item["RepoTags"]
                is_new = False
            items.append({**old, "RepoTags": tags})
        return [*items, item] if is_new else items

    def close(self) -> None:
        """Release the file."""
        self._archive.close()

    def _refuse_other_kinds(self) -> None:
        path = self._archive.path
        if self._archive.is_unpacked:
            raise UnsupportedError(f"{path}: cannot append to a compressed archive")
        if any(self._archive.find(name) for name in _OCI_FILES):
            raise UnsupportedError(f"{path}: cannot append to an archive that is an OCI layout too")

    def _read_repositories(self) -> dict[str, Any]:
        if self._archive.find(REPOSITORIES_FILE) is None:
            return {}
        where = f"{self._archive.path}: {REPOSITORIES_FILE}"
        found = load_json_object(self._archive.read(REPOSITORIES_FILE, MANIFEST_LIMIT), where)
        if not all(isinstance(entry, dict) for entry in found.values()):
            raise InvalidManifestError(f"{where}: expected objects of tags")
        return found

    def _other_content(self, name: str) -> TransportError:
        return TransportError(f"{self._archive.path}: {name} is not what its name says")
