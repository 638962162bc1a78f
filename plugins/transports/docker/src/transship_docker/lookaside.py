"""Signatures beside a registry: files, or what a web server makes of such files (containers-signature(5))."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from transship.errors import TransportError
from transship.image.digest import Digest
from transship.image.strict_json import METADATA_LIMIT
from transship.plugin.context import Context
from transship.plugin.files import read_regular, reporting, write_file
from transship.plugin.signature import Signature
from transship_docker.backoff import Backoff
from transship_docker.errors import printable, redacted
from transship_docker.responses import whole_answer

if TYPE_CHECKING:
    from transship_docker.network import Network

SIGNATURE_COUNT_LIMIT = 128
"""An image with so many signatures is taken for a mistake of the server."""


def read_lookaside(url: str, digest: Digest, network: Network, context: Context) -> list[Signature]:
    """All signatures of a manifest. ``url`` is that of its repository; no credentials are sent to it."""
    signatures: list[Signature] = []
    while (data := _read(_numbered(url, digest, len(signatures) + 1), network, context)) is not None:
        signatures.append(Signature.parse(data))
        if len(signatures) >= SIGNATURE_COUNT_LIMIT:
            raise TransportError(
                f"server provided {SIGNATURE_COUNT_LIMIT} signatures, assuming that's unreasonable and a server error"
            )
    return signatures


def write_lookaside(url: str, digest: Digest, signatures: Sequence[Signature]) -> None:
    """Have these signatures, and no others, in the folder of a manifest; ``url`` is that of its repository."""
    if refusal_to_write := why_not_written(url):
        raise TransportError(refusal_to_write)
    folder = os.path.dirname(_path(_numbered(url, digest, 1)))
    with reporting("write", folder):
        os.makedirs(folder, mode=0o755, exist_ok=True)
        for number, signature in enumerate(signatures, start=1):
            write_file(_path(_numbered(url, digest, number)), signature.to_bytes())
        _remove_from(url, digest, len(signatures) + 1)


def remove_lookaside(url: str, digest: Digest) -> None:
    """Remove all signatures of a manifest; ``url`` is that of its repository. Only files can be removed."""
    if urlsplit(url).scheme == "file":
        with reporting("remove", _path(url)):
            _remove_from(url, digest, 1)


def may_hold_signatures(url: str) -> bool:
    """Whether signatures of a repository may be there; ``url`` is that of the repository. No server is asked."""
    if urlsplit(url).scheme != "file":
        return True
    folder, name = os.path.split(_path(url))
    try:
        with os.scandir(folder or "/") as entries:
            return any(entry.name.startswith(f"{name}@") for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # to read them will say what is wrong
        return True


def why_not_written(url: str) -> str:
    """Why signatures cannot be written there, ``""``: they can."""
    scheme = urlsplit(url).scheme
    if scheme == "file":
        return ""
    return f"Writing directly to a {scheme} lookaside URL is not supported. Configure a lookaside-staging: location"


def _numbered(url: str, digest: Digest, number: int) -> str:
    return f"{url}@{digest.algorithm}={digest.encoded}/signature-{number}"


def _path(url: str) -> str:
    return unquote(urlsplit(url).path)


def _remove_from(url: str, digest: Digest, number: int) -> None:
    """Remove the signatures from a number on, until there is a gap."""
    while True:
        try:
            os.unlink(_path(_numbered(url, digest, number)))
        except (FileNotFoundError, NotADirectoryError):
            return
        number += 1


def _read(url: str, network: Network, context: Context) -> bytes | None:
    """One stored signature, None if it is not there."""
    if urlsplit(url).scheme == "file":
        return _read_file(_path(url))
    return _fetched(url, network, context)


def _read_file(path: str) -> bytes | None:
    try:
        return read_regular(path, METADATA_LIMIT, within=os.path.dirname(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise TransportError(f"reading signature from {path}: {(error.strerror or str(error)).lower()}") from error


def _fetched(url: str, network: Network, context: Context) -> bytes | None:
    backoff = Backoff(context.cancellation, repeatable=True)
    response, body = whole_answer(lambda: network.send("GET", url), backoff, METADATA_LIMIT)
    if response.status_code == 404:
        return None
    if response.status_code != 200:
        status = printable(f"{response.status_code} {response.reason_phrase}".strip())
        raise TransportError(f"reading signature from {redacted(url)}: status {status}")
    if response.headers.get("content-type", "").startswith("text/html"):
        context.warn(f"Signature {redacted(url)} has Content-Type text/html, unexpected for a signature")
    return body
