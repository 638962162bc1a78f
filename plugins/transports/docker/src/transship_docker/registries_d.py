"""registries.d: where signatures of images in registries are kept."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from transship.errors import TransportError
from transship.image.reference import DockerReference
from transship.plugin.files import home_folder
from transship_docker.configuration import is_gone, parse_yaml, per_user, read_file, reason, system_wide, user_id

_FOLDER = "registries.d"
_DEFAULT = "default-docker"
_ANYWHERE = ""
_READ_KEYS = ("lookaside", "sigstore")
_WRITE_KEYS = ("lookaside-staging", "sigstore-staging", *_READ_KEYS)
_ATTACHMENTS = "use-sigstore-attachments"
_SCHEMES = ("file", "http", "https")


class Lookaside(NamedTuple):
    """Where signatures beside a registry are, the repository's path included.

    To both URLs ``@ALGORITHM=HEX/signature-N`` is added, as text. They may be ``http(s)`` ones, ``write_url`` too.
    """

    read_url: str
    write_url: str


class SignatureStorage:
    """What the files of registries.d say."""

    def __init__(self, sections: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """``sections`` by namespace, the one for all others as ``""``."""
        self._sections = sections or {}

    @classmethod
    def load(cls, directory: str = "") -> SignatureStorage:
        """Read ``directory``, ``""``: the user's, else the system's. Raises ``TransportError`` for broken files."""
        folder = directory or _default_folder()
        sections: dict[str, Mapping[str, Any]] = {}
        origins: dict[str, str] = {}
        for path in _files(folder):
            for name, section in _read(path).items():
                if name in sections:
                    raise _defined_twice(name, origins[name], path)
                sections[name], origins[name] = section, path
        return cls(sections)

    def lookaside(self, reference: DockerReference) -> Lookaside:
        """Where simple signatures of ``reference`` are read and written. Raises ``TransportError`` for bad URLs."""
        return Lookaside(
            _url(self._first(reference, _READ_KEYS) or _builtin_store(), reference.path),
            _url(self._first(reference, _WRITE_KEYS) or _builtin_store(), reference.path),
        )

    def uses_attachments(self, reference: DockerReference) -> bool:
        """Whether sigstore signatures are attached to images in the registry."""
        return next((section[_ATTACHMENTS] for section in self._matching(reference) if _ATTACHMENTS in section), False)

    def _first(self, reference: DockerReference, keys: tuple[str, ...]) -> str:
        found = (section[key] for section in self._matching(reference) for key in keys if section.get(key))
        return next(found, "")

    def _matching(self, reference: DockerReference) -> Iterator[Mapping[str, Any]]:
        """The sections for ``reference``, most specific first."""
        for name in (*_identities(reference), *reference.policy_namespaces, _ANYWHERE):
            if name in self._sections:
                yield self._sections[name]


def _identities(reference: DockerReference) -> Iterator[str]:
    if reference.digest:
        yield f"{reference.name}@{reference.digest}"
    if reference.tag:
        yield f"{reference.name}:{reference.tag}"


def _default_folder() -> str:
    own = per_user(_FOLDER)
    return own if os.path.lexists(own) else system_wide(_FOLDER)


def _builtin_store() -> str:
    place = "/var/lib/containers/sigstore" if user_id() == 0 else f"{home_folder()}/.local/share/containers/sigstore"
    return f"file://{place}"


def _files(folder: str) -> list[str]:
    try:
        return [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".yaml")]
    except OSError as error:
        if is_gone(error, folder):
            return []
        raise TransportError(reason(error)) from error


def _read(path: str) -> dict[str, dict[str, Any]]:
    """The sections of one file."""
    try:
        data = read_file(path)
    except OSError as error:
        if is_gone(error, path):  # since the folder was read
            return {}
        raise TransportError(reason(error)) from error
    document = _mapping(parse_yaml(data, path), path, "the document")
    namespaces = _mapping(document.get("docker"), path, '"docker"')
    sections = {str(name): _section(section, path, str(name)) for name, section in namespaces.items() if name}
    if document.get(_DEFAULT) is not None:
        sections[_ANYWHERE] = _section(document[_DEFAULT], path, _DEFAULT)
    return sections


def _section(raw: Any, path: str, name: str) -> dict[str, Any]:
    section = _mapping(raw, path, f'"{name}"')
    known = {key: section[key] for key in (*_WRITE_KEYS, _ATTACHMENTS) if section.get(key) is not None}
    for key, value in known.items():
        kind = bool if key == _ATTACHMENTS else str
        if not isinstance(value, kind):
            raise TransportError(f'parsing {path}: "{key}" of "{name}" must be a {kind.__name__}')
    return known


def _mapping(value: Any, path: str, what: str) -> dict[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TransportError(f"parsing {path}: {what} must be a mapping")
    return value


def _defined_twice(name: str, first: str, second: str) -> TransportError:
    what = f'"docker" namespace "{name}"' if name else f'"{_DEFAULT}"'
    return TransportError(
        f'Error parsing signature storage configuration: {what} defined both in "{first}" and "{second}"'
    )


def _url(base: str, repository: str) -> str:
    try:
        parts = urlsplit(base)
        if parts.scheme in _SCHEMES:
            return urlunsplit(parts._replace(path=f"{parts.path}/{repository}"))
        why = "only file, http and https are supported"
    except ValueError as error:
        why = str(error)
    raise TransportError(f"Invalid signature storage URL {base}: {why}")
