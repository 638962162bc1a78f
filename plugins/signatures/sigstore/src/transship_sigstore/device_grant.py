"""Logging in on another device: the user types a code into any browser (RFC 8628)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from transship.errors import SignatureError
from transship.image.quoting import quoted
from transship_sigstore.oidc import S256, SCOPE, Client, IdToken, Proof, Provider, refused, word_of_refusal
from transship_sigstore.service import ask

_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_SLOWER = 5
_INTERVAL = 5
_LONGEST_INTERVAL = 60
_LIFETIME = 600
_LONGEST_LIFETIME = 1800


class _Code(NamedTuple):
    device_code: str
    user_code: str
    url: str
    lifetime: int
    interval: int


def log_in(provider: Provider, client: Client, tell: Callable[[str], None]) -> IdToken:
    """Let the user log in, who is told how; raise ``SignatureError``."""
    if not provider.device_endpoint:
        raise SignatureError("oidc: device authorization endpoint not returned by provider")
    proof = Proof.new()
    code = _begin(provider, client, proof)
    tell(f"Enter the verification code {code.user_code} in your browser at: {code.url}")
    tell(f"Code will be valid for {code.lifetime} seconds")
    fields = {"grant_type": _GRANT, "device_code": code.device_code, "code_verifier": proof.verifier}
    end, interval = time.monotonic() + code.lifetime, code.interval
    while time.monotonic() < end:
        provider.cancellation.wait(interval)
        answer = provider.token(client, fields)
        if answer.status == 200:
            return provider.accept(answer, client)
        reason = word_of_refusal(answer)
        if reason == "slow_down":
            interval = min(interval + _SLOWER, _LONGEST_INTERVAL)
        elif reason != "authorization_pending":
            raise refused(answer, code.device_code, proof.verifier, client.secret)
    raise SignatureError("error obtaining token: the code was not entered in time")


def _begin(provider: Provider, client: Client, proof: Proof) -> _Code:
    form = client.form(scope=SCOPE, code_challenge=proof.challenge, code_challenge_method=S256)
    answer = ask("POST", provider.device_endpoint, form=form, cancellation=provider.cancellation)
    if answer.status != 200:
        raise answer.failure((client.secret,))
    document = answer.json()
    url = document.get("verification_uri_complete") or document.get("verification_uri")
    codes = (document.get("device_code"), document.get("user_code"), url)
    if not all(isinstance(text, str) and text for text in codes):
        raise SignatureError("oidc: the provider gave no code for the device")
    device_code, user_code, url = codes
    return _Code(
        str(device_code),
        quoted(str(user_code)).strip('"'),
        _printable(str(url)),
        _seconds(document, "expires_in", _LIFETIME, _LONGEST_LIFETIME),
        _seconds(document, "interval", _INTERVAL, _LONGEST_INTERVAL),
    )


def _seconds(document: Mapping[str, Any], name: str, default: int, longest: int) -> int:
    value = document.get(name, default)
    return min(max(value, 1), longest) if isinstance(value, int) else default


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text[:2000])
