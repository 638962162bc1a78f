"""References to images in docker archives: ``PATH``, ``PATH:REFERENCE`` and ``PATH:@N``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from transship.errors import InvalidReferenceError
from transship.image.reference import DockerReference
from transship.plugin.transport import Reference

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")


@dataclass(frozen=True, kw_only=True)
class DockerArchiveReference(Reference):
    """An image in an archive. ``index`` is the N of ``@N``, None where there is none."""

    path: str
    index: int | None = None


def parse_docker_archive_reference(text: str) -> DockerArchiveReference:
    """Read what follows ``docker-archive:``; the tag ``latest`` is added to a name without one."""
    if not text or "\0" in text:
        raise InvalidReferenceError(f"docker-archive reference {text} isn't of the form <path>[:<reference>]")
    path, colon, rest = text.partition(":")
    if not colon:
        return DockerArchiveReference(transport="docker-archive", text=path, path=path)
    if rest.startswith("@"):
        index = _parse_index(rest[1:])
        return DockerArchiveReference(transport="docker-archive", text=f"{path}:@{index}", path=path, index=index)
    named = _parse_named(rest)
    return DockerArchiveReference(transport="docker-archive", text=f"{path}:{named}", path=path, named=named)


def _parse_index(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise InvalidReferenceError(f"Invalid source index @{text}: invalid syntax")
    if int(text) < 0:
        raise InvalidReferenceError(f"Invalid source index @{text}: must not be negative")
    return int(text)


def _parse_named(text: str) -> DockerReference:
    try:
        named = DockerReference.parse(text).with_default_tag()
    except InvalidReferenceError as error:
        raise InvalidReferenceError(f"docker-archive parsing reference: {error}") from None
    if not named.tag:
        raise InvalidReferenceError(f"reference does not include a tag: {named}")
    if named.digest is not None:
        raise InvalidReferenceError(f"docker-archive: a reference with a digest names nothing here: {named}")
    return named


def parse_additional_tags(text: str) -> tuple[DockerReference, ...]:
    """Read docker references separated by commas; each must have a tag."""
    return tuple(_parse_additional_tag(word) for word in text.split(",") if word)


def _parse_additional_tag(text: str) -> DockerReference:
    try:
        named = DockerReference.parse(text)
    except InvalidReferenceError as error:
        raise InvalidReferenceError(f"error parsing additional-tag '{text}': {error}") from None
    if not named.tag or named.digest is not None:
        raise InvalidReferenceError(f"additional-tag '{text}' must be a tagged reference")
    return named


def refuse_scope(scope: str) -> None:
    """A policy can say something about all docker archives only."""
    if scope:
        raise InvalidReferenceError('docker-archive: does not support any scopes except the default "" one')
