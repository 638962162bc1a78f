"""The flags that make signatures, and those that say where signatures are kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from transship.cli.flags import UsageError, Value
from transship.errors import SignatureError, TransshipError, UnknownPluginError

if TYPE_CHECKING:
    from transship.cli.application import Application
    from transship.copy.signers import SharedSigner

_PASSPHRASE_LIMIT = 1 << 16


class _Way(NamedTuple):
    """A flag that signs, and the mechanism and method that it stands for.

    ``unlocks``: the passphrase is for it. ``is_told``: errors name the flag.
    """

    flag: str
    mechanism: str
    method: str
    unlocks: bool = True
    is_told: bool = False


_WAYS = (  # in the order in which Skopeo makes the signatures
    _Way("sign_by_sigstore", "sigstore", "parameters", unlocks=False, is_told=True),
    _Way("sign_by_sq_fingerprint", "openpgp", "sq"),
    _Way("sign_by", "openpgp", "gpg"),
    _Way("sign_by_sigstore_private_key", "sigstore", "private-key"),
)


def signing_options() -> list[click.Option]:
    """The flags that make signatures."""
    return [
        Value("--sign-by", default="", metavar="KEY", help="sign with this GnuPG key"),
        Value("--sign-by-sq-fingerprint", default="", metavar="FINGERPRINT", help="sign with this Sequoia-PGP key"),
        Value("--sign-by-sigstore", default="", metavar="FILE", help="sign as this sigstore parameter file says"),
        Value("--sign-by-sigstore-private-key", default="", metavar="FILE", help="sign with this sigstore private key"),
        Value(
            "--sign-with",
            multiple=True,
            metavar="MECHANISM[:METHOD]=KEY",
            help="sign with the mechanism of any plugin (repeatable)",
        ),
        Value(
            "--sign-passphrase-file", default="", metavar="FILE", help="the first line of FILE unlocks the signing key"
        ),
    ]


def store_options() -> list[click.Option]:
    """The flags that say where signatures are kept beside what the transports have."""
    return [
        Value(
            "--src-signatures", default="", metavar="MECHANISM:TEXT", help="read further signatures of the source there"
        ),
        Value(
            "--dest-signatures", default="", metavar="MECHANISM:TEXT", help="write signatures there, not to DESTINATION"
        ),
    ]


@contextlib.contextmanager
def open_signers(app: Application, flags: Mapping[str, Any]) -> Iterator[list[SharedSigner]]:
    """The signers that the flags ask for, ready to sign; they forget their secrets at the end of the block."""
    ways = [way for way in _WAYS if flags[way.flag]]
    others = [_parsed(text) for text in flags["sign_with"]]
    passphrase = _passphrase(flags["sign_passphrase_file"], sum(way.unlocks for way in ways) + len(others))
    with contextlib.ExitStack() as stack:
        signers = []
        for way in ways:
            signer = _opened(app, way, flags[way.flag], passphrase if way.unlocks else None)
            signers.append(stack.enter_context(signer))
        for way, key in others:
            signers.append(stack.enter_context(_opened(app, way, key, passphrase)))
        yield signers


def _parsed(text: str) -> tuple[_Way, str]:
    name, equals, key = text.partition("=")
    mechanism, _, method = name.partition(":")
    if not equals or not mechanism:
        raise UsageError(f"--sign-with {text}: expected MECHANISM[:METHOD]=KEY")
    return _Way("sign_with", mechanism, method, is_told=True), key


def _opened(app: Application, way: _Way, key: str, passphrase: bytes | None) -> SharedSigner:
    from transship.copy.signers import open_signer

    flag = f"--{way.flag.replace('_', '-')}"
    try:
        return open_signer(
            app.manager,
            way.mechanism,
            key,
            method=way.method,
            passphrase=passphrase,
            prompt=ask_passphrase,
            tell=app.log.tell,
            cancellation=app.cancellation,
        )
    except UnknownPluginError as error:
        if error.name != way.mechanism or way.flag == "sign_with":
            raise
        raise TransshipError(f"{flag} needs a plugin that is not there: install transship-{way.mechanism}") from error
    except TransshipError as error:
        if not way.is_told:
            raise
        raise TransshipError(f"Error using {flag}: {error}") from error


def _passphrase(path: str, keys: int) -> bytes | None:
    if not path:
        return None
    if keys > 1:
        raise UsageError(
            "Only one of --sign-by, --sign-by-sq-fingerprint and --sign-by-sigstore-private-key "
            "can be used with --sign-passphrase-file"
        )
    return read_passphrase(path)


def read_passphrase(path: str) -> bytes:
    """The first line of a file, without its end; the file may be a pipe."""
    try:
        with open(path, "rb") as file:
            line = file.read(_PASSPHRASE_LIMIT + 1).partition(b"\n")[0]
    except OSError as error:
        raise TransshipError(f"open {path}: {(error.strerror or str(error)).lower()}") from error
    if len(line) > _PASSPHRASE_LIMIT:
        raise TransshipError(f"{path}: a passphrase has at most {_PASSPHRASE_LIMIT} bytes")
    return line


def ask_passphrase(text: str) -> bytes:
    """The user's answer to ``text``, such as ``Passphrase for key FILE: ``; nothing of it shows."""
    import sys

    from transship.plugin.command import ask_secret

    if sys.stdin is None or not sys.stdin.isatty():
        what = text.strip().removesuffix(":")
        raise SignatureError(f"Cannot prompt for a {what[:1].lower()}{what[1:]}, standard input is not a TTY")
    return ask_secret(text).encode("utf-8", "surrogateescape")
