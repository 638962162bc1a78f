"""What simple signing and sigstore sign: a JSON text that names an image and its digest (containers-signature(5))."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from transship import __version__
from transship.errors import InvalidDigestError, InvalidManifestError, SignatureError
from transship.image.digest import Digest
from transship.image.reference import DockerReference
from transship.image.strict_json import dump_json, load_json_object
from transship.plugin.mechanism import UntrustedImage
from transship.plugin.signed_identity import SignedIdentity


@dataclass(frozen=True, slots=True)
class SignedPayload:
    """The claim: the image with this manifest digest has this docker reference, as it stands in the text."""

    reference: str
    digest: Digest

    def check(self, image: UntrustedImage, identity: SignedIdentity) -> None:
        """Raise ``SignatureError`` unless the claim is about ``image`` and ``identity`` accepts its reference."""
        if not image.has_digest(self.digest):
            raise SignatureError(f"Signature for digest {self.digest} does not match")
        if not identity.accepts(image.reference.named, self.reference):
            raise SignatureError(f"Signature for identity {json.dumps(self.reference)} is not accepted")


def make_payload(kind: str, reference: DockerReference | str, digest: Digest, *, timestamp: int | None = None) -> bytes:
    """The text to sign, of the signature type ``kind``. ``timestamp``: seconds since 1970, None: now."""
    return dump_json(
        {
            "critical": {
                "identity": {"docker-reference": str(reference)},
                "image": {"docker-manifest-digest": str(digest)},
                "type": kind,
            },
            "optional": {
                "creator": f"transship {__version__}",
                "timestamp": int(time.time()) if timestamp is None else timestamp,
            },
        }
    )


def parse_payload(data: bytes, kind: str, *, allows_null_optional: bool = False) -> SignedPayload:
    """Read a signed text of the type ``kind``, strictly; raise ``SignatureError``.

    ``allows_null_optional``: ``optional`` may be null, as cosign writes it.
    """
    try:
        document = load_json_object(data, "signature")
    except InvalidManifestError as error:
        raise SignatureError(str(error)) from None
    _require_keys(document, {"critical", "optional"}, "signature")
    critical = _object(document["critical"], "critical")
    _require_keys(critical, {"type", "image", "identity"}, "critical")
    if critical["type"] != kind:
        found = json.dumps(_text(critical["type"], "critical.type"))[1:-1]
        raise SignatureError(f"Unrecognized signature type {found}")
    image = _object(critical["image"], "critical.image")
    _require_keys(image, {"docker-manifest-digest"}, "critical.image")
    identity = _object(critical["identity"], "critical.identity")
    _require_keys(identity, {"docker-reference"}, "critical.identity")
    if not (allows_null_optional and document["optional"] is None):
        _check_optional(_object(document["optional"], "optional"))
    digest = _text(image["docker-manifest-digest"], "critical.image.docker-manifest-digest")
    reference = _text(identity["docker-reference"], "critical.identity.docker-reference")
    try:
        return SignedPayload(reference, Digest.parse(digest))
    except InvalidDigestError as error:
        raise SignatureError(f"invalid signature: {error}") from None


def _check_optional(optional: dict[str, Any]) -> None:
    _text(optional.get("creator", ""), "optional.creator")
    timestamp = optional.get("timestamp", 0)
    if isinstance(timestamp, float) and timestamp.is_integer():  # Go reads 1.7e9 as an integer, too
        return
    if not isinstance(timestamp, int) or isinstance(timestamp, bool):
        raise SignatureError("Field optional.timestamp is not an integer")


def _require_keys(members: dict[str, Any], keys: set[str], place: str) -> None:
    for key in members:
        if key not in keys:
            raise SignatureError(f"Unrecognized key {json.dumps(key)} in {place}")
    for key in sorted(keys):
        if key not in members:
            raise SignatureError(f'Key "{key}" is missing in {place}')


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SignatureError(f"Field {place} is not an object")
    return value


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise SignatureError(f"Field {place} is not a text")
    return value
