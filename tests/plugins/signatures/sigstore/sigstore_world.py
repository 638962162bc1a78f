"""An image, those who may sign it, and signatures of theirs that are good."""

from __future__ import annotations

import base64
import copy
import json
from dataclasses import dataclass, field

from sigstore_authorities import (
    EMAIL,
    HOST,
    ISSUER,
    Authority,
    Log,
    encoded,
    hashed_record,
    new_key,
    pem,
    public_pem,
    sign,
    subject_names,
)

from transship.image.media_types import OCI_MANIFEST
from transship.image.reference import DockerReference
from transship.plugin.mechanism import UntrustedImage
from transship.plugin.signature import SIGSTORE_JSON, Signature
from transship.plugin.transport import Reference
from transship.testing.images import oci_image
from transship_sigstore.mechanism import SigstoreSignatures

PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
BUNDLE = "dev.sigstore.cosign/bundle"
CERTIFICATE = "dev.sigstore.cosign/certificate"
CHAIN = "dev.sigstore.cosign/chain"
NAME = "registry.example.com/team/app:v1"
IMAGE = oci_image()


@dataclass
class Claim:
    """A signature that can be changed."""

    payload: bytes
    annotations: dict = field(default_factory=dict)
    media_type: str = PAYLOAD_TYPE

    def stored(self) -> Signature:
        members = {
            "mimeType": self.media_type,
            "payload": encoded(self.payload),
            "annotations": self.annotations,
        }
        return Signature(SIGSTORE_JSON, json.dumps(members).encode())


def claim_document(digest=None, reference=NAME, kind="cosign container image signature") -> dict:
    return {
        "critical": {
            "identity": {"docker-reference": reference},
            "image": {"docker-manifest-digest": str(digest or IMAGE.digest)},
            "type": kind,
        },
        "optional": {"creator": "test", "timestamp": 1700000000},
    }


def payload_of(document=None, **parts) -> bytes:
    return json.dumps(document or claim_document(**parts)).encode()


class World:
    """Two key pairs, a Fulcio CA with an intermediate, a log, and an image."""

    def __init__(self) -> None:
        self.key, self.other_key = new_key(), new_key()
        self.root = Authority.root()
        self.intermediate = self.root.subordinate()
        self.log = Log()
        self.leaf_key = new_key()
        self.leaf = self.intermediate.leaf(self.leaf_key)

    def with_key(self, payload: bytes | None = None, key=None) -> Claim:
        payload = payload_of() if payload is None else payload
        return Claim(payload, {SIGNATURE: encoded(sign(key or self.key, payload))})

    def logged(self, payload: bytes | None = None, key=None, **changes) -> Claim:
        """As ``with_key``, and in the log."""
        claim = self.with_key(payload, key)
        self.log_claim(claim, public_pem(key or self.key), **changes)
        return claim

    def certified(self, leaf=None, key=None, chain=None, payload: bytes | None = None, **changes) -> Claim:
        """As ``logged``, with a certificate instead of a key."""
        leaf = leaf or self.leaf
        claim = self.with_key(payload, key or self.leaf_key)
        claim.annotations[CERTIFICATE] = pem(leaf).decode()
        chain = (self.intermediate.certificate, self.root.certificate) if chain is None else chain
        if chain:
            claim.annotations[CHAIN] = pem(*chain).decode()
        self.log_claim(claim, pem(leaf), **changes)
        return claim

    def log_claim(self, claim: Claim, key_or_certificate: bytes, *, record=None, **changes) -> None:
        signature = base64.b64decode(claim.annotations[SIGNATURE])
        record = record or hashed_record(claim.payload, signature, key_or_certificate)
        claim.annotations[BUNDLE] = self.log.bundle(record, **changes)

    def key_policy(self, **more) -> dict:
        return {"keyData": encoded(public_pem(self.key)), **more}

    def rekor_policy(self, **more) -> dict:
        return self.key_policy(rekorPublicKeyData=encoded(public_pem(self.log.key)), **more)

    def fulcio_policy(self, **more) -> dict:
        fulcio = {"caData": encoded(pem(self.root.certificate)), "oidcIssuer": ISSUER, "subjectEmail": EMAIL, **more}
        return {"fulcio": fulcio, "rekorPublicKeyData": encoded(public_pem(self.log.key))}

    def pki_policy(self, **more) -> dict:
        return {"pki": {"caRootsData": encoded(pem(self.root.certificate)), "subjectEmail": EMAIL, **more}}

    def pki_leaf(self, **changes):
        parts = {"names": (subject_names(emails=[EMAIL], hosts=[HOST]), False), **changes}
        return self.intermediate.leaf(self.leaf_key, **parts)


def verdict(policy: dict, *signatures, manifest: bytes = IMAGE.manifest, name: str = NAME):
    """What the requirement with the members ``policy`` makes of an image with these signatures."""
    stored = [each.stored() if isinstance(each, Claim) else each for each in signatures]
    reference = Reference(transport="docker", text=f"//{name}", named=DockerReference.parse(name))
    image = UntrustedImage(reference, manifest, OCI_MANIFEST, lambda: stored)
    requirement = SigstoreSignatures().parse_requirement("sigstoreSigned", copy.deepcopy(policy))
    return requirement.evaluate(image)
