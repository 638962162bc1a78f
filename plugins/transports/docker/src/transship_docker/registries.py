"""registries.conf: where a reference is really read from, and what may not be used."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from transship.errors import InvalidReferenceError, TransportError
from transship.image.reference import DockerReference
from transship_docker.configuration import is_gone, per_user, read_file, reason, system_wide

AUTH_FILES = "containers-auth.json"
"""The word in ``credential-helpers`` that stands for the user's credential files."""

_FILE, _FOLDER = "registries.conf", "registries.conf.d"
_SHORT_NAME_MODES = ("enforcing", "permissive", "disabled")
_MIRROR_USES = ("", "all", "digest-only", "tag-only")
_V1_TABLES = ("search", "insecure", "block")

_Value = TypeVar("_Value")


class Endpoint(NamedTuple):
    """One place to ask for an image: ``reference`` is what it is called there.

    A mirror may itself be blocked: ``Registries.require_allowed`` says so when it is about to be asked.
    """

    reference: DockerReference
    insecure: bool
    is_mirror: bool


class _Mirror(NamedTuple):
    location: str
    insecure: bool
    used_for: str

    def serves(self, reference: DockerReference) -> bool:
        return self.used_for != ("tag-only" if reference.digest else "digest-only")


class _Table(NamedTuple):
    prefix: str
    location: str
    insecure: bool = False
    blocked: bool = False
    mirrors: tuple[_Mirror, ...] = ()
    mirror_by_digest_only: bool = False

    def match(self, text: str) -> int:
        """How many characters of ``text`` the prefix stands for, 0: it does not match."""
        if not self.prefix.startswith("*."):
            return len(self.prefix) if _continues(text, self.prefix, len(self.prefix)) else 0
        host = text.partition("/")[0].partition(":")[0].partition("@")[0]
        return len(host) if host.endswith(self.prefix[1:]) and len(host) >= len(self.prefix) else 0

    def places(self, reference: DockerReference) -> Iterator[_Mirror | None]:
        """The mirrors that serve ``reference``, then None for the location itself."""
        if reference.digest or not self.mirror_by_digest_only:
            yield from (mirror for mirror in self.mirrors if mirror.serves(reference))
        yield None


def _continues(text: str, prefix: str, length: int) -> bool:
    return text.startswith(prefix) and (len(text) == length or text[length] in "/:@")


class _Settings(NamedTuple):
    """What one file says, or several together; None: nothing."""

    tables: Mapping[str, _Table] = {}
    search: Sequence[str] | None = None
    helpers: Sequence[str] | None = None
    short_name_mode: str = ""
    aliases: Mapping[str, str] = {}

    def and_then(self, later: _Settings) -> _Settings:
        return _Settings(
            {**self.tables, **later.tables},
            self.search if later.search is None else later.search,
            self.helpers if later.helpers is None else later.helpers,
            later.short_name_mode or self.short_name_mode,
            {**self.aliases, **later.aliases},
        )


class Registries:
    """What registries.conf and its drop-ins say.

    ``credential_helpers`` are the stores of credentials in order; ``search`` are the registries for short names,
    ``aliases`` what some of those stand for: for tools that resolve short names, which image references never are.
    """

    def __init__(self, settings: _Settings, origin: str) -> None:
        self._tables = tuple(settings.tables.values())
        self._origin = origin
        self.credential_helpers = tuple(settings.helpers or (AUTH_FILES,))
        self.search = tuple(settings.search or ())
        self.short_name_mode = settings.short_name_mode or "permissive"
        self.aliases: Mapping[str, str] = {name: value for name, value in settings.aliases.items() if value}

    @classmethod
    def load(cls, path: str = "") -> Registries:
        """Read ``path``, ``""``: the file of the user, else of the system; then the drop-in folders.

        A default file that is missing says nothing. Raises ``TransportError`` for what is broken or unreadable.
        """
        file, folders = _places(path)
        settings = _Settings()
        try:
            settings = _parse(read_file(file, is_named=bool(path)))
        except FileNotFoundError as error:
            if path or not is_gone(error, file):
                raise TransportError(f'loading registries configuration "{file}": {reason(error)}') from None
        except (OSError, TransportError) as error:
            what = reason(error) if isinstance(error, OSError) else error
            raise TransportError(f'loading registries configuration "{file}": {what}') from None
        for drop_in in _drop_ins(folders):
            try:
                settings = settings.and_then(_parse(read_file(drop_in), drop_in=True))
            except (OSError, TransportError) as error:
                if is_gone(error, drop_in):
                    continue
                what = reason(error) if isinstance(error, OSError) else error
                raise TransportError(f'loading drop-in registries configuration "{drop_in}": {what}') from None
        return cls(settings, f"one of {', '.join((file, *folders))}")

    def endpoints(self, reference: DockerReference) -> list[Endpoint]:
        """Where to read ``reference``: mirrors in order, then the location itself.

        Raises ``TransportError`` if it is blocked, or if a rewritten reference is none.
        """
        table = self._table(str(reference))
        if table is None:
            return [Endpoint(reference, False, False)]
        self._refuse_blocked(table)
        return [_endpoint(table, mirror, reference) for mirror in table.places(reference)]

    def insecure(self, reference: DockerReference | str) -> bool:
        """Whether HTTP and unverified TLS are allowed for ``reference``, or for a ``host[:port][/path]``."""
        table = self._table(str(reference))
        return table is not None and table.insecure

    def require_allowed(self, reference: DockerReference | str) -> None:
        """Raise ``TransportError`` if ``reference``, or a ``host[:port][/path]``, is blocked."""
        table = self._table(str(reference))
        if table is not None:
            self._refuse_blocked(table)

    def _refuse_blocked(self, table: _Table) -> None:
        if table.blocked:
            raise TransportError(f"registry {table.prefix} is blocked in {self._origin}")

    def _table(self, text: str) -> _Table | None:
        matching = [table for table in self._tables if table.match(text)]
        return max(matching, key=lambda table: len(table.prefix), default=None)


def _endpoint(table: _Table, mirror: _Mirror | None, reference: DockerReference) -> Endpoint:
    location = mirror.location if mirror else table.location
    insecure = mirror.insecure if mirror else table.insecure
    text = str(reference)
    if location:
        text = location + text[table.match(text) :]
    try:
        return Endpoint(DockerReference.parse_canonical(text), insecure, mirror is not None)
    except InvalidReferenceError as error:
        raise TransportError(f"rewriting reference: {error}") from error


def _places(path: str) -> tuple[str, tuple[str, ...]]:
    """The file to read, and the folders of its drop-ins."""
    own = per_user(_FILE)
    if not path and os.path.lexists(own):
        return own, (per_user(_FOLDER),)
    return path or system_wide(_FILE), (system_wide(_FOLDER), per_user(_FOLDER))


def _drop_ins(folders: tuple[str, ...]) -> Iterator[str]:
    for folder in folders:
        try:
            with os.scandir(folder) as entries:
                found = [entry for entry in entries if entry.name.endswith(".conf")]
                names = sorted(entry.name for entry in found if not entry.is_dir(follow_symlinks=False))
        except NotADirectoryError:
            continue
        except OSError as error:
            if is_gone(error, folder):
                continue
            raise TransportError(f"loading drop-in registries configuration: {reason(error)}") from None
        yield from (os.path.join(folder, name) for name in names)


def _parse(data: bytes, *, drop_in: bool = False) -> _Settings:
    import tomllib  # many machines have no such file

    try:
        document = tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise TransportError(f"not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise TransportError("nested too deeply") from None
    except ValueError as error:
        raise TransportError(str(error)) from None
    # version 1 has one table "registries"
    if not isinstance(document.get("registries"), dict):
        return _parse_v2(document)
    if drop_in:
        raise TransportError("registry must be in v2 format but is in v1")
    if any(key in document for key in ("registry", "unqualified-search-registries", "credential-helpers", "aliases")):
        raise TransportError("mixing sysregistry v1/v2 is not supported")
    return _parse_v1(document["registries"])


def _parse_v1(document: dict[str, Any]) -> _Settings:
    search, insecure, blocked = (
        [_location(text) for text in _strings(_get(document, name, dict, {}), "registries") or []]
        for name in _V1_TABLES
    )
    tables = {
        location: _Table(location, location, insecure=location in insecure, blocked=location in blocked)
        for location in dict.fromkeys([*blocked, *insecure])
    }
    return _Settings(tables=tables, search=_checked_search(search))


def _parse_v2(document: dict[str, Any]) -> _Settings:
    tables = [_parse_table(raw) for raw in _tables(document, "registry")]
    _refuse_conflicts(tables)
    search = _strings(document, "unqualified-search-registries")
    helpers = _strings(document, "credential-helpers")
    mode = _get(document, "short-name-mode", str, "")
    if mode and mode not in _SHORT_NAME_MODES:
        raise TransportError(f'invalid short-name mode: "{mode}"')
    return _Settings(
        tables={table.prefix: table for table in reversed(tables)},  # of two with one prefix the first wins
        search=None if search is None else _checked_search([_location(text) for text in search]),
        helpers=helpers,
        short_name_mode=mode,
        aliases=_parse_aliases(_get(document, "aliases", dict, {})),
    )


def _parse_table(raw: dict[str, Any]) -> _Table:
    location = _location(_get(raw, "location", str, ""))
    prefix = _location(_get(raw, "prefix", str, "")) or location
    if not prefix:
        raise TransportError("invalid condition: both location and prefix are unset")
    if not location and not prefix.startswith("*."):
        raise TransportError("invalid condition: location is unset and prefix is not in the format: *.example.com")
    if prefix.startswith("*") and (not prefix.startswith("*.") or any(mark in prefix for mark in "/@:")):
        raise TransportError(
            f'Wildcarded prefix should be in the format: *.example.com. Current prefix "{prefix}" is incorrectly '
            "formatted"
        )
    if _get(raw, "pull-from-mirror", str, ""):
        raise TransportError(f'pull-from-mirror must not be set for a non-mirror registry "{prefix}"')
    table = _Table(
        prefix,
        location,
        _get(raw, "insecure", bool, False),
        _get(raw, "blocked", bool, False),
        tuple(_parse_mirror(mirror) for mirror in _tables(raw, "mirror")),
        _get(raw, "mirror-by-digest-only", bool, False),
    )
    for mirror in table.mirrors:
        if mirror.used_for and table.mirror_by_digest_only:
            raise TransportError(
                f'cannot set mirror usage mirror-by-digest-only for the registry ("{prefix}") and pull-from-mirror '
                f'for per-mirror ("{mirror.location}") at the same time'
            )
    return table


def _parse_mirror(raw: dict[str, Any]) -> _Mirror:
    location = _location(_get(raw, "location", str, ""))
    if not location:
        raise TransportError("invalid condition: mirror location is unset")
    used_for = _get(raw, "pull-from-mirror", str, "")
    if used_for not in _MIRROR_USES:
        raise TransportError(f'unsupported pull-from-mirror value "{used_for}" for mirror "{location}"')
    return _Mirror(location, _get(raw, "insecure", bool, False), used_for)


def _refuse_conflicts(tables: list[_Table]) -> None:
    first: dict[str, _Table] = {}
    for table in tables:
        other = first.setdefault(table.location or table.prefix, table)
        for setting in ("insecure", "blocked"):
            if getattr(table, setting) != getattr(other, setting):
                raise TransportError(
                    f"registry '{table.location}' is defined multiple times with conflicting '{setting}' setting"
                )


def _parse_aliases(raw: dict[str, Any]) -> dict[str, str]:
    return {name: _checked_alias(name, _get(raw, name, str, "")) for name in raw}


def _checked_alias(name: str, value: str) -> str:
    """The full name of the repository; ``""`` takes an alias of an earlier file away."""
    host, _, _ = name.rpartition("/")[0].partition("/")
    if _is_host(host) or any(mark in name for mark in ":@") or _parsed(f"x.invalid/{name}") is None:
        raise TransportError(f'invalid short name "{name}": it must have no registry, tag or digest')
    if not value:
        return ""
    host, _, path = value.partition("/")
    reference = _parsed(value)
    if reference is None or not _is_host(host) or any(mark in path for mark in ":@"):
        raise TransportError(f'invalid alias "{value}": must contain registry and repository, no tag or digest')
    return reference.name


def _is_host(text: str) -> bool:
    return text == "localhost" or "." in text or ":" in text


def _parsed(text: str) -> DockerReference | None:
    try:
        return DockerReference.parse(text)
    except InvalidReferenceError:
        return None


def _checked_search(registries: list[str]) -> list[str]:
    for registry in registries:
        try:
            DockerReference(registry, "any")
        except InvalidReferenceError:
            raise TransportError(f'Invalid unqualified-search-registries entry "{registry}"') from None
    return registries


def _location(text: str) -> str:
    text = text.rstrip("/")
    if text.startswith(("http://", "https://")):
        raise TransportError(f"invalid location '{text}': URI schemes are not supported")
    return text


def _get(raw: Mapping[str, Any], key: str, kind: type[_Value], default: _Value) -> _Value:
    value = raw.get(key, default)
    if not isinstance(value, kind):
        raise TransportError(f'"{key}": expected {kind.__name__}, found {type(value).__name__}')
    return value


def _tables(raw: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    return _members(raw, key, dict) or []


def _strings(raw: Mapping[str, Any], key: str) -> list[str] | None:
    return _members(raw, key, str)


def _members(raw: Mapping[str, Any], key: str, kind: type[_Value]) -> list[_Value] | None:
    if key not in raw:
        return None
    values: list[_Value] = []
    for value in _get(raw, key, list, []):
        if not isinstance(value, kind):
            raise TransportError(f'"{key}": expected members of type {kind.__name__}, found {type(value).__name__}')
        values.append(value)
    return values
