"""Signatures that a registry stores itself: the extension of OpenShift (X-Registry-Supports-Signatures)."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Sequence

from transship.errors import InvalidManifestError, TransportError
from transship.image.digest import Digest
from transship.image.strict_json import dump_json, load_json_object
from transship.plugin.signature import SIMPLE_SIGNING, Signature
from transship_docker.client import RegistryClient
from transship_docker.errors import while_doing

_VERSION = 2
_KIND = "atomic"
_COUNT_LIMIT = 128


def read_extension(client: RegistryClient, digest: Digest) -> list[Signature]:
    """The signatures of a manifest; kinds that nobody knows are passed over."""
    with while_doing(f"reading signatures of {digest}"):
        response = client.request("GET", _path(client, digest))
        return [Signature(SIMPLE_SIGNING, content) for content in _contents(response.content)]


def write_extension(client: RegistryClient, digest: Digest, signatures: Sequence[Signature]) -> None:
    """Add signatures to those of a manifest; what is there already is not stored twice."""
    known = {signature.payload for signature in read_extension(client, digest)}
    for signature in signatures:
        if signature.format != SIMPLE_SIGNING:
            raise TransportError(f"the registry cannot store signatures of the kind {signature.format}")
        if signature.payload in known:
            continue
        with while_doing(f"uploading a signature of {digest}"):
            client.request(
                "PUT",
                _path(client, digest),
                headers={"Content-Type": "application/json"},
                content=_encoded(digest, signature),
                accept_statuses=(201,),
            )
        known.add(signature.payload)


def _path(client: RegistryClient, digest: Digest) -> str:
    return f"/extensions/v2/{client.repository}/signatures/{digest}"


def _encoded(digest: Digest, signature: Signature) -> bytes:
    return dump_json(
        {
            "schemaVersion": _VERSION,
            "name": f"{digest}@{os.urandom(16).hex()}",
            "type": _KIND,
            "content": base64.b64encode(signature.payload).decode(),
        }
    )


def _contents(data: bytes) -> list[bytes]:
    entries = load_json_object(data, "signature list").get("signatures") or []
    if not isinstance(entries, list):
        raise InvalidManifestError("signature list: expected an array of signatures")
    if len(entries) > _COUNT_LIMIT:
        raise InvalidManifestError(f"signature list: more than {_COUNT_LIMIT} signatures")
    usable = (
        entry
        for entry in entries
        if isinstance(entry, dict) and (entry.get("schemaVersion"), entry.get("type")) == (_VERSION, _KIND)
    )
    return [_content(entry.get("content")) for entry in usable]


def _content(value: object) -> bytes:
    try:
        return base64.b64decode(value if isinstance(value, str) else "", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidManifestError("signature list: a signature is not base64") from None
