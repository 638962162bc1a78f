"""Who may do what at the testing registry: Basic, and Bearer with its token endpoint."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from transship.testing.registry_messages import Refusal, Request, Response, json_response

TOKEN_PATH = "/token"  # noqa: S105 - a path
_FORM_LIMIT = 64 << 10
_SCOPE = re.compile(r"(repository|registry)(?:\([a-z]+\))?:([^\s:]+(?::[0-9]+)?[^\s:]*):([a-z*]+(?:,[a-z*]+)*)")

Need = tuple[str, str]
"""A repository (``""`` for the registry itself) and an action on it: pull, push, delete."""

Allowed = Callable[[str, str, str], bool]
"""Tells whether a user (``""`` for anonymous) may do an action on a repository."""


class Access:
    """Lets everybody do everything."""

    def challenge(self, needs: Iterable[Need] = (), error: str = "") -> str:
        """The value of WWW-Authenticate, ``""`` if nobody has to say who they are."""
        return ""

    def require(self, request: Request, needs: Iterable[Need]) -> None:
        """A ``Refusal`` if the request may not do that."""

    def tokens(self, request: Request) -> Response:
        """Answer a request to the token endpoint."""
        raise Refusal(404, "UNSUPPORTED", "there is no token endpoint")

    def expire_tokens(self) -> None:
        """Make all tokens that were handed out worthless; identity tokens live on."""


class BasicAccess(Access):
    """A name and a password with every request."""

    def __init__(self, users: Mapping[str, str], allowed: Allowed) -> None:
        self._users, self._allowed = users, allowed

    def challenge(self, needs: Iterable[Need] = (), error: str = "") -> str:
        return 'Basic realm="testing registry"'

    def require(self, request: Request, needs: Iterable[Need]) -> None:
        user = basic_user(request, self._users)
        needs = list(needs)
        if user is None or (not user and not needs):
            raise Refusal(401, "UNAUTHORIZED", "authentication required", headers=self._headers())
        if not all(self._allowed(user, *need) for need in needs):
            status, code = (403, "DENIED") if user else (401, "UNAUTHORIZED")
            raise Refusal(status, code, "requested access to the resource is denied", headers=self._headers())

    def _headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": self.challenge()}


def basic_user(request: Request, users: Mapping[str, str]) -> str | None:
    """Who the request says it is from: ``""`` if it does not say, None if it is not true."""
    value = request.headers.get("Authorization")
    if not value:
        return ""
    scheme, _, encoded = value.partition(" ")
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    is_known = scheme.lower() == "basic" and bool(colon) and users.get(user) == password
    return user if is_known else None


@dataclass(frozen=True, slots=True)
class Token:
    """What a bearer may do until ``expires`` (of ``time.monotonic``)."""

    user: str
    granted: frozenset[Need]
    expires: float

    def covers(self, need: Need) -> bool:
        """Whether it allows this."""
        return need in self.granted or (need[0], "*") in self.granted


class BearerAccess(Access):
    """Tokens for scopes, that expire after ``lifetime`` seconds and are said to after ``claimed_lifetime``."""

    def __init__(
        self,
        realm: str,
        service: str,
        users: Mapping[str, str],
        allowed: Allowed,
        *,
        lifetime: float,
        claimed_lifetime: float,
        identity_tokens: Mapping[str, str],
        token_members: Iterable[str],
    ) -> None:
        self._realm, self._service = realm, service
        self._users, self._allowed = users, allowed
        self._lifetime, self._claimed = lifetime, claimed_lifetime
        self._members = tuple(token_members)
        self._lock = threading.Lock()
        self._tokens: dict[str, Token] = {}
        self.identity_tokens = dict(identity_tokens)

    def challenge(self, needs: Iterable[Need] = (), error: str = "") -> str:
        parts = {"realm": self._realm, "service": self._service, "scope": _scope(needs), "error": error}
        return "Bearer " + ",".join(f'{name}="{value}"' for name, value in parts.items() if value)

    def require(self, request: Request, needs: Iterable[Need]) -> None:
        needs = list(needs)
        value = request.headers.get("Authorization")
        if not value:
            raise self._unauthorized(needs, "")
        scheme, _, secret = value.partition(" ")
        with self._lock:
            token = self._tokens.get(secret)
        if scheme.lower() != "bearer" or token is None or token.expires <= time.monotonic():
            raise self._unauthorized(needs, "invalid_token")
        if not all(token.covers(need) for need in needs):
            raise self._unauthorized(needs, "insufficient_scope")

    def _unauthorized(self, needs: Iterable[Need], error: str) -> Refusal:
        headers = {"WWW-Authenticate": self.challenge(needs, error)}
        return Refusal(401, "UNAUTHORIZED", "authentication required", headers=headers)

    def expire_tokens(self) -> None:
        with self._lock:
            self._tokens.clear()

    def tokens(self, request: Request) -> Response:
        if request.method == "GET":
            return self._answer_get(request)
        if request.method == "POST":
            return self._answer_post(request)
        raise Refusal(405, "UNSUPPORTED")

    def _answer_get(self, request: Request) -> Response:
        user = basic_user(request, self._users)
        if user is None or request.parameter("account") not in ("", user):
            raise Refusal(401, "UNAUTHORIZED", "wrong name or password", headers={"WWW-Authenticate": "Basic"})
        return self._issue(user, request.query, offline=user != "" and request.parameter("offline_token") == "true")

    def _answer_post(self, request: Request) -> Response:
        if request.headers.get("Content-Type").partition(";")[0] != "application/x-www-form-urlencoded":
            raise Refusal(400, "UNSUPPORTED", "a form is needed")
        form = parse_qs(request.body.read(_FORM_LIMIT).decode("latin-1"), keep_blank_values=True)
        user = self._user_of(form)
        if not user or not any(form.get("client_id", [])):
            raise Refusal(401 if user is None else 400, "UNAUTHORIZED", "the grant is not valid")
        return self._issue(user, form, offline=form.get("access_type") == ["offline"])

    def _user_of(self, form: Mapping[str, list[str]]) -> str | None:
        first = {name: values[0] for name, values in form.items()}
        if first.get("grant_type") == "refresh_token":
            return self.identity_tokens.get(first.get("refresh_token", ""))
        if first.get("grant_type") == "password":
            user = first.get("username", "")
            return user if user and self._users.get(user) == first.get("password") else None
        return ""

    def _issue(self, user: str, asked: Mapping[str, list[str]], *, offline: bool) -> Response:
        if asked.get("service", [self._service]) != [self._service]:
            raise Refusal(400, "UNSUPPORTED", "another service is asked for")
        scopes = " ".join(asked.get("scope", [])).split()
        granted = frozenset(need for need in _needs_of(scopes) if self._allowed(user, *need))
        secret = secrets.token_urlsafe(32)
        with self._lock:
            self._tokens[secret] = Token(user, granted, time.monotonic() + self._lifetime)
        answer: dict[str, Any] = dict.fromkeys(self._members, secret)
        answer |= {"expires_in": int(self._claimed), "issued_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        return json_response(answer | (self._identity(user) if offline else {}))

    def _identity(self, user: str) -> dict[str, str]:
        secret = secrets.token_urlsafe(32)
        self.identity_tokens[secret] = user
        return {"refresh_token": secret}


def _scope(needs: Iterable[Need]) -> str:
    actions: dict[str, list[str]] = {}
    for repository, action in needs:
        actions.setdefault(repository, []).append(action)
    named = [
        f"repository:{name}:{','.join(wanted)}" if name else "registry:catalog:*" for name, wanted in actions.items()
    ]
    return " ".join(named)


def _needs_of(scopes: Iterable[str]) -> Iterable[Need]:
    for scope in scopes:
        found = _SCOPE.fullmatch(scope)
        if not found:
            raise Refusal(400, "UNSUPPORTED", f"malformed scope {scope[:100]!r}")
        kind, name, actions = found.groups()
        yield from ((name if kind == "repository" else "", action) for action in actions.split(","))
