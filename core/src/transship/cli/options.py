"""Flags that several commands share, and the settings that are read from the environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeVar

import click
from click.core import ParameterSource

from transship.cli.flags import DURATION, GO_INT, Flag, UsageError, Value

if TYPE_CHECKING:
    from transship.image.platform import PlatformRequest
    from transship.plugin.credentials import Credentials

_LOG_FORMATS = ("text", "json")
_Callback = TypeVar("_Callback", bound=Callable[..., Any])

DEFAULT_TEMPORARY_DIRECTORY = "/var/tmp"  # noqa: S108 - where skopeo puts big files

HIDDEN_COMMANDS = ("layers", "untrusted-signature-dump-without-verification")
"""Commands that still work, and that neither help nor shells offer."""

SHELLS = ("bash", "zsh", "fish")
"""Those that there are scripts for."""

LOG_LEVELS = ("debug", "info", "warn", "error")
"""What ``--log-level`` takes, and each hides those before it; the line on why a command failed is always shown."""

FORMATS = ("oci", "v2s1", "v2s2")
PROGRESS_WAYS = ("auto", "bar", "plain", "json", "none")


class GlobalOptions(NamedTuple):
    """What the flags say that every command takes. Times in seconds, 0: none.

    ``tls_verify`` is none of them: it may only stand before the command.
    """

    command_timeout: float = 0
    debug: bool = False
    log_level: str = "info"
    insecure_policy: bool = False
    require_signed: bool = False
    override_arch: str = ""
    override_os: str = ""
    override_variant: str = ""
    policy: str | None = None
    registries_d: str = ""
    registries_conf: str = ""
    tls_details: str = ""
    tmpdir: str = DEFAULT_TEMPORARY_DIRECTORY
    user_agent_prefix: str = ""
    log_format: str = "text"
    no_config: bool = False
    tls_verify: bool | None = None

    @property
    def platform(self) -> PlatformRequest:
        """The platform to choose from indexes."""
        from transship.image.platform import PlatformRequest

        return PlatformRequest(self.override_os, self.override_arch, self.override_variant)


class OneOf(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases of click only
    """One of a few words."""

    name = "word"

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The word, or a usage error that names them all."""
        if value not in self._words:
            self.fail(f"choose one of: {', '.join(self._words)}")
        return str(value)


def word_option(*names: str, choices: Sequence[str], **settings: Any) -> Value:
    """A flag whose value is one of ``choices``."""
    return Value(*names, type=OneOf(choices), choices=choices, **settings)


@cache
def global_options(*, hidden: bool = False) -> Sequence[click.Option]:
    """The flags that every command takes."""
    return (
        Value("--command-timeout", type=DURATION, default=0.0, hidden=hidden, help="timeout for the command execution"),
        Flag("--debug", hidden=hidden, help="enable debug output, as --log-level debug does"),
        word_option(
            "--log-level",
            default="info",
            metavar="LEVEL",
            choices=LOG_LEVELS,
            hidden=hidden,
            help="least important lines to log: debug, info (default), warn or error",
        ),
        Flag("--insecure-policy", hidden=hidden, help="run the tool without any policy check"),
        Flag("--require-signed", hidden=hidden, help="require that images are accepted by a signature"),
        Value("--override-arch", default="", metavar="ARCH", hidden=hidden, help="use ARCH to choose from indexes"),
        Value("--override-os", default="", metavar="OS", hidden=hidden, help="use OS to choose from indexes"),
        Value(
            "--override-variant",
            default="",
            metavar="VARIANT",
            hidden=hidden,
            help="use VARIANT to choose from indexes",
        ),
        Value("--policy", default=None, metavar="FILE", hidden=hidden, help="path to a trust policy file"),
        Value(
            "--registries.d",
            "registries_d",
            default="",
            metavar="DIR",
            hidden=hidden,
            help="use registry configuration files in DIR",
        ),
        Value("--registries-conf", default="", hidden=True, help="path to the registries.conf file"),
        Value("--tls-details", default="", metavar="FILE", hidden=hidden, help="path to containers-tls-details.yaml"),
        Value("--tmpdir", default="", metavar="DIR", hidden=hidden, help="directory for big temporary files"),
        Value("--user-agent-prefix", default="", metavar="PREFIX", hidden=hidden, help="prefix of the user agent"),
        word_option(
            "--log-format",
            default="text",
            metavar="FORMAT",
            choices=_LOG_FORMATS,
            hidden=hidden,
            help="log as text or json, errors too",
        ),
        Flag("--no-config", hidden=hidden, help="take no defaults of flags from a file"),
    )


GLOBAL_NAMES = tuple(name for name in GlobalOptions._fields if name != "tls_verify")
"""The names of those flags' parameters."""


def with_options(*groups: list[click.Option]) -> Callable[[_Callback], _Callback]:
    """Give a command callback the flags of ``groups``, in that order."""

    def decorate(callback: _Callback) -> _Callback:
        options = [option for group in groups for option in group]
        callback.__click_params__ = [*reversed(options), *getattr(callback, "__click_params__", [])]  # type: ignore[attr-defined]  # click's own way to collect them
        return callback

    return decorate


def was_given(name: str) -> bool:
    """Whether the flag of the parameter ``name`` stands on the command line: a default from a file forbids nothing."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def shared_options() -> list[click.Option]:
    """``--authfile``, which serves both sides."""
    default = os.environ.get("REGISTRY_AUTH_FILE", "")
    return [Value("--authfile", default=default, metavar="FILE", help="path of the registry credentials file")]


def image_options(prefix: str = "", side: str = "", *, local: bool = True) -> list[click.Option]:
    """The flags of one image. ``prefix`` is ``""``, ``"src-"`` or ``"dest-"``; ``side`` words the help.

    ``local``: the image may be in a layout or a daemon, so that those transports' flags apply.
    """
    of = f" of the {side}" if side else ""

    def name(flag: str) -> str:
        return f"--{prefix}{flag}"

    options: list[click.Option] = [
        Value(
            name("creds"),
            *([f"--{prefix[0]}creds", f"{prefix[:-1]}_creds"] if prefix else []),
            default=None,
            metavar="USER[:PASSWORD]",
            help=f"credentials for the registry{of}",
        ),
        Value(name("username"), default=None, help=f"user name for the registry{of}"),
        Value(name("password"), default=None, help=f"password for the registry{of}"),
        Flag(name("no-creds"), help=f"access the registry{of} anonymously"),
        Value(name("registry-token"), default=None, metavar="TOKEN", help=f"bearer token for the registry{of}"),
        Value(name("cert-dir"), default="", metavar="PATH", help=f"use certificates at PATH for the registry{of}"),
        Flag(name("tls-verify"), default=None, help=f"require HTTPS and verify certificates of the registry{of}"),
        Value(name("opt"), multiple=True, metavar="NAME=VALUE", help=f"an option of the transport{of}"),
    ]
    if prefix:
        options.append(Value(name("authfile"), default=None, metavar="FILE", help=f"credentials file{of}"))
    if local:
        options.append(
            Value(name("shared-blob-dir"), default="", metavar="DIR", help=f"folder of shared blobs{of}, for oci:")
        )
        options.append(Value(name("daemon-host"), default="", metavar="URL", help=f"docker daemon{of}"))
    return options


def manifest_options() -> list[click.Option]:
    """What may become of manifests and their signatures on the way."""
    return [
        word_option(
            "--format",
            "-f",
            default=None,
            metavar="FORMAT",
            choices=FORMATS,
            help="manifest type to write: oci, v2s1 or v2s2",
        ),
        Flag("--preserve-digests", help="fail rather than change a manifest"),
        Flag("--remove-signatures", help="do not copy signatures"),
        Flag("--remove-list-signatures", help="do not copy signatures of an index, but those of its images"),
    ]


def unsided_options() -> list[click.Option]:
    """A flag in place of which each side has its own."""
    return [Flag("--tls-verify", default=None, hidden=True)]


def progress_options() -> list[click.Option]:
    """How to show what goes on."""
    text = "show progress as bar, plain, json or none (default auto: bars or lines, as fits)"
    return [word_option("--progress", default="auto", metavar="HOW", choices=PROGRESS_WAYS, help=text)]


def report_options(what: str) -> list[click.Option]:
    """Where to tell programs ``what`` happened."""
    return [
        Value("--report", default="", metavar="FILE", help=f"write {what} to FILE"),
        Flag("--json", "as_json", help=f"print {what}, and nothing else on standard output"),
    ]


def report_place(flags: Mapping[str, Any]) -> str | BinaryIO:
    """The file that the report goes to, or standard output, ``""`` if there is none to be written."""
    if flags["as_json"] and flags["report"]:
        raise UsageError("--json and --report are mutually exclusive")
    return sys.stdout.buffer if flags["as_json"] else str(flags["report"])


def retry_options() -> list[click.Option]:
    """How often, and after how long, what failed is tried again."""
    return [
        Value("--retry-times", type=GO_INT, default=0, metavar="N", help="how often to try again"),
        Value("--retry-delay", type=DURATION, default=0.0, help="fixed delay between attempts (default: exponential)"),
    ]


def manifest_type(form: str | None) -> str:
    """The media type that ``--format`` asks for, ``""`` if it was not given."""
    from transship.image.media_types import DOCKER_MANIFEST, DOCKER_SCHEMA1_SIGNED, OCI_MANIFEST

    return {None: "", "oci": OCI_MANIFEST, "v2s1": DOCKER_SCHEMA1_SIGNED, "v2s2": DOCKER_MANIFEST}[form]


def check_credentials(flags: Mapping[str, Any], prefix: str = "") -> None:
    """Raise ``UsageError`` for flags of one image that contradict each other."""
    creds, username = flags.get(f"{prefix}creds"), flags.get(f"{prefix}username")
    password, anonymous = flags.get(f"{prefix}password"), flags.get(f"{prefix}no_creds")
    conflicts = (
        (creds is not None and anonymous, "creds and no-creds cannot be specified at the same time"),
        (username is not None and anonymous, "username and no-creds cannot be specified at the same time"),
        (creds is not None and username is not None, "creds and username cannot be specified at the same time"),
        (username is not None and password is None, "password must be specified when username is specified"),
        (password is not None and username is None, "username must be specified when password is specified"),
        (creds == "", "credentials can't be empty"),
        (creds is not None and creds.startswith(":"), "username can't be empty"),
    )
    for is_wrong, message in conflicts:
        if is_wrong:
            raise UsageError(message)


def credentials_of(flags: Mapping[str, Any], prefix: str = "") -> Credentials | None:
    """The credentials that the flags of one image hold. Raises ``UsageError`` as ``check_credentials`` does."""
    from transship.plugin.credentials import Credentials

    check_credentials(flags, prefix)
    token = flags.get(f"{prefix}registry_token")
    if token:
        return Credentials(registry_token=token)
    if flags.get(f"{prefix}creds") is not None:
        username, _, password = flags[f"{prefix}creds"].partition(":")
        return Credentials(username, password)
    if flags.get(f"{prefix}username") is not None:
        return Credentials(flags[f"{prefix}username"], flags[f"{prefix}password"])
    return None


def image_settings(flags: Mapping[str, Any], options: GlobalOptions, prefix: str = "") -> dict[str, str]:
    """What the flags of one image say to its transport, by the names of transport options; unset ones are left out."""
    authfile = flags.get(f"{prefix}authfile")
    verify = flags.get(f"{prefix}tls_verify")
    verify = flags.get("tls_verify") if verify is None else verify
    verify = options.tls_verify if verify is None else verify
    settings = {
        "authfile": flags.get("authfile", "") if authfile is None else authfile,
        "cert-dir": flags.get(f"{prefix}cert_dir", ""),
        "tls-verify": "" if verify is None else str(verify).lower(),
        "shared-blob-dir": flags.get(f"{prefix}shared_blob_dir", ""),
        "daemon-host": flags.get(f"{prefix}daemon_host", ""),
        "registries-conf": options.registries_conf,
        "registries.d": options.registries_d,
        "tls-details": options.tls_details,
        "user-agent-prefix": options.user_agent_prefix,
    }
    return {name: value for name, value in settings.items() if value}


def transport_settings(flags: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """What one image's ``--opt`` says, for its transport alone. Raises ``UsageError``."""
    flag = f"--{prefix.replace('_', '-')}opt"
    return dict(pair(flag, text) for text in flags.get(f"{prefix}opt", ()))


def pair(flag: str, text: str) -> tuple[str, str]:
    """The two sides of a value ``NAME=VALUE`` of ``flag``. Raises ``UsageError``."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"{flag} {text}: expected NAME=VALUE")
    return name, value


def coloured() -> bool | None:
    """Whether ``NO_COLOR`` and its like ask for colours or forbid them, None: terminals get them."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return True if os.environ.get("CLICOLOR_FORCE", "0") not in ("", "0") else None


def disabled_plugins() -> list[str]:
    """What ``TRANSSHIP_DISABLED_PLUGINS`` names, separated by commas."""
    return [name.strip() for name in os.environ.get("TRANSSHIP_DISABLED_PLUGINS", "").split(",") if name.strip()]
