"""The stored form of sigstore signatures, and of whatever else is attached to images."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import NamedTuple

from transship.errors import InvalidManifestError
from transship.image.descriptor import text_map
from transship.image.strict_json import dump_json, load_json_object
from transship.plugin.signature import SIGSTORE_JSON, Signature


class SigstoreSignature(NamedTuple):
    """One sigstore signature, or whatever else was attached: a payload of some type, and what is said about it."""

    media_type: str
    payload: bytes
    annotations: Mapping[str, str]

    @classmethod
    def decode(cls, signature: Signature) -> SigstoreSignature:
        """Read the stored form; raises ``InvalidManifestError``."""
        members = load_json_object(signature.payload, "sigstore signature")
        media_type, payload = members.get("mimeType"), members.get("payload")
        try:
            decoded = base64.b64decode(payload if isinstance(payload, str) else "", validate=True)
        except (binascii.Error, ValueError):
            raise InvalidManifestError("sigstore signature: the payload is not base64") from None
        if not isinstance(media_type, str) or not isinstance(payload, str):
            raise InvalidManifestError("sigstore signature: expected mimeType and payload")
        return cls(media_type, decoded, text_map(members.get("annotations"), "sigstore signature.annotations") or {})

    def encode(self) -> Signature:
        """The stored form."""
        members = {
            "mimeType": self.media_type,
            "payload": base64.b64encode(self.payload).decode(),
            "annotations": dict(sorted(self.annotations.items())),
        }
        return Signature(SIGSTORE_JSON, dump_json(members))
