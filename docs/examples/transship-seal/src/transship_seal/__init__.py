"""The mechanism ``seal``: what an image is called and its digest, with an HMAC over both."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping, Sequence
from typing import Any

from transship import hookimpl
from transship.errors import SignatureError
from transship.image.digest import Digest
from transship.image.reference import DockerReference
from transship.plugin.context import Context
from transship.plugin.files import read_regular, reporting, write_file
from transship.plugin.mechanism import (
    Requirement,
    SignatureMechanism,
    SignatureRequirement,
    SignatureStore,
    SignatureVerdict,
    Signer,
    SigningRequest,
    UntrustedImage,
)
from transship.plugin.members import Members
from transship.plugin.signature import Signature
from transship.plugin.signed_identity import SignedIdentity, parse_signed_identity
from transship.plugin.signed_payload import make_payload, parse_payload
from transship.plugin.transport import Reference

FORMAT = "seal"  # signatures of other kinds are passed over
LIMIT = 1 << 20


def read_key(path: str) -> bytes:
    with reporting("read", path):
        if not (key := read_regular(path, LIMIT)):
            raise SignatureError(f"{path}: the key is empty")
    return key


def mac(key: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, payload, hashlib.sha256)


class SealedBy(SignatureRequirement):
    type = "sealedBy"

    def __init__(self, key_path: str, identity: SignedIdentity) -> None:
        self._key_path = key_path
        self._identity = identity

    def verify(self, signature: Signature, image: UntrustedImage) -> SignatureVerdict | None:
        if signature.format != FORMAT:
            return None
        seal, payload = signature.payload[:32], signature.payload[32:]
        if not hmac.compare_digest(seal, mac(read_key(self._key_path), payload)):
            raise SignatureError("the seal is broken")  # nothing of the payload is believed before this
        claim = parse_payload(payload, FORMAT)
        claim.check(image, self._identity)
        return SignatureVerdict(FORMAT, accepted=True, signer=self._key_path, identity=claim.reference)


class SealSigner(Signer):
    description = "Sealing image"
    format = FORMAT

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, manifest: bytes, digest: Digest, identity: DockerReference) -> Signature:
        payload = make_payload(FORMAT, identity, digest)
        return Signature(FORMAT, mac(self._key, payload) + payload)

    def close(self) -> None:
        self._key = b""


class SealFolder(SignatureStore):
    """One file for each image, named by its digest; each line is one signature."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def read(self, reference: Reference, digest: Digest) -> Sequence[Signature]:
        path = self._path(digest)
        with reporting("read", path):
            lines = read_regular(path, LIMIT).split() if os.path.exists(path) else []
        try:
            return [Signature.parse(bytes.fromhex(line.decode())) for line in lines]
        except ValueError as error:
            raise SignatureError(f"{path}: no seals: {error}") from None

    def write(self, reference: Reference, digest: Digest, signatures: Sequence[Signature]) -> None:
        with reporting("write", self._path(digest)):
            write_file(self._path(digest), "".join(f"{each.to_bytes().hex()}\n" for each in signatures).encode())

    def _path(self, digest: Digest) -> str:
        return os.path.join(self._folder, f"{digest.algorithm}-{digest.encoded}")


class SealMechanism(SignatureMechanism):
    name = "seal"
    requirement_types = ("sealedBy",)
    signing_methods = ("key",)

    def parse_requirement(self, kind: str, members: Mapping[str, Any]) -> Requirement:
        left = Members(members)
        requirement = SealedBy(left.required_text("keyPath"), parse_signed_identity(left))
        left.finish()
        return requirement

    def open_signer(self, request: SigningRequest) -> Signer:
        return SealSigner(read_key(request.key))

    def open_store(self, text: str, context: Context) -> SignatureStore:
        return SealFolder(text)


@hookimpl
def transship_signature_mechanisms() -> list[SignatureMechanism]:
    """Offer the mechanism; this module is the entry point."""
    return [SealMechanism()]
