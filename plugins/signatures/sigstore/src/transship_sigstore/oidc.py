"""OpenID Connect: providers, and the tokens with which they vouch for somebody."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from transship.errors import InvalidManifestError, SignatureError
from transship.image.quoting import quoted
from transship.image.strict_json import load_json_object
from transship.plugin.cancellation import Cancellation
from transship_sigstore.service import Answer, ask, base_url, is_loopback, require_url

SCOPE = "openid email"
S256 = "S256"

_TOKEN_LIMIT = 64 << 10
_TOKEN = re.compile(r"[\w-]+={0,2}\.[\w-]+={0,2}\.[\w-]*={0,2}", re.ASCII)  # anything else must not get into a header


@dataclass(frozen=True, slots=True)
class IdToken:
    """A token as it goes to Fulcio, and the one whom it is about: an e-mail address, or the provider's own word."""

    text: str = field(repr=False)
    subject: str

    @classmethod
    def parse(cls, text: str) -> IdToken:
        """Read a token; Fulcio checks who made it. Raises ``SignatureError``."""
        return cls(text, _subject(_claims(text)))


@dataclass(frozen=True, slots=True)
class Client:
    """What a provider knows this program as; ``secret`` may be ``""``."""

    id: str
    secret: str = field(repr=False, default="")

    def form(self, **fields: str) -> dict[str, str]:
        """The fields of a request, with who asks."""
        return {**fields, "client_id": self.id, **({"client_secret": self.secret} if self.secret else {})}


class Proof(NamedTuple):
    """The proof that who asks for a token is who began (PKCE, RFC 7636)."""

    verifier: str
    challenge: str

    @classmethod
    def new(cls) -> Proof:
        """One that nobody can guess."""
        verifier = secrets.token_urlsafe(48)
        digest = hashlib.sha256(verifier.encode("ascii")).digest()
        return cls(verifier, base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii"))


@dataclass(frozen=True, slots=True)
class Provider:
    """An OpenID provider. ``device_endpoint`` is ``""`` if it has none. ``cancellation`` ends waiting for it."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    device_endpoint: str
    cancellation: Cancellation

    @classmethod
    def discover(cls, url: str, cancellation: Cancellation) -> Provider:
        """Ask the provider at ``url`` what it offers (OpenID Connect Discovery 1.0); raise ``SignatureError``."""
        address = base_url(url, "oidcIssuerURL")
        answer = ask("GET", f"{address}/.well-known/openid-configuration", cancellation=cancellation)
        if answer.status != 200:
            raise answer.failure()
        document = answer.json()
        if document.get("issuer") != url:
            raise SignatureError(
                f"oidc: issuer did not match the issuer returned by provider, expected {quoted(url)} "
                f"got {quoted(str(document.get('issuer')))}"
            )
        methods = document.get("code_challenge_methods_supported")
        if not isinstance(methods, list) or S256 not in methods:
            raise SignatureError(f"provider {url} does not support PKCE, which keeps others from using your login")
        authorization, token, device = (
            _endpoint(document, f"{name}_endpoint", url) for name in ("authorization", "token", "device_authorization")
        )
        return cls(url, authorization, token, device, cancellation)

    def token(self, client: Client, fields: Mapping[str, str]) -> Answer:
        """What the provider answers to a request for a token."""
        return ask("POST", self.token_endpoint, form=client.form(**fields), cancellation=self.cancellation)

    def accept(self, answer: Answer, client: Client, *, nonce: str = "") -> IdToken:
        """The token in ``answer``, made by this provider for this client; raise ``SignatureError``.

        It came straight from the provider over TLS, which stands for its signature (OpenID Connect Core, 3.1.3.7).
        """
        text = answer.json().get("id_token")
        if not isinstance(text, str):
            raise SignatureError("id_token not present")
        claims = _claims(text)
        audience = claims.get("aud")
        if claims.get("iss") != self.issuer:
            raise SignatureError("oidc: the ID token was issued by somebody else")
        if client.id not in (audience if isinstance(audience, list) else [audience]):
            raise SignatureError("oidc: the ID token is for somebody else")
        expires = claims.get("exp")
        if not isinstance(expires, int | float) or expires < time.time():
            raise SignatureError("oidc: the ID token has expired")
        if nonce and not hmac.compare_digest(str(claims.get("nonce")).encode(), nonce.encode()):
            raise SignatureError("nonce does not match value sent")
        return IdToken(text, _subject(claims))


def word_of_refusal(answer: Answer) -> str:
    """The provider's word for why it gives no token, ``""`` if there is none (RFC 6749, 5.2)."""
    try:
        word = answer.json().get("error")
    except SignatureError:
        return ""
    return word if isinstance(word, str) else ""


def refused(answer: Answer, *secrets_sent: str) -> SignatureError:
    """The error for a token that the provider does not give."""
    word = word_of_refusal(answer)
    return SignatureError(f"error obtaining token: {quoted(word)}") if word else answer.failure(secrets_sent)


def _endpoint(document: Mapping[str, Any], name: str, issuer: str) -> str:
    url = document.get(name, "")
    if not isinstance(url, str):
        raise SignatureError(f"oidc: {name} is not a text")
    if not url:
        return ""
    if is_loopback(require_url(url, name)) and not is_loopback(issuer):
        raise SignatureError(f"oidc: {name} leads to this machine")
    return url


def _claims(text: str) -> Mapping[str, Any]:
    if len(text) > _TOKEN_LIMIT or not _TOKEN.fullmatch(text):
        raise SignatureError("parsing OIDC token: malformed jwt")
    parts = text.split(".")
    try:
        data = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
    except (binascii.Error, ValueError):
        raise SignatureError("parsing OIDC token: malformed jwt") from None
    try:
        return load_json_object(data, "token")
    except InvalidManifestError:  # what it holds is not shown
        raise SignatureError("parsing OIDC token: malformed jwt") from None


def _subject(claims: Mapping[str, Any]) -> str:
    """Whom Fulcio will take the token's owner for."""
    email, subject = claims.get("email"), claims.get("sub")
    if isinstance(email, str) and email:
        if claims.get("email_verified") not in (True, "true"):
            raise SignatureError("the e-mail address in the OIDC token was not verified by identity provider")
        return email
    if isinstance(subject, str) and subject:
        return subject
    raise SignatureError("parsing OIDC token: no subject found in claims")
