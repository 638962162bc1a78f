"""Bearer tokens: asked for at the realm of a challenge, kept per scope, renewed when they expire.

https://distribution.github.io/distribution/spec/auth/token/ and, for identity tokens, …/auth/oauth/
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from transship.errors import TransportError
from transship.plugin.cancellation import Cancellation
from transship.plugin.credentials import Credentials
from transship_docker.addresses import resolve
from transship_docker.backoff import Backoff
from transship_docker.challenge import basic_authorization
from transship_docker.errors import RegistryError, printable, redacted, refusal
from transship_docker.network import Network
from transship_docker.realm import checked_realm
from transship_docker.responses import whole_answer

if TYPE_CHECKING:
    from transship_docker.messages import Response

TOKEN_LIMIT = 1 << 20
_SHORTEST_LIFE = 60.0
_LONGEST_LIFE = 86400.0
_MARGIN = 5.0
_CLIENT_ID = "containers/image"


class _Token(NamedTuple):
    value: str
    expires: float

    def __repr__(self) -> str:
        return "_Token(…)"


class TokenService:
    """Gives the tokens that one registry wants to see. Several threads may ask at the same time.

    ``challenge`` holds the parameters of the registry's challenge, ``scope`` what every token is for, ``""``: nothing
    in particular.
    """

    def __init__(
        self,
        network: Network,
        challenge: Mapping[str, str],
        registry_url: str,
        credentials: Credentials | None,
        *,
        scope: str,
        insecure: bool,
        cancellation: Cancellation,
        allowed_hosts: Collection[str] = (),
    ) -> None:
        self._network = network
        self._challenge = challenge
        self._registry_url = registry_url
        self._credentials = credentials or Credentials()
        network.secrets.add_credentials(credentials)
        self._scope = scope
        self._insecure = insecure
        self._cancellation = cancellation
        self._allowed_hosts = allowed_hosts
        self._tokens: dict[str, _Token] = {}
        self._lock = threading.Lock()

    def token(self, extra_scope: str = "") -> str:
        """A token for the scope of this service and, if given, another one."""
        with self._lock:
            token = self._tokens.get(extra_scope)
            if token is None or token.expires <= time.monotonic():
                token = self._tokens[extra_scope] = self._requested(extra_scope)
            return token.value

    def forget(self, value: str) -> None:
        """Do not give this token out again: the registry no longer takes it."""
        with self._lock:
            self._tokens = {scope: token for scope, token in self._tokens.items() if token.value != value}

    def _requested(self, extra_scope: str) -> _Token:
        realm = self._challenge.get("realm", "")
        if not realm:
            raise TransportError("missing realm in bearer auth challenge")
        public_only = checked_realm(
            realm,
            self._registry_url,
            insecure=self._insecure,
            allowed_hosts=self._allowed_hosts,
            ask=lambda host: resolve(host, self._cancellation),
        )
        scopes = [scope for scope in (self._scope, extra_scope) if scope]
        if self._credentials.identity_token:
            return self._posted(realm, scopes, public_only)
        return self._got(realm, scopes, public_only)

    def _got(self, realm: str, scopes: Sequence[str], public_only: bool) -> _Token:
        who = self._credentials
        parts = urlsplit(realm)
        query = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=100)
        if who.username:
            query.append(("account", who.username))
        query += self._service() + [("scope", scope) for scope in scopes]
        url = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query), ""))
        authorization = basic_authorization(who) if who.username and who.password else ""
        response, body = self._answer(
            lambda: self._network.send(
                "GET", url, authorization=authorization, public_only=public_only, same_host_only=True
            )
        )
        return self._token_of(response, body, "Requesting bearer token")

    def _posted(self, realm: str, scopes: Sequence[str], public_only: bool) -> _Token:
        parts = urlsplit(realm)
        form = parse_qsl(parts.query, keep_blank_values=True, max_num_fields=100) + self._service()
        form += [("scope", scope) for scope in scopes]
        form += [
            ("grant_type", "refresh_token"),
            ("refresh_token", self._credentials.identity_token),
            ("client_id", _CLIENT_ID),
        ]
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        url = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
        content = urlencode(form).encode()
        response, body = self._answer(
            lambda: self._network.send(
                "POST", url, headers, content=content, public_only=public_only, same_host_only=True
            )
        )
        return self._token_of(response, body, "Trying to obtain access token")

    def _answer(self, send: Callable[[], Response]) -> tuple[Response, bytes]:
        """That of the service, which may be asked again: a second token does no harm."""
        return whole_answer(send, Backoff(self._cancellation, repeatable=True), TOKEN_LIMIT)

    def _token_of(self, response: Response, body: bytes, doing: str) -> _Token:
        secrets = self._network.secrets
        status, url = response.status_code, secrets.hide(redacted(response.request.url))
        if status == 200:
            return _parsed(body, url)
        if status == 429:
            raise RegistryError("too many requests to registry", status=status, url=url)
        if status == 401:
            reason = refusal(response, body, secrets)
            message = f"unable to retrieve auth token: invalid username/password: {reason}"
            raise RegistryError(message, status=status, code="UNAUTHORIZED", url=url)
        phrase = secrets.hide(printable(f"{status} {response.reason_phrase}"))
        message = f"{doing}: received unexpected HTTP status: {phrase}"
        if status == 404:  # it is the token service that is not there: that says nothing of what the token is for
            raise TransportError(message)
        raise RegistryError(message, status=status, url=url)

    def _service(self) -> list[tuple[str, str]]:
        service = self._challenge.get("service", "")
        return [("service", service)] if service else []


def _parsed(body: bytes, url: str) -> _Token:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        # What the body begins with is not shown: it may be a token after all.
        raise TransportError(f'decoding bearer token (last URL "{url}"): not a JSON object')
    value = answer.get("token") or answer.get("access_token")
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise TransportError(f'decoding bearer token (last URL "{url}"): it holds no token')
    return _Token(value, time.monotonic() + _life(answer.get("expires_in")) - _MARGIN)


def _life(seconds: Any) -> float:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return _SHORTEST_LIFE
    return float(min(max(seconds, _SHORTEST_LIFE), _LONGEST_LIFE)) if seconds == seconds else _SHORTEST_LIFE  # noqa: PLR0124 - false for NaN
