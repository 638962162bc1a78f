"""transship standalone-sign, standalone-verify and untrusted-signature-dump-without-verification."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from transship import hookimpl
from transship.errors import InvalidReferenceError, SignatureError, TransshipError
from transship.plugin.command import Application, GoCommand, UsageError, Value, print_line

if TYPE_CHECKING:
    from transship.image.digest import Digest
    from transship_openpgp.keyring import Keys

_ANY = "any"


@click.command(
    "standalone-sign",
    cls=GoCommand,
    options_metavar="[options]",
    params=[
        Value("--output", "-o", default="", metavar="SIGNATURE", help="write the signature to this file"),
        Value("--passphrase-file", default="", metavar="FILE", help="its first line is the passphrase of the key"),
    ],
)
@click.argument("arguments", nargs=-1, metavar="MANIFEST DOCKER-REFERENCE KEY")
@click.pass_obj
def standalone_sign(app: Application, /, arguments: tuple[str, ...], output: str, passphrase_file: str) -> None:
    """Sign a manifest in a file

    KEY selects a secret key of GnuPG; DOCKER-REFERENCE is signed as it stands.
    """
    if len(arguments) != 3 or not output:
        raise UsageError(f"Usage: {app.program} standalone-sign manifest docker-reference key-fingerprint -o signature")
    path, reference, key = arguments
    manifest = _read(path, f"Error reading {path}")
    passphrase = b""
    if passphrase_file:
        passphrase = _read(passphrase_file, "Error reading the passphrase").partition(b"\n")[0]
    from transship.image.identification import manifest_digest
    from transship_openpgp.signer import GpgSigner

    try:
        signature = GpgSigner(key, passphrase).sign_as(reference, manifest_digest(manifest))
    except TransshipError as error:
        raise TransshipError(f"Error creating signature: {error}") from error
    try:
        _write(output, signature)
    except OSError as error:
        raise TransshipError(f"Error writing signature to {output}: {_system_reason(output, error)}") from error


@click.command(
    "standalone-verify",
    cls=GoCommand,
    options_metavar="[options]",
    params=[
        Value("--public-key-file", default="", metavar="FILE", help="trust these keys, instead of those of GnuPG"),
    ],
)
@click.argument("arguments", nargs=-1, metavar="MANIFEST DOCKER-REFERENCE FINGERPRINTS SIGNATURE")
@click.pass_obj
def standalone_verify(app: Application, /, arguments: tuple[str, ...], public_key_file: str) -> None:
    """Verify the signature of a manifest, both in files

    FINGERPRINTS are those of the keys that are trusted, with commas between them, or "any" for all of the public key
    file.
    """
    if len(arguments) != 4:
        raise UsageError(f"Usage: {app.program} standalone-verify manifest docker-reference key-fingerprint signature")
    path, reference, fingerprints, signature_path = arguments
    if fingerprints == _ANY and not public_key_file:
        raise UsageError("Cannot use any fingerprint without a public key file")
    manifest = _read(path, f"Error reading manifest from {path}")
    signature = _read(signature_path, f"Error reading signature from {signature_path}")
    keys, trusted = _trusted_keys(fingerprints, public_key_file)
    try:
        used, digest = _verify(signature, manifest, reference, keys, trusted)
    except TransshipError as error:
        raise TransshipError(f"Error verifying signature: {error}") from error
    print_line(f"Signature verified using fingerprint {used}, digest {digest}")


@click.command(
    "untrusted-signature-dump-without-verification",
    cls=GoCommand,
    options_metavar="[options]",
    hidden=True,
)
@click.argument("arguments", nargs=-1, metavar="SIGNATURE")
@click.pass_obj
def untrusted_signature_dump(app: Application, /, arguments: tuple[str, ...]) -> None:
    """Show what a signature says WITHOUT VERIFYING IT

    Nothing in it need be true. It is for finding mistakes, and nothing may be decided by it.
    """
    if len(arguments) != 1:
        raise UsageError(f"Usage: {app.program} untrusted-signature-dump-without-verification signature")
    (path,) = arguments
    data = _read(path, f"Error reading untrusted signature from {path}")
    try:
        claims = _claims(data)
    except TransshipError as error:
        raise TransshipError(f"Error decoding untrusted signature: {error}") from error
    print_line(claims)


@hookimpl
def transship_commands() -> list[click.Command]:
    """The commands."""
    return [standalone_sign, standalone_verify, untrusted_signature_dump]


def _trusted_keys(fingerprints: str, public_key_file: str) -> tuple[Keys, frozenset[str]]:
    """What to check with, and the fingerprints of the keys that count."""
    from transship_openpgp.keyring import UserKeys, import_keys
    from transship_openpgp.requirement import read_keyring

    trusted = frozenset(fingerprints.upper().split(","))
    if not public_key_file:
        return UserKeys(), trusted
    try:
        data = read_keyring(public_key_file)
    except SignatureError as error:
        raise TransshipError(f"Error reading public keys from {public_key_file}: {error}") from error
    try:
        keyring = import_keys([(public_key_file, data)])
    except SignatureError as error:
        raise TransshipError(f"Error initializing GPG: {error}") from error
    return keyring, keyring.fingerprints if fingerprints == _ANY else trusted


def _verify(
    signature: bytes, manifest: bytes, reference: str, keys: Keys, trusted: frozenset[str]
) -> tuple[str, Digest]:
    """The trusted fingerprint that the signature is by, and the digest that it is for; raises ``TransshipError``."""
    from transship.image.identification import manifest_digest
    from transship.image.reference import DockerReference
    from transship.plugin.signed_payload import parse_payload
    from transship_openpgp.requirement import PAYLOAD_TYPE

    expected = DockerReference.parse(reference)
    good = keys.verify(signature)
    used = next((key for key in (good.fingerprint, good.primary) if key in trusted), "")
    if not used:
        expected_keys = " ".join(sorted(trusted))
        raise SignatureError(f"Signature by {good.signer} does not match expected fingerprints [{expected_keys}]")
    payload = parse_payload(good.content, PAYLOAD_TYPE)
    if manifest_digest(manifest, algorithm=payload.digest.algorithm) != payload.digest:
        raise SignatureError(f'Signature for docker digest "{payload.digest}" does not match')
    try:
        signed = DockerReference.parse(payload.reference)
    except InvalidReferenceError:
        raise SignatureError(f'Invalid docker reference "{payload.reference}" in signature') from None
    if signed != expected:
        raise SignatureError(f'Docker reference "{payload.reference}" does not match "{reference}"')
    return used, payload.digest


def _claims(data: bytes) -> str:
    import re

    from transship.image.strict_json import dump_json, load_json_object
    from transship.plugin.signed_payload import parse_payload
    from transship_openpgp.message import parse_message
    from transship_openpgp.requirement import PAYLOAD_TYPE

    message = parse_message(data)
    payload = parse_payload(message.content, PAYLOAD_TYPE)
    optional = load_json_object(message.content, "signature")["optional"]
    text = dump_json(
        {
            "UntrustedDockerManifestDigest": str(payload.digest),
            "UntrustedDockerReference": payload.reference,
            "UntrustedCreatorID": optional.get("creator"),
            "UntrustedTimestamp": _local_time(optional.get("timestamp")),
            "UntrustedShortKeyIdentifier": message.key_id,
        },
        indent=4,
    ).decode()
    return re.sub("[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", text)  # JSON lets them pass to a terminal


def _local_time(timestamp: float | None) -> str | None:
    from datetime import UTC, datetime

    if timestamp is None:
        return None
    try:
        text = datetime.fromtimestamp(int(timestamp), UTC).astimezone().isoformat()
    except (OverflowError, ValueError, OSError):
        raise SignatureError("Field optional.timestamp is no time of this era") from None
    return text.replace("+00:00", "Z")


def _read(path: str, error_prefix: str) -> bytes:
    from transship.image.strict_json import METADATA_LIMIT

    try:
        with open(path, "rb") as file:
            data = file.read(METADATA_LIMIT + 1)
    except OSError as error:
        raise TransshipError(f"{error_prefix}: {_system_reason(path, error)}") from error
    if len(data) > METADATA_LIMIT:
        raise TransshipError(f"{error_prefix}: exceeded maximum allowed size of {METADATA_LIMIT} bytes")
    return data


def _write(path: str, data: bytes) -> None:
    from transship.plugin.files import names_open_file, write_file

    if names_open_file(path) or (os.path.exists(path) and not os.path.isfile(path)):
        with open(path, "wb") as file:
            file.write(data)
    else:
        write_file(path, data)


def _system_reason(path: str, error: OSError) -> str:
    return f"open {path}: {(error.strerror or str(error)).lower()}"
