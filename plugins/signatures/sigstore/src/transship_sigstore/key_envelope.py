"""Private keys in files: cosign's envelope, PEM around JSON around scrypt and NaCl's secretbox."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from typing import Any

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from transship.errors import InvalidManifestError, SignatureError
from transship.image.strict_json import dump_json, load_json_object
from transship_sigstore.keys import PrivateKey, private_key_der, read_private_key
from transship_sigstore.pem import decode_base64, read_pem, write_pem

_LABEL = "ENCRYPTED COSIGN PRIVATE KEY"
_LABELS = (_LABEL, "ENCRYPTED SIGSTORE PRIVATE KEY")
_KDF = "scrypt"
_CIPHER = "nacl/secretbox"
_COST = 65536
_COSTS = (32768, _COST)  # older and newer releases of cosign; memory and time grow with it
_BLOCK_SIZE = 8
_SALT_SIZE = 32
_SALT_LIMIT = 1024
_SCRYPT_MEMORY = 128 << 20


def seal(key: PrivateKey, passphrase: bytes) -> bytes:
    """The PEM text of ``key``, encrypted with ``passphrase``, which may be empty."""
    salt, nonce = os.urandom(_SALT_SIZE), os.urandom(SecretBox.NONCE_SIZE)
    box = SecretBox(_derived(passphrase, salt, _COST))
    envelope = {
        "kdf": {"name": _KDF, "params": {"N": _COST, "r": _BLOCK_SIZE, "p": 1}, "salt": _encoded(salt)},
        "cipher": {"name": _CIPHER, "nonce": _encoded(nonce)},
        "ciphertext": _encoded(box.encrypt(private_key_der(key), nonce).ciphertext),
    }
    return write_pem(_LABEL, dump_json(envelope))


def unseal(pem: bytes, passphrase: bytes) -> PrivateKey:
    """The key in a PEM text; raise ``SignatureError``, also for a wrong passphrase."""
    box, nonce, ciphertext = _opened(_envelope(pem), passphrase)
    try:
        der = box.decrypt(ciphertext, nonce)
    except (CryptoError, ValueError):
        raise SignatureError("decrypt: encrypted: decryption failed; is the passphrase right?") from None
    return read_private_key(der)


def _envelope(pem: bytes) -> bytes:
    try:
        blocks = read_pem(pem, "private key")
    except SignatureError:
        blocks = []
    if len(blocks) != 1:
        raise SignatureError("invalid pem block")
    label, data = blocks[0]
    if label not in _LABELS:
        raise SignatureError(f"unsupported pem type: {label}")
    return data


def _opened(envelope: bytes, passphrase: bytes) -> tuple[SecretBox, bytes, bytes]:
    """What decrypts the key, with which nonce, out of which bytes."""
    try:
        members = load_json_object(envelope, "envelope")
    except InvalidManifestError as error:
        raise SignatureError(f"decrypt: {error}") from None
    kdf, cipher = _object(members, "kdf"), _object(members, "cipher")
    if kdf.get("name") != _KDF or cipher.get("name") != _CIPHER:
        raise SignatureError("decrypt: the key is encrypted in an unknown way")
    salt, nonce, ciphertext = _bytes(kdf, "salt"), _bytes(cipher, "nonce"), _bytes(members, "ciphertext")
    if len(nonce) != SecretBox.NONCE_SIZE or len(salt) > _SALT_LIMIT:
        raise SignatureError("decrypt: nonce or salt of an unexpected size")
    return SecretBox(_derived(passphrase, salt, _cost(_object(kdf, "params")))), nonce, ciphertext


def _cost(params: Mapping[str, Any]) -> int:
    cost: Any = params.get("N")
    if cost not in _COSTS or params.get("r") != _BLOCK_SIZE or params.get("p") != 1:
        raise SignatureError("decrypt: unsupported parameters of scrypt")
    return int(cost)


def _derived(passphrase: bytes, salt: bytes, cost: int) -> bytes:
    return hashlib.scrypt(
        passphrase, salt=salt, n=cost, r=_BLOCK_SIZE, p=1, maxmem=_SCRYPT_MEMORY, dklen=SecretBox.KEY_SIZE
    )


def _object(members: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = members.get(name)
    if not isinstance(value, dict):
        raise SignatureError(f"decrypt: {name} is missing")
    return value


def _bytes(members: Mapping[str, Any], name: str) -> bytes:
    value = members.get(name)
    if not isinstance(value, str):
        raise SignatureError(f"decrypt: {name} is missing")
    return decode_base64(value, f"decrypt: {name}")


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
