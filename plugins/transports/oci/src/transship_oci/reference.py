"""References to OCI image layouts: ``PATH[:REF]``, ``PATH:@N``, and the policy scopes that paths give."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from transship.errors import InvalidReferenceError
from transship.plugin.transport import Reference

_COMPONENT = r"[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*"
_REF = re.compile(
    rf"{_COMPONENT}(?:/{_COMPONENT})*"
)  # OCI image-spec annotations.md, org.opencontainers.image.ref.name
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
_NAMELESS = re.compile(r"/proc/.*/(?:pipe|socket):\[[0-9]+\]")
_OPEN_FILES = "/dev/fd"


@dataclass(frozen=True, kw_only=True)
class OciReference(Reference):
    """An image in a layout. ``path`` is ``""`` for the current folder, ``tag`` is ``""`` where there is none.

    ``resolved`` is the path without any link. ``index`` is the position in ``index.json`` of ``@N``, None where there
    is none.
    """

    path: str
    resolved: str
    tag: str = ""
    index: int | None = None


def layout_reference(reference: Reference) -> OciReference:
    """What a transport of layouts parsed, with its own fields."""
    if not isinstance(reference, OciReference):
        raise TypeError(f"{reference} does not name an image in a layout")
    return reference


def parse_layout_reference(transport: str, text: str, *, takes_index: bool) -> OciReference:
    """Read ``PATH[:REF]`` and, if ``takes_index``, ``PATH:@N``; raise ``InvalidReferenceError``."""
    path, _, rest = text.partition(":")
    if not path or "\0" in path:
        raise InvalidReferenceError(f"Invalid path {path!r}")
    if takes_index and rest.startswith("@"):
        return _reference(transport, path, f"@{(index := _parse_index(rest[1:]))}", index=index)
    if rest and not _REF.fullmatch(rest):
        raise InvalidReferenceError(f"Invalid image {rest}")
    return _reference(transport, path, rest, tag=rest)


def _parse_index(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise InvalidReferenceError(f"Invalid source index @{text}: not an integer: {text!r}")
    if (index := int(text)) < 0:
        raise InvalidReferenceError(f"Invalid source index @{text}: must not be negative")
    return index


def _reference(transport: str, path: str, suffix: str, *, tag: str = "", index: int | None = None) -> OciReference:
    resolved = os.path.realpath(path)
    scopes = _scopes(resolved)
    return OciReference(
        transport=transport,
        text=f"{path}:{suffix}",
        path=path,
        resolved=resolved,
        tag=tag,
        index=index,
        policy_identity=scopes[0] if scopes else "",
        policy_namespaces=scopes,
    )


def _scopes(path: str) -> tuple[str, ...]:
    """A path without links and those above it; what has none is where processes have it open."""
    if _NAMELESS.fullmatch(path):
        path = _OPEN_FILES
    scopes = []
    while len(path) > 1:
        scopes.append(path)
        path = os.path.dirname(path)
    return tuple(scopes)


def parse_layout_place(transport: str, text: str) -> OciReference:
    """Read ``PATH`` or ``PATH:`` as a whole layout; raise ``InvalidReferenceError`` if it names one image."""
    reference = parse_layout_reference(transport, text, takes_index=True)
    if reference.tag or reference.index is not None:
        raise InvalidReferenceError(f"{reference} names one image; leave out what follows the path")
    return reference


def validate_layout_scope(scope: str) -> None:
    """Accept an absolute, clean path other than ``/``. The images of one layout are not told apart."""
    path, colon, _ = scope.partition(":")
    if colon:
        raise InvalidReferenceError(f"Invalid scope {scope}: must name a whole layout, perhaps try with path {path}")
    if not path.startswith("/"):
        raise InvalidReferenceError(f"Invalid scope {scope}: must be an absolute path")
    if path == "/":
        raise InvalidReferenceError(f'Invalid scope {scope}: Use the generic default scope ""')
    clean = "/" + os.path.normpath(path).lstrip("/")
    if clean != path:
        raise InvalidReferenceError(
            f"Invalid scope {scope}: Uses non-canonical path format, perhaps try with path {clean}"
        )
