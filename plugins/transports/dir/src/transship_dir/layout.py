"""The names in a ``dir:`` folder, and the version file that marks it."""

from __future__ import annotations

import os
import re

from transship.errors import TransportError
from transship.image.digest import Digest
from transship.plugin.files import read_regular, reporting

MANIFEST = "manifest.json"
VERSION = "version"

_SIGNATURE = "signature-"
_NEWEST_VERSION = (1, 2)
_VERSION_LIMIT = 1024
_VERSION_SYNTAX = re.compile(r"Directory Transport Version: ([0-9]{1,9})\.([0-9]{1,9})\n?")


def blob_name(digest: Digest) -> str:
    """The file that holds a blob."""
    return digest.encoded if digest.algorithm == "sha256" else f"{digest.algorithm}-{digest.encoded}"


def manifest_name(instance: Digest | None) -> str:
    """The file that holds the primary manifest, or that of an instance."""
    return f"{blob_name(instance)}.{MANIFEST}" if instance else MANIFEST


def signature_name(number: int, instance: Digest | None) -> str:
    """The file that holds a signature; they count from 1."""
    return f"{blob_name(instance)}.{_SIGNATURE}{number}" if instance else f"{_SIGNATURE}{number}"


def has_signatures(folder: str) -> bool:
    """Whether there is anything that looks like a signature of the image or of an instance; True if that is unknown."""
    try:
        with os.scandir(folder) as entries:
            return any(f"{_SIGNATURE}1" in entry.name for entry in entries)
    except OSError:
        return True


def version_content(*, only_sha256: bool) -> bytes:
    """What the version file of a new folder says."""
    return b"Directory Transport Version: %s\n" % (b"1.1" if only_sha256 else b"1.2")


def check_version(folder: str) -> None:
    """Raise ``TransportError`` for a folder whose version file is broken or newer than what is known here.

    Raises ``FileNotFoundError`` if there is none.
    """
    path = os.path.join(folder, VERSION)
    try:
        content = read_regular(path, _VERSION_LIMIT, within=folder or ".").decode("utf-8", "replace")
    except FileNotFoundError:
        raise
    except OSError:
        with reporting("open", path):
            raise
    match = _VERSION_SYNTAX.fullmatch(content)
    if match is None:
        raise TransportError(f"invalid version file content: {content[:140]!a}")
    if (int(match[1]), int(match[2])) > _NEWEST_VERSION:
        raise TransportError(f'unsupported directory transport version "{match[1]}.{match[2]}" at {folder or "."}')
