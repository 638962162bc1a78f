"""Short-lived certificates of a Fulcio CA."""

from __future__ import annotations

import base64
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from transship.errors import SignatureError
from transship.plugin.cancellation import Cancellation
from transship_sigstore.certificates import MALFORMED, read_certificates
from transship_sigstore.keys import PrivateKey, generate_key, key_der, sign, usable
from transship_sigstore.oidc import IdToken
from transship_sigstore.service import Answer, ask, base_url

_DONE = (200, 201)


class Certified(NamedTuple):
    """A new private key, and the certificate for it: leaf and chain in PEM. ``expires`` is in seconds since 1970."""

    key: PrivateKey
    certificate: bytes
    chain: bytes
    expires: float

    def __repr__(self) -> str:
        return "Certified(…)"


def request_certificate(url: str, token: IdToken, cancellation: Cancellation) -> Certified:
    """Have the CA at ``url`` certify a new key for the owner of ``token``; raise ``SignatureError``."""
    address = f"{base_url(url, 'fulcioURL')}/api/v1/signingCert"
    key = generate_key()
    try:
        answer = _asked(address, key, token, cancellation)
        leaf, *chain = _certificates(answer)
        if key_der(usable(leaf.public_key())) != key_der(key.public_key()):
            raise SignatureError("the certificate is for another key")
    except (SignatureError, *MALFORMED) as error:
        raise SignatureError(f"obtaining certificate from Fulcio: {error}") from None
    return Certified(key, _pem([leaf]), _pem(chain), leaf.not_valid_after_utc.timestamp())


def _asked(address: str, key: PrivateKey, token: IdToken, cancellation: Cancellation) -> Answer:
    proof = sign(key, token.subject.encode("utf-8"))
    request = {
        "publicKey": {"content": _encoded(key_der(key.public_key())), "algorithm": "ecdsa"},
        "signedEmailAddress": _encoded(proof),
    }
    headers = {"Authorization": f"Bearer {token.text}", "Accept": "application/pem-certificate-chain"}
    answer = ask("POST", address, headers=headers, json=request, cancellation=cancellation)
    if answer.status not in _DONE:
        raise answer.failure((token.text,))
    return answer


def _certificates(answer: Answer) -> list[x509.Certificate]:
    certificates = read_certificates(answer.body, f"answer of {answer.url}")
    if not certificates:
        raise SignatureError("the answer holds no certificate")
    return certificates


def _pem(certificates: list[x509.Certificate]) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
