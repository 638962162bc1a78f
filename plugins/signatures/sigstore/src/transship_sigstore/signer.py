"""Making signatures, with a key of the user's own or with one that Fulcio certified."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from transship.errors import SignatureError
from transship.image.digest import Digest
from transship.image.reference import DockerReference
from transship.plugin.mechanism import Signer, SigningRequest
from transship.plugin.signature import SIGSTORE_JSON, Signature
from transship.plugin.signed_payload import make_payload
from transship.plugin.sigstore_signature import SigstoreSignature
from transship_sigstore.annotations import BUNDLE, CERTIFICATE, CHAIN, PAYLOAD_TYPE, SIGNATURE, SIGNATURE_TYPE
from transship_sigstore.key_envelope import unseal
from transship_sigstore.keys import PrivateKey, key_pem, sign
from transship_sigstore.parameters import DEVICE_GRANT, STATIC_TOKEN, FulcioParameters, read_parameters

if TYPE_CHECKING:
    from transship_sigstore.oidc import IdToken
    from transship_sigstore.rekor import RekorLog

_FILE_LIMIT = 1 << 20
_MARGIN = 30.0  # seconds that a certificate must have left for the log to see the signature in time


@dataclass(frozen=True, slots=True)
class _Credential:
    """A key, and what of it goes to the log and to the signature. ``expires`` is in seconds since 1970."""

    key: PrivateKey = field(repr=False)
    key_or_certificate: bytes
    annotations: Mapping[str, str] = field(default_factory=dict)
    expires: float = float("inf")


class SigstoreSigner(Signer):
    """Signs with what ``obtain`` gives, and asks it again when that has expired."""

    description = "Signing image using a sigstore signature"
    format = SIGSTORE_JSON

    def __init__(self, obtain: Callable[[], _Credential], log: RekorLog | None) -> None:
        self._obtain: Callable[[], _Credential] | None = obtain
        self._credential: _Credential | None = obtain()
        self._log = log

    def sign(self, manifest: bytes, digest: Digest, identity: DockerReference) -> Signature:
        if not identity.tag and identity.digest is None:
            raise SignatureError(f"reference {identity} can’t be signed, it has neither a tag nor a digest")  # noqa: RUF001
        credential = self._valid_credential()
        payload = make_payload(SIGNATURE_TYPE, identity, digest)
        signature = sign(credential.key, payload)
        said = {SIGNATURE: base64.b64encode(signature).decode("ascii"), **credential.annotations}
        if self._log is not None:
            promise = self._log.upload(credential.key_or_certificate, signature, payload)
            said[BUNDLE] = promise.decode("utf-8")
        return SigstoreSignature(PAYLOAD_TYPE, payload, said).encode()

    def close(self) -> None:
        self._obtain = self._credential = None

    def _valid_credential(self) -> _Credential:
        if self._obtain is None or self._credential is None:
            raise SignatureError("the signer was closed")
        if self._credential.expires < time.time() + _MARGIN:
            self._credential = self._obtain()
        return self._credential


def open_key_signer(request: SigningRequest) -> SigstoreSigner:
    """Sign with the private key in the file ``request.key``; raise ``SignatureError``."""
    return _key_signer(request.key, request, None)


def open_parameters_signer(request: SigningRequest) -> SigstoreSigner:
    """Sign as the parameter file ``request.key`` says; raise ``SignatureError``."""
    from transship_sigstore.rekor import RekorLog

    parameters = read_parameters(request.key)
    log = RekorLog(parameters.rekor_url, request.cancellation) if parameters.rekor_url else None
    if parameters.fulcio is not None:
        return _fulcio_signer(parameters.fulcio, request, log)
    return _key_signer(parameters.private_key_file, request, log, parameters.passphrase_file)


def _key_signer(path: str, request: SigningRequest, log: RekorLog | None, passphrase_file: str = "") -> SigstoreSigner:
    try:
        pem = _read(path)
    except SignatureError as error:
        raise SignatureError(f"reading private key from {path}: {error}") from None
    passphrase = read_passphrase(passphrase_file) if passphrase_file else request.passphrase
    if passphrase is None:
        passphrase = request.prompt(f"Passphrase for key {path}: ")
    try:
        key = unseal(pem, passphrase)
    except SignatureError as error:
        raise SignatureError(f"initializing private key {path}: {error}") from None
    credential = _Credential(key, key_pem(key.public_key()))
    return SigstoreSigner(lambda: credential, log)


def _fulcio_signer(parameters: FulcioParameters, request: SigningRequest, log: RekorLog | None) -> SigstoreSigner:
    from transship_sigstore.fulcio import request_certificate

    token = _id_token(parameters, request)

    def obtain() -> _Credential:
        certified = request_certificate(parameters.url, token, request.cancellation)
        said = {CERTIFICATE: certified.certificate.decode("ascii")}
        if certified.chain:
            said[CHAIN] = certified.chain.decode("ascii")
        return _Credential(certified.key, certified.certificate, said, certified.expires)

    return SigstoreSigner(obtain, log)


def _id_token(parameters: FulcioParameters, request: SigningRequest) -> IdToken:
    from transship_sigstore import browser_grant, device_grant
    from transship_sigstore.oidc import Client, IdToken, Provider

    if parameters.mode == STATIC_TOKEN:
        return IdToken.parse(parameters.id_token.strip())
    client = Client(parameters.client_id, parameters.client_secret)
    try:
        provider = Provider.discover(parameters.issuer_url, request.cancellation)
        if parameters.mode == DEVICE_GRANT:
            return device_grant.log_in(provider, client, request.tell)
        return browser_grant.log_in(provider, client, request.tell, request.prompt)
    except SignatureError as error:
        raise SignatureError(f"Error authenticating with OIDC: {error}") from None


def read_passphrase(path: str) -> bytes:
    """The first line of a file, without its end; raise ``SignatureError``."""
    return _read(path).partition(b"\n")[0]


def _read(path: str) -> bytes:
    """The bytes of a file that may be a pipe."""
    try:
        with open(path, "rb") as file:
            data = file.read(_FILE_LIMIT + 1)
    except OSError as error:
        raise SignatureError(f"open {path}: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:  # a name that no file can have
        raise SignatureError(f"open {path}: {error}") from error
    if len(data) > _FILE_LIMIT:
        raise SignatureError(f"{path}: exceeded maximum allowed size of {_FILE_LIMIT} bytes")
    return data
