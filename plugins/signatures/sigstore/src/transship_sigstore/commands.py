"""transship generate-sigstore-key."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

import click

from transship import hookimpl
from transship.errors import TransshipError
from transship.image.quoting import quoted
from transship.plugin.command import Application, GoCommand, UsageError, Value, ask_secret, print_line


@click.command(
    "generate-sigstore-key",
    cls=GoCommand,
    options_metavar="[command options] --output-prefix PREFIX",
    params=[
        Value("--output-prefix", default="", metavar="PREFIX", help="write the keys to PREFIX.pub and PREFIX.private"),
        Value(
            "--passphrase-file",
            default="",
            metavar="FILE",
            help="encrypt the private key with the first line of FILE",
        ),
    ],
)
@click.argument("arguments", nargs=-1, metavar="")
@click.pass_obj
def generate_sigstore_key(
    app: Application, /, arguments: tuple[str, ...], output_prefix: str, passphrase_file: str
) -> None:
    """Generate a sigstore public and private key pair

    Images are signed with the private key, and with the public key in a policy they are verified.
    """
    if arguments or not output_prefix:
        raise UsageError("Usage: generate-sigstore-key --output-prefix PREFIX")
    public_path, private_path = f"{output_prefix}.pub", f"{output_prefix}.private"
    for path in (public_path, private_path):
        if os.path.lexists(path):
            raise _exists(path)
    passphrase = _passphrase(private_path, passphrase_file)
    from transship_sigstore.key_envelope import seal
    from transship_sigstore.keys import generate_key, key_pem

    key = generate_key()
    sealed, public = seal(key, passphrase), key_pem(key.public_key())
    with _new_file(private_path, sealed, 0o600), _new_file(public_path, public, 0o644):
        print_line(f"Key written to {quoted(private_path)} and {quoted(public_path)}")


def _passphrase(path: str, passphrase_file: str) -> bytes:
    if passphrase_file:
        from transship_sigstore.signer import read_passphrase

        return read_passphrase(passphrase_file)
    try:
        passphrase = ask_secret(f"Passphrase for key {path}: ")
        again = ask_secret(f"Passphrase for key {path}, again: ")
    except TransshipError as error:
        raise TransshipError(
            f"Cannot prompt for a passphrase for key {path}, standard input is not a TTY; name a --passphrase-file"
        ) from error
    if passphrase != again:
        raise TransshipError("the two passphrases are not the same")
    return passphrase.encode("utf-8", "surrogateescape")


@contextlib.contextmanager
def _new_file(path: str, data: bytes, mode: int) -> Iterator[None]:
    """A file that was not there before; it goes again if the block raises."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise TransshipError(f"open {path}: {(error.strerror or str(error)).lower()}") from error
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        yield
    except BaseException:
        os.unlink(path)
        raise


def _exists(path: str) -> TransshipError:
    return TransshipError(f"Refusing to overwrite existing {quoted(path)}")


@hookimpl
def transship_commands() -> Iterable[click.Command]:
    """Offer ``generate-sigstore-key``."""
    return [generate_sigstore_key]
