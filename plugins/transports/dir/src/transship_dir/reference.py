"""References to folders: ``dir:PATH``, and the policy scopes that they fall under."""

from __future__ import annotations

import os
from dataclasses import dataclass

from transship.errors import InvalidReferenceError
from transship.plugin.transport import Reference


@dataclass(frozen=True, kw_only=True)
class DirReference(Reference):
    """A folder.

    ``path`` is as the user wrote it, ``""`` for the current folder; ``resolved`` leads over no link.
    """

    path: str
    resolved: str


def parse_dir_reference(text: str) -> DirReference:
    """Read a path; raise ``InvalidReferenceError`` if more than its last component does not exist."""
    if "\0" in text:
        raise InvalidReferenceError(f"Invalid path {text!r}")
    resolved = _resolved(text)
    return DirReference(
        transport="dir",
        text=text,
        path=text,
        resolved=resolved,
        policy_identity=resolved if resolved != "/" else "",  # which the scope "" is for
        policy_namespaces=_parents(resolved),
    )


def _resolved(path: str) -> str:
    try:
        if os.path.lexists(path):
            return os.path.realpath(path, strict=True)
        parent, name = os.path.split(path.rstrip("/"))
        return os.path.normpath(os.path.join(os.path.realpath(parent, strict=True), name))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InvalidReferenceError(f"lstat {error.filename}: {reason}") from error


def _parents(path: str) -> tuple[str, ...]:
    parents = []
    while (path := os.path.dirname(path)) != "/":
        parents.append(path)
    return tuple(parents)


def validate_path_scope(scope: str) -> None:
    """Accept an absolute, clean path other than ``/``; raise ``InvalidReferenceError`` else."""
    if not scope.startswith("/"):
        raise InvalidReferenceError(f"Invalid scope {scope}: Must be an absolute path")
    if scope == "/":
        raise InvalidReferenceError(f'Invalid scope {scope}: Use the generic default scope ""')
    clean = "/" + os.path.normpath(scope).lstrip("/")
    if clean != scope:
        raise InvalidReferenceError(f"Invalid scope {scope}: Uses non-canonical format, perhaps try {clean}")
