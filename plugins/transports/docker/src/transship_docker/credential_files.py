"""auth.json and its relatives: what the user is called at registries, and how to prove it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from transship.errors import TransportError, TransshipError
from transship.image.strict_json import load_json_object
from transship.plugin.cancellation import Cancellation
from transship.plugin.credentials import Credentials
from transship.plugin.files import home_folder
from transship_docker.configuration import read_file, reason, user_id
from transship_docker.credential_helpers import CredentialHelper, MissingHelperError
from transship_docker.registries import AUTH_FILES

_AUTHS, _HELPERS, _STORE = "auths", "credHelpers", "credsStore"
_SECRET_MEMBERS = ("auth", "identitytoken", "registrytoken", "username", "password")
_DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")
_DOCKER_HUB_KEY = "https://index.docker.io/v1/"
_LOCK_TIMEOUT = 30.0
_LOCK_INTERVAL = 0.05

Warn = Callable[[str], None]


def _no_warning(message: str) -> None:
    return


class CredentialFile(NamedTuple):
    """A file with credentials. ``is_docker``: Docker reads it too; ``is_old``: the format before config.json.

    ``is_named``: the user named it, so that it may be a pipe.
    """

    path: str
    is_docker: bool = False
    is_old: bool = False
    is_named: bool = False

    def read(self) -> dict[str, Any]:
        """Its members, none if it does not exist. Raises ``TransshipError`` for what is broken or unreadable."""
        try:
            data = read_file(self.path, is_named=self.is_named)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise TransportError(reason(error)) from error
        document = load_json_object(data, f'unmarshaling JSON at "{self.path}"')
        return {_AUTHS: document} if self.is_old else document

    def entries(self, document: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """The entries by key."""
        entries = self._object(document, _AUTHS)
        return {key: self._object(entries, key) for key in entries}

    def helpers(self, document: dict[str, Any]) -> dict[str, str]:
        """The helpers by host."""
        helpers = self._object(document, _HELPERS)
        return {host: self._text(helpers, host) for host in helpers}

    def decode(self, key: str, entry: dict[str, Any], warn: Warn) -> Credentials | None:
        """What an entry holds. None: nothing."""
        import base64

        try:
            text = "".join(self._text(entry, "auth").split())
            decoded = base64.b64decode(text, validate=True).decode("utf-8")
        except ValueError:
            raise TransportError(f'"auth" of "{key}" in {self.path} is not text in base64') from None
        username, colon, password = decoded.partition(":")
        if not colon:
            if decoded:
                warn(f'Error parsing the "auth" field of a credential entry "{key}" in "{self.path}", missing colon')
            return None
        found = Credentials(username, password.strip("\0"), self._text(entry, "identitytoken"))
        return None if found == Credentials() else found

    def key(self, key: str) -> str:
        """What the entry ``key`` is called in this file."""
        if not self.is_docker:
            return key
        if "/" in key:
            raise TransportError(
                f'Credentials cannot be recorded in Docker-compatible format with namespaced key "{key}"'
            )
        return _DOCKER_HUB_KEY if key == "docker.io" else key

    def write(self, document: dict[str, Any]) -> None:
        """Let the file have these members, readable for the user alone. Call it while ``locked``."""
        import json

        from transship.plugin.files import names_open_file, write_file

        if os.path.exists(self.path) and (names_open_file(self.path) or not os.path.isfile(self.path)):
            raise TransportError(f"writing {self.path}: only a regular file can be replaced")
        text = json.dumps(document, indent="\t", ensure_ascii=False)
        write_file(self.path, text.encode("utf-8", "replace"), mode=0o600)

    @contextlib.contextmanager
    def locked(self, cancellation: Cancellation) -> Iterator[None]:
        """Keep others from changing the file while it is read and written; its folder is made if need be."""
        import fcntl
        import time

        from transship.plugin.files import reporting

        folder = os.path.dirname(os.path.abspath(self.path))
        with reporting(f"writing {self.path}:", folder), contextlib.ExitStack() as stack:
            _make_private_folder(folder)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            limit = time.monotonic() + _LOCK_TIMEOUT
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > limit:
                        raise TransportError(f"writing {self.path}: another program holds its lock") from None
                    cancellation.wait(_LOCK_INTERVAL)
            yield

    def _object(self, document: dict[str, Any], key: str) -> dict[str, Any]:
        value = document.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._wrong_type(key, "an object")
        return value

    def _text(self, document: dict[str, Any], key: str) -> str:
        value = document.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self._wrong_type(key, "a string")
        return value

    def store(self, document: dict[str, Any]) -> str:
        """The helper that is asked after the entries, ``""``: none."""
        return "" if self.is_old else self._text(document, _STORE)

    def _wrong_type(self, key: str, wanted: str) -> TransportError:
        return TransportError(f'unmarshaling JSON at "{self.path}": "{key}" must be {wanted}')


def default_files() -> list[CredentialFile]:
    """The user's files in the order in which they are read."""
    configuration = os.environ.get("XDG_CONFIG_HOME") or os.path.join(home_folder(), ".config")
    docker = os.environ.get("DOCKER_CONFIG") or os.path.join(home_folder(), ".docker")
    return [
        CredentialFile(_runtime_path()),
        CredentialFile(os.path.join(configuration, "containers", "auth.json")),
        CredentialFile(os.path.join(docker, "config.json"), is_docker=True),
        CredentialFile(os.path.join(home_folder(), ".dockercfg"), is_old=True),
    ]


def _runtime_path() -> str:
    if sys.platform in ("darwin", "win32"):
        return os.path.join(home_folder(), ".config", "containers", "auth.json")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = os.path.join(runtime, "containers") if runtime else f"/run/containers/{user_id()}"
    return os.path.join(folder, "auth.json")


def _missing_runtime_folder() -> str:
    """What is wrong with XDG_RUNTIME_DIR, ``""``: nothing."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if not runtime or sys.platform in ("darwin", "win32") or os.path.exists(runtime):
        return ""
    return (
        f'"{runtime}" directory set by $XDG_RUNTIME_DIR does not exist. '
        "Either create the directory or unset $XDG_RUNTIME_DIR."
    )


class CredentialStore:
    """The user's credentials: files, and programs that keep some.

    ``file`` is read and written alone; None: the default places. ``helpers`` are the stores in order, as
    ``credential-helpers`` of registries.conf names them. ``warn`` is told what the user should know.
    """

    def __init__(
        self,
        file: CredentialFile | None = None,
        helpers: Sequence[str] = (),
        warn: Warn = _no_warning,
        cancellation: Cancellation | None = None,
    ) -> None:
        self._file = file
        self._stores = tuple(helpers) or (AUTH_FILES,)
        self._warn = warn
        self._cancellation = cancellation or Cancellation()

    def find(self, registry: str, repository: str = "") -> Credentials | None:
        """Credentials for ``registry/repository`` from the first store that has some.

        Raises ``TransportError`` if none has, and one of them is broken.
        """
        errors = []
        for store in self._stores:
            try:
                if store == AUTH_FILES:
                    found = self._find_in_files(registry, repository)
                else:
                    found = self._helper(store).get(registry)
            except TransportError as error:
                errors.append(error)
                continue
            if found is not None:
                return found
        if errors:
            raise TransportError(f"errors looking up credentials: {'; '.join(map(str, errors))}") from errors[0]
        return None

    def store(self, key: str, username: str, password: str) -> str:
        """Keep credentials in the first store that takes them; the answer says which. Raises ``TransportError``."""
        require_valid_key(key)
        errors = []
        for store in self._stores:
            try:
                if store == AUTH_FILES:
                    return self._store_in_file(key, username, password)
                return self._store_in_helper(store, key, username, password)
            except TransportError as error:
                errors.append(str(error))
        raise TransportError(f"storing credentials for {key}: {'; '.join(errors)}")

    def remove(self, key: str) -> bool:
        """Forget the credentials of exactly ``key``; whether there were some. Raises ``TransportError``."""
        require_valid_key(key)
        found = False
        for store in self._stores:
            if store == AUTH_FILES:
                found |= self._remove_from_file(key)
            elif "/" not in key:  # helpers know hosts only
                found |= self._erase(store, key)
        return found

    def remove_all(self) -> None:
        """Forget everything."""
        for store in self._stores:
            if store == AUTH_FILES:
                self._clear_file()
                continue
            helper = self._helper(store)
            for server in helper.servers():
                helper.erase(server)

    def _helper(self, name: str) -> CredentialHelper:
        return CredentialHelper(name, self._warn, self._cancellation)

    def _find_in_files(self, registry: str, repository: str) -> Credentials | None:
        if self._file is None and (problem := _missing_runtime_folder()):
            self._warn(f"{problem} Trying to pull image in the event that it is a public image.")
        try:
            for file in [self._file] if self._file else default_files():
                found = self._find_in_file(file, registry, repository)
                if found is not None:
                    return found
        except TransportError:
            raise
        except TransshipError as error:
            raise TransportError(str(error)) from error
        return None

    def _find_in_file(self, file: CredentialFile, registry: str, repository: str) -> Credentials | None:
        document = file.read()
        helper = file.helpers(document).get(registry) if not file.is_old else None
        if helper:
            return self._helper(helper).get(registry)
        entries = file.entries(document)
        key = next(_matching_keys(entries, registry, repository, file), None)
        found = file.decode(key, entries[key], self._warn) if key is not None else None
        if found is None and (store := file.store(document)):
            return self._helper(store).get(_DOCKER_HUB_KEY if registry in _DOCKER_HUB else registry)
        return found

    def _target(self) -> CredentialFile:
        if self._file is None and (problem := _missing_runtime_folder()):
            raise TransportError(problem)
        return self._file or CredentialFile(_runtime_path())

    def _store_in_file(self, key: str, username: str, password: str) -> str:
        import base64

        file = self._target()
        name = file.key(key)
        helper = file.helpers(_reading(file)).get(key)
        if helper:
            return self._store_in_helper(helper, key, username, password)
        with file.locked(self._cancellation):
            document = _reading(file)
            entries: dict[str, dict[str, Any]] = file.entries(document)
            kept = {member: value for member, value in entries.get(name, {}).items() if member not in _SECRET_MEMBERS}
            secret = base64.b64encode(f"{username}:{password}".encode()).decode("ascii")
            file.write({**document, _AUTHS: {**entries, name: {"auth": secret, **kept}}})
        return file.path

    def _store_in_helper(self, name: str, key: str, username: str, password: str) -> str:
        if "/" in key:
            raise TransportError(f"namespaced key is not supported for credential helper {name}")
        self._helper(name).store(key, username, password)
        return f"credential helper: {name}"

    def _remove_from_file(self, key: str) -> bool:
        file = self._target()
        if not os.path.exists(file.path):
            return False
        name = file.key(key)
        helper = file.helpers(_reading(file)).get(key)
        found = bool(helper) and "/" not in key and self._erase(str(helper), key)
        with file.locked(self._cancellation):
            document = _reading(file)
            entries = file.entries(document)
            if name not in entries:
                return found
            file.write({**document, _AUTHS: {other: entries[other] for other in entries if other != name}})
        return True

    def _clear_file(self) -> None:
        file = self._target()
        for host, helper in file.helpers(_reading(file)).items():
            self._erase(helper, host)
        with file.locked(self._cancellation):
            kept = {member: value for member, value in _reading(file).items() if member not in (_AUTHS, _HELPERS)}
            file.write({_AUTHS: {}, **kept})

    def _erase(self, helper: str, host: str) -> bool:
        try:
            return self._helper(helper).erase(host)
        except MissingHelperError as error:
            self._warn(str(error))
            return False
        except TransportError as error:
            raise TransportError(f"removing credentials for {host} from credential helper {helper}: {error}") from error


def find_credentials(
    registry: str,
    repository: str = "",
    *,
    authfile: str = "",
    helpers: Sequence[str] = (),
    warn: Warn = _no_warning,
    cancellation: Cancellation | None = None,
) -> Credentials | None:
    """What the user's files and helper programs know for ``registry/repository``; None: nothing.

    ``authfile``, if given, is the only file that is read. See ``CredentialStore``.
    """
    file = CredentialFile(authfile, is_named=True) if authfile else None
    return CredentialStore(file, helpers, warn, cancellation).find(registry, repository)


def require_valid_key(key: str) -> None:
    """Raise ``TransportError`` for what cannot name a registry, or a namespace or repository in it."""
    host, _, path = key.partition("/")
    if key.startswith(("http://", "https://")):
        raise TransportError(f"key {key} contains http[s]:// prefix")
    if not host or "@" in key or ":" in path:
        raise TransportError(f"key {key} is no registry, namespace or repository")


def _reading(file: CredentialFile) -> dict[str, Any]:
    try:
        return file.read()
    except TransportError:
        raise
    except TransshipError as error:
        raise TransportError(str(error)) from error


def _matching_keys(
    entries: dict[str, dict[str, Any]], registry: str, repository: str, file: CredentialFile
) -> Iterator[str]:
    """The keys of ``entries`` that serve ``registry/repository``, the best first."""
    components = [] if file.is_old else [part for part in repository.split("/") if part]
    for count in range(len(components), -1, -1):
        key = "/".join((registry, *components[:count]))
        if key in entries:
            yield key
    for key in entries:
        if _host_of(key, cut_path=file.is_old) == _normal(registry):
            yield key


def _host_of(key: str, *, cut_path: bool) -> str:
    """The host that an entry is for. A key with a path, but not of a URL, is for a part of a registry."""
    host = key.removeprefix("http://").removeprefix("https://")
    return _normal(host.partition("/")[0] if cut_path or host != key else host)


def _normal(host: str) -> str:
    return "index.docker.io" if host in _DOCKER_HUB else host


def _make_private_folder(folder: str) -> None:
    missing = []
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for path in reversed(missing):
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
