"""transship login and logout."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from transship import hookimpl
from transship.errors import InvalidReferenceError, TransportError, TransshipError
from transship.plugin.command import (
    Application,
    Flag,
    GoCommand,
    UsageError,
    Value,
    ask,
    ask_secret,
    print_line,
    read_standard_input,
)

if TYPE_CHECKING:
    from transship.plugin.context import Context
    from transship.plugin.credentials import Credentials
    from transship_docker.credential_files import CredentialFile, CredentialStore
    from transship_docker.registries import Registries


def _file_options(action: str) -> list[click.Parameter]:
    return [
        Value("--authfile", default="", metavar="FILE", help=f"credentials file to {action} [$REGISTRY_AUTH_FILE]"),
        Value("--compat-auth-file", default="", metavar="FILE", help=f"Docker's configuration file to {action}"),
        Flag("--tls-verify", default=None, help="require HTTPS and verify certificates"),
    ]


@click.command(
    "login",
    cls=GoCommand,
    options_metavar="[options]",
    params=[
        Value("--username", "-u", default="", help="user name for the registry"),
        Value("--password", "-p", default="", help="password for the registry, for all to see who list processes"),
        Flag("--password-stdin", help="take the password from standard input"),
        *_file_options("write"),
        Value("--cert-dir", default="", metavar="PATH", help="use certificates at PATH for the registry"),
        Flag("--get-login", help="print the user name that is known, and do nothing else"),
        Flag("--verbose", "-v", help="tell where the credentials were written"),
    ],
)
@click.argument("arguments", nargs=-1, metavar="REGISTRY[/NAMESPACE[/REPOSITORY]]")
@click.pass_obj
def login(app: Application, /, arguments: tuple[str, ...], **flags: Any) -> None:
    """Log in to a container registry

    User name and password are asked for where they are not given, tried out, and written to a credentials file.
    """
    if not arguments:
        raise UsageError("please provide a registry to log in to")
    if len(arguments) > 1:
        raise UsageError("login accepts only one registry to log in to")
    session = _Session.start(app, arguments[0], flags)
    known = session.known_credentials()
    if flags["get_login"]:
        if known is None or not known.username:
            raise TransshipError(f"not logged into {session.key}")
        print_line(known.username)
        return
    if known is not None and known.identity_token:
        raise TransshipError("currently logged in, auth file contains an Identity token")
    username, password = flags["username"], _given_password(flags)
    if known is not None and not username and not password and session.accepts_known(known):
        return
    session.log_in(*_asked_for(username, password, known.username if known else ""), verbose=flags["verbose"])


@click.command(
    "logout",
    cls=GoCommand,
    options_metavar="[options]",
    params=[
        Flag("--all", "-a", help="forget the credentials of all registries"),
        *_file_options("change"),
    ],
)
@click.argument("arguments", nargs=-1, metavar="[REGISTRY[/NAMESPACE[/REPOSITORY]]]")
@click.pass_obj
def logout(app: Application, /, arguments: tuple[str, ...], **flags: Any) -> None:
    """Log out of a container registry

    Its user name and password are removed from the credentials file.
    """
    _require_given_files(flags)
    if flags["all"]:
        if arguments:
            raise UsageError("--all takes no arguments")
        _, _, store = _surroundings(app, flags)
        store.remove_all()
        print_line("Removed login credentials for all registries")
        return
    if not arguments:
        raise UsageError("please provide a registry to log out from")
    if len(arguments) > 1:
        raise UsageError("logout accepts only one registry to log out from")
    _Session.start(app, arguments[0], flags).log_out()


@hookimpl
def transship_commands() -> list[click.Command]:
    """The commands."""
    return [login, logout]


@dataclass(frozen=True)
class _Session:
    """One registry, or a part of it called ``key``, and the user's credentials for it."""

    key: str
    context: Context
    registries: Registries
    store: CredentialStore

    @classmethod
    def start(cls, app: Application, argument: str, flags: dict[str, Any]) -> _Session:
        return cls(_key(argument), *_surroundings(app, flags))

    @property
    def registry(self) -> str:
        return self.key.partition("/")[0]

    def known_credentials(self) -> Credentials | None:
        try:
            return self.store.find(self.registry, self.key.partition("/")[2])
        except TransportError as error:
            raise TransshipError(f"get credentials: {error}") from error

    def accepts_known(self, known: Credentials) -> bool:
        if not (known.username and known.password):
            return False
        print_line(f"Authenticating with existing credentials for {self.key}")
        try:
            self._try_out(known)
        except TransportError:
            print_line("Existing credentials are invalid, please enter valid username and password")
            return False
        print_line(f"Existing credentials are valid. Already logged in to {self.registry}")
        return True

    def log_in(self, username: str, password: str, *, verbose: bool) -> None:
        from transship.plugin.credentials import Credentials
        from transship_docker.errors import RegistryError

        try:
            self._try_out(Credentials(username, password))
        except TransportError as error:
            if isinstance(error, RegistryError) and error.status == 401:
                raise TransshipError(f'logging into "{self.key}": invalid username/password') from error
            raise TransshipError(f'authenticating creds for "{self.key}": {error}') from error
        place = self.store.store(self.key, username, password)
        if verbose:
            print_line(f"Used:  {place}")
        print_line("Login Succeeded!")

    def log_out(self) -> None:
        try:
            is_removed = self.store.remove(self.key)
        except TransportError as error:
            raise TransshipError(f'logging out of "{self.key}": {error}') from error
        if is_removed:
            print_line(f"Removed login credentials for {self.key}")
        elif self._is_logged_in_elsewhere():
            print_line(
                f"Not logged into {self.key} with current tool. Existing credentials were established via docker "
                "login. Please use docker logout instead."
            )
        else:
            raise TransshipError(f"not logged into {self.key}")

    def _is_logged_in_elsewhere(self) -> bool:
        known = self.store.find(self.registry)
        if known is None or not (known.username and known.password):
            return False
        try:
            self._try_out(known)
        except TransportError:
            return False
        return True

    def _try_out(self, credentials: Credentials) -> None:
        """Raise ``TransportError`` unless the registry welcomes ``credentials``."""
        from transship_docker import access
        from transship_docker.certificates import tls_context
        from transship_docker.client import RegistryClient

        options = self.context.options
        self.registries.require_allowed(self.registry)
        insecure = self.registries.insecure(self.registry)
        if options.get(access.TLS_VERIFY):
            insecure = options[access.TLS_VERIFY] == "false"
        client = RegistryClient(
            self.registry,
            self.context,
            credentials=credentials,
            insecure=insecure,
            tls=tls_context(
                self.registry,
                cert_dir=options.get(access.CERT_DIR, ""),
                verify=not insecure,
                tls_details=options.get(access.TLS_DETAILS, ""),
            ),
            user_agent=access.user_agent(self.context),
        )
        try:
            client.request("GET", "/v2/")
        finally:
            client.close()


def _surroundings(app: Application, flags: dict[str, Any]) -> tuple[Context, Registries, CredentialStore]:
    from transship_docker.credential_files import CredentialStore
    from transship_docker.registries import Registries

    context = app.context("docker:", "source", {name: flags.get(name) for name in ("cert_dir", "tls_verify")})
    registries = Registries.load(context.options.get("registries-conf", ""))
    file = _file(flags, context)
    return (
        context,
        registries,
        CredentialStore(file, registries.credential_helpers, context.warn, context.cancellation),
    )


def _file(flags: dict[str, Any], context: Context) -> CredentialFile | None:
    """The file that the user names; None: the default one."""
    from transship.plugin.files import home_folder
    from transship_docker.credential_files import CredentialFile

    authfile, compatible = flags["authfile"], flags["compat_auth_file"]
    if authfile and compatible:
        raise UsageError(
            "options for paths to the credential file and to the Docker-compatible credential file "
            "can not be set simultaneously"
        )
    if compatible:
        return CredentialFile(compatible, is_docker=True, is_named=True)
    authfile = authfile or os.environ.get("REGISTRY_AUTH_FILE", "")
    if authfile:
        if authfile == os.path.join(home_folder(), ".docker/config.json"):
            context.warn(f"saving credentials to {authfile}, but not using Docker-compatible file format")
        return CredentialFile(authfile, is_named=True)
    folder = os.environ.get("DOCKER_CONFIG")
    return CredentialFile(os.path.join(folder, "config.json"), is_docker=True) if folder else None


def _require_given_files(flags: dict[str, Any]) -> None:
    for path in (flags["authfile"], flags["compat_auth_file"]):
        if path and not os.path.exists(path):
            raise TransshipError(f"credential file is not accessible: stat {path}: no such file or directory")


def _key(argument: str) -> str:
    """The name under which credentials are kept: ``host[:port]``, or a namespace or repository there."""
    from transship.image.reference import DockerReference

    key = argument
    if key.startswith(("http://", "https://")):
        key = key.partition("://")[2].partition("/")[0]
    registry, slash, _ = key.partition("/")
    try:
        if slash:
            reference = DockerReference.parse(key)
            if reference.tag or reference.digest:
                raise UsageError(f'reference "{key}" contains tag or digest')
        DockerReference(registry, "any")
    except InvalidReferenceError as error:
        raise UsageError(f'parse reference from "{key}": {error}') from error
    return key


def _given_password(flags: dict[str, Any]) -> str:
    password: str = flags["password"]
    if not flags["password_stdin"]:
        return password
    if password:
        raise UsageError("can't specify both --password-stdin and --password")
    if not flags["username"]:
        raise UsageError("must provide --username with --password-stdin")
    return "".join(line.removesuffix("\r") for line in read_standard_input().split("\n"))


def _asked_for(username: str, password: str, known_username: str) -> tuple[str, str]:
    try:
        if not username:
            username = ask(f"Username ({known_username}): " if known_username else "Username: ") or known_username
    except TransshipError as error:
        raise TransshipError(f"getting username and password: reading username: {error}") from error
    try:
        password = password or ask_secret("Password: ")
    except TransshipError as error:
        raise TransshipError(f"getting username and password: reading password: {error}") from error
    if any("\ud800" <= character <= "\udfff" for character in username + password):
        raise UsageError("user name and password must be text")
    return username.strip(), password
