"""References: ``fsspec:URL[:TAG]``, or ``fsspec:zip://[FOLDER]::URL[:TAG]`` for a layout in an archive."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import NamedTuple

from transship.errors import InvalidReferenceError
from transship.plugin.transport import Reference

# Other names of the same file systems: a policy that speaks of one name must hold for the others.
_ALIASES = {
    "local": "file",
    "s3a": "s3",
    "ssh": "sftp",
    "gs": "gcs",
    "az": "abfs",
    "tosfs": "tos",
    "arrow_hdfs": "hdfs",
}
# What wraps another file system would hide from a policy what is really read.
_WRAPPERS = frozenset(
    [
        "async_wrapper",
        "asyncwrapper",
        "blockcache",
        "cached",
        "data",
        "dir",
        "filecache",
        "generic",
        "reference",
        "simplecache",
    ]
)
# Those whose first component is a host, maybe with a user and a port, and no bucket or folder.
_WITH_HOST = frozenset(["ftp", "hdfs", "http", "https", "sftp", "smb", "webdav", "webhdfs"])
_DEFAULT_PORTS = {"ftp": "21", "http": "80", "https": "443", "sftp": "22", "smb": "445"}
_URL = re.compile(r"([a-z][a-z0-9+._-]*)://(.*)", re.DOTALL)
_POSITION = re.compile(r"@(0|[1-9][0-9]{0,8})")


class Url(NamedTuple):
    """One URL of fsspec's, cut: ``scheme`` is never an alias, ``host`` is what stands before the first slash."""

    scheme: str
    host: str
    path: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}{self.path}"


class Place(NamedTuple):
    """Where a layout is: ``url``, or, if ``folder`` is not None, that folder of the zip archive ``url``."""

    url: Url
    folder: str | None = None

    def __str__(self) -> str:
        return str(self.url) if self.folder is None else f"zip://{self.folder}::{self.url}"


@dataclass(frozen=True, kw_only=True)
class FsspecReference(Reference):
    """An image at ``place``: the one called ``tag``, the one at ``position`` of its index, or the only one."""

    place: Place
    tag: str = ""
    position: int | None = None


def parse_reference(text: str) -> FsspecReference:
    """Read what follows ``fsspec:``. Errors never repeat the text: it may hold a password."""
    place, name = _parse(text)
    position = _POSITION.fullmatch(name)
    scopes = _scopes(place)
    identity = f"{scopes[0]}:{name}" if name else scopes[0]
    return FsspecReference(
        transport="fsspec",
        text=f"{place}:{name}" if name else str(place),
        policy_identity=identity,
        policy_namespaces=tuple(scope for scope in scopes if scope != identity),
        place=place,
        tag="" if position else name,
        position=int(position[1]) if position else None,
    )


def parse_place(text: str) -> FsspecReference:
    """Read what follows ``fsspec:`` as a layout, not as one of its images."""
    reference = parse_reference(text)
    if reference.tag or reference.position is not None:
        raise InvalidReferenceError("fsspec: a layout is wanted here, without a tag")
    return reference


def validate_scope(scope: str) -> None:
    """Raise ``InvalidReferenceError`` for a policy scope that no reference has."""
    whole = re.fullmatch(r"([a-z][a-z0-9+._-]*)://([a-z0-9._-]*(?::[0-9]+)?)", scope)
    if whole and whole[1] not in {*_ALIASES, *_WRAPPERS, "zip"} and (not whole[2] or whole[1] in _WITH_HOST):
        return  # everything of one scheme, or of one host
    reference = parse_reference(scope)
    if scope != reference.policy_identity:
        raise InvalidReferenceError(f"fsspec: a scope is written as {reference.policy_identity}")


def _parse(text: str) -> tuple[Place, str]:
    if not text.isprintable() or " " in text:
        raise InvalidReferenceError("fsspec: a URL has no blanks and no characters that do not print")
    *outer, last = text.split("::")
    if not outer:
        url, name = _parse_url(last)
        return Place(url), name
    if len(outer) > 1 or (outer[0] != "zip" and not outer[0].startswith("zip://")):
        raise InvalidReferenceError("fsspec: of chained URLs, only zip://[FOLDER]::URL is understood")
    folder = outer[0].removeprefix("zip").removeprefix("://").strip("/")
    if folder:
        _check_path(folder)
    url, name = _parse_url(last)
    return Place(url, folder), name


def _parse_url(text: str) -> tuple[Url, str]:
    if (match := _URL.fullmatch(text)) is None:
        raise InvalidReferenceError("fsspec: a URL such as s3://bucket/path:tag is wanted; paths are file:///path:tag")
    scheme = _ALIASES.get(match[1], match[1])
    if scheme in _WRAPPERS:
        raise InvalidReferenceError(f"fsspec: {scheme}:// stands for other file systems; name the one that is meant")
    if scheme == "zip":
        raise InvalidReferenceError("fsspec: name the archive: zip://::file:///path/of.zip:tag")
    host, slash, rest = match[2].partition("/")
    before, colon, after = host.partition(":")
    has_port = bool(slash) and scheme in _WITH_HOST and after.isdecimal()
    named = after + slash + rest
    if colon and "@" in (after if has_port else named) and not _POSITION.fullmatch(named):
        raise InvalidReferenceError(
            f"fsspec: {scheme}:// with a password in the URL is refused; put it into fsspec's own configuration"
        )
    if colon and not has_port:
        host, path, name = before, "", named
    else:
        path, colon, name = (slash + rest).partition(":")
    if colon and not name:
        raise InvalidReferenceError(f"fsspec: nothing follows the last colon of the {scheme}:// URL")
    path = path.rstrip("/")
    if scheme == "file":
        return _local(host, path or slash), name
    if scheme in _WITH_HOST and not (host and path):
        raise InvalidReferenceError(f"fsspec: {scheme}://HOST/PATH is wanted")
    if not host and not path:
        raise InvalidReferenceError(f"fsspec: {scheme}:// names no place")
    _check_path(path[1:] if scheme in _WITH_HOST or not host else host + path)
    return Url(scheme, host, path), name


def _local(host: str, path: str) -> Url:
    if not host and not path:
        raise InvalidReferenceError("fsspec: file:// names no folder")
    return Url("file", "", os.path.realpath(host + path))  # what a policy judges is what is opened


def _check_path(path: str) -> None:
    if any(part in {"", ".", ".."} for part in path.split("/")):
        raise InvalidReferenceError("fsspec: a path has no empty parts and no . or ..")
    if any(character in path for character in "*?[]#\\:"):
        raise InvalidReferenceError("fsspec: a path cannot contain any of * ? [ ] # \\ :")


def _scopes(place: Place) -> list[str]:
    """The scopes of a policy that cover a place, most specific first: it, what it is in, and its scheme."""
    url = place.url
    if url.scheme in _WITH_HOST:
        host = url.host.rpartition("@")[2].lower()
        url = url._replace(host=host.removesuffix(f":{_DEFAULT_PORTS.get(url.scheme)}"))
    scopes = [] if place.folder is None else [f"zip://{place.folder}::{url}"]
    path = url.path
    while path and path != "/":
        scopes.append(f"{url.scheme}://{url.host}{path}")
        path = path.rpartition("/")[0]
    if url.host:
        scopes.append(f"{url.scheme}://{url.host}")
    return [*scopes, f"{url.scheme}://"]
