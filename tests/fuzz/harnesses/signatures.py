"""Signatures, keys and what is signed."""

from __future__ import annotations

import base64
import bz2
import json
import zlib
from pathlib import Path

from harnesses.json_texts import WORDS as JSON_WORDS
from harnesses.target import Target, file_with, refusing
from transship.errors import InvalidManifestError, SignatureError
from transship.image.digest import digest_of
from transship.image.media_types import OCI_MANIFEST
from transship.image.reference import DockerReference
from transship.plugin.mechanism import UntrustedImage
from transship.plugin.signature import SIMPLE_SIGNING, Signature
from transship.plugin.signed_payload import make_payload, parse_payload
from transship.plugin.sigstore_signature import SigstoreSignature
from transship.plugin.transport import Reference
from transship_openpgp.message import parse_message
from transship_openpgp.requirement import PAYLOAD_TYPE
from transship_sigstore import verification  # noqa: F401 - imported late by what is fuzzed
from transship_sigstore.annotations import SIGNATURE_TYPE
from transship_sigstore.certificates import read_certificates
from transship_sigstore.key_envelope import unseal
from transship_sigstore.keys import key_pem, read_public_key
from transship_sigstore.log_entry import EntryTimestamp, LoggedSignature
from transship_sigstore.parameters import read_parameters
from transship_sigstore.pem import read_pem, write_pem
from transship_sigstore.requirement import parse_sigstore_signed

_VECTORS = Path(__file__).parents[2] / "plugins" / "signatures" / "sigstore" / "vectors"
_KINDS = (PAYLOAD_TYPE, SIGNATURE_TYPE)
_NAME = "localhost:5500/vectors/img:v1"
_PAYLOADS = tuple(make_payload(kind, _NAME, digest_of(b""), timestamp=1_700_000_000) for kind in _KINDS)
_NULL = _PAYLOADS[1].partition(b'"optional":')[0] + b'"optional":null}'


def _check_payload(data: bytes) -> None:
    for kind in _KINDS:
        with refusing(SignatureError):
            payload = parse_payload(data, kind, allows_null_optional=kind == SIGNATURE_TYPE)
            claimed = json.loads(data)["critical"]
            assert claimed["type"] == kind
            assert claimed["image"] == {"docker-manifest-digest": str(payload.digest)}
            if "\\ud" not in data.decode().lower():  # half a surrogate pair is replaced
                assert claimed["identity"] == {"docker-reference": payload.reference}


_SIGNED_IMAGE = (_VECTORS / "signed-a" / "manifest.json").read_bytes()
_STORED = tuple((_VECTORS / f"signed-{name}" / "signature-1").read_bytes() for name in "ab")
_SIGNED_PAYLOAD = SigstoreSignature.decode(Signature.parse(_STORED[0])).payload
_REQUIREMENT = parse_sigstore_signed(
    {
        "keyData": base64.b64encode((_VECTORS / "a.pub").read_bytes()).decode(),
        "signedIdentity": {"type": "exactReference", "dockerReference": _NAME},
    }
)
_REFERENCE = Reference(transport="dir", text="x", named=DockerReference.parse(_NAME))


def _check_stored(data: bytes) -> None:
    """Whatever is stored as a signature: accepted is the one text that was signed, and no other."""
    with refusing():
        signature = Signature.parse(data)
        if signature.format != SIMPLE_SIGNING or data[:1] != b"\0":
            assert signature.to_bytes() == data
        image = UntrustedImage(_REFERENCE, _SIGNED_IMAGE, OCI_MANIFEST, lambda: (signature,))
        if _REQUIREMENT.evaluate(image).accepted:
            assert SigstoreSignature.decode(signature).payload == _SIGNED_PAYLOAD
    with refusing(InvalidManifestError):
        attached = SigstoreSignature.decode(Signature("", data))
        assert SigstoreSignature.decode(attached.encode()) == attached


def _check_openpgp(data: bytes) -> None:
    with refusing(SignatureError):
        message = parse_message(data)
        assert message.key_id == message.key_id.upper()
        assert len(message.key_id) in (0, 16)


def _check_pem(data: bytes) -> None:
    for comments in (False, True):
        with refusing(SignatureError):
            blocks = read_pem(data, "input", comments=comments)
            written = b"".join(write_pem(block.label, block.data) for block in blocks)
            assert read_pem(written, "output") == blocks


def _check_keys(data: bytes) -> None:
    with refusing(SignatureError):
        key = read_public_key(data)
        assert key_pem(read_public_key(key_pem(key))) == key_pem(key)
    for comments in (False, True):
        with refusing(SignatureError):
            read_certificates(data, "input", comments=comments)
    with refusing(SignatureError):
        unseal(data, b"")


def _check_log_entry(data: bytes) -> None:
    with refusing(SignatureError):
        promise = EntryTimestamp.parse(data)
        assert EntryTimestamp.parse(promise.to_bytes()) == promise
        LoggedSignature.parse(promise.body)
    with refusing(SignatureError):
        LoggedSignature.parse(data)


def _check_parameters(data: bytes) -> None:
    with file_with(data) as path, refusing(SignatureError):
        parameters = read_parameters(path)
        assert bool(parameters.private_key_file) != bool(parameters.fulcio)


def _packet(tag: int, body: bytes) -> bytes:
    return bytes([0xC0 | tag, 0xFF]) + len(body).to_bytes(4) + body


_ONE_PASS = _packet(4, bytes([3, 0, 8, 22]) + bytes.fromhex("0123456789ABCDEF") + b"\1")
_LITERAL = b"b\4name" + bytes(4) + _PAYLOADS[0]
_MESSAGE = _ONE_PASS + _packet(11, _LITERAL) + _packet(2, b"signature")
_IN_PARTS = _ONE_PASS + b"\xcb\xe4" + _LITERAL[:16] + b"\x05" + _LITERAL[16:21] + _packet(2, b"signature")
_COMPRESSED = (
    b"\0" + _MESSAGE,
    b"\1" + zlib.compress(_MESSAGE)[2:-4],
    b"\2" + zlib.compress(_MESSAGE),
    b"\3" + bz2.compress(_MESSAGE),
)
_KEY = (_VECTORS / "a.pub").read_bytes()
_ENVELOPE = write_pem(
    "ENCRYPTED SIGSTORE PRIVATE KEY",  # of a cost that is never computed
    b'{"kdf":{"name":"scrypt","params":{"N":1,"r":8,"p":1},"salt":"YQ=="},"cipher":{"name":"nacl/secretbox","nonce":'
    b'"%s"},"ciphertext":"YQ=="}' % base64.b64encode(bytes(24)),
)


def _logged() -> bytes:
    record = {
        "apiVersion": "0.0.1",
        "kind": "hashedrekord",
        "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": "a" * 64}},
            "signature": {"content": "YQ==", "publicKey": {"content": base64.b64encode(_KEY).decode()}},
        },
    }
    return json.dumps(record).encode()


_PROMISE = EntryTimestamp(b"signature", _logged(), 1_700_000_000, 1, "a" * 64).to_bytes()
_PARAMETERS = (
    b"privateKeyFile: /a\nprivateKeyPassphraseFile: /b\nrekorURL: https://rekor.example\n",
    b"fulcio:\n  fulcioURL: https://a\n  oidcMode: staticToken\n  oidcIDToken: x\n",
    b"fulcio: {fulcioURL: a, oidcMode: interactive, oidcIssuerURL: b, oidcClientID: c, oidcClientSecret: d}\n",
)
_PEM_WORDS = (b"-----BEGIN PUBLIC KEY-----\n", b"-----END PUBLIC KEY-----", b"-----", b"CERTIFICATE", b"=", b"==")
_NAMES = (
    b'"critical" "optional" "identity" "image" "type" "docker-reference" "docker-manifest-digest" "timestamp"'.split()
)
_STORED_NAMES = b'"mimeType" "payload" "annotations" "dev.cosignproject.cosign/signature" \0sigstore-json\n'.split(b" ")
_LOG_NAMES = b'"Payload" "SignedEntryTimestamp" "body" "spec" "kind" "apiVersion" "logID" "content" "publicKey"'.split()
_YAML_WORDS = (b": ", b"- ", b"&a ", b"*a", b"<<: *a", b"!!str ", b"~", b"---\n", b"{", b"}", b"fulcio:\n  ", b"? ")

TARGETS = (
    Target("signed-payload", _check_payload, (*_PAYLOADS, _NULL), (*JSON_WORDS, *_NAMES)),
    Target("stored-signature", _check_stored, (*_STORED, _MESSAGE), (*JSON_WORDS, *_STORED_NAMES)),
    Target(
        "openpgp-message",
        _check_openpgp,
        (_MESSAGE, _IN_PARTS, *(_packet(8, body) for body in _COMPRESSED), b"\xa3" + _COMPRESSED[1]),
        (b"\xc4", b"\xcb", b"\xc2", b"\xc8", b"\xa3", b"\xff\xff\xff\xff\xff", b"\xfe", b"\xe0", b"\xc0\x00"),
    ),
    Target("pem", _check_pem, (_KEY, _ENVELOPE, b"note\n" + _KEY * 2), _PEM_WORDS),
    Target("keys", _check_keys, (_KEY, _ENVELOPE), (*_PEM_WORDS, *JSON_WORDS)),
    Target("log-entry", _check_log_entry, (_PROMISE, _logged()), (*JSON_WORDS, *_LOG_NAMES)),
    Target("signing-parameters", _check_parameters, _PARAMETERS, _YAML_WORDS),
)
