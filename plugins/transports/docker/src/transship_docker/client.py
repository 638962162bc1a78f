"""One registry, as one side of a command talks to it: ping, authentication, errors, patience."""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, NamedTuple

from transship.errors import TransportError
from transship.image.strict_json import METADATA_LIMIT
from transship.plugin.context import Context
from transship.plugin.credentials import Credentials
from transship_docker.addresses import origin_of
from transship_docker.backoff import Backoff
from transship_docker.challenge import Challenge, basic_authorization, parse_challenges
from transship_docker.errors import (
    ERROR_BODY_LIMIT,
    NetworkError,
    RegistryError,
    printable,
    redacted,
    refusal,
    while_doing,
)
from transship_docker.network import Body, Network, absolute_url
from transship_docker.responses import read_body, read_what_comes

TOKEN_HOSTS = "token-hosts"  # noqa: S105 - the name of an option
"""The option that names private hosts which may be token services."""

_DOCKER_HUB = "docker.io"
_DOCKER_HUB_SERVER = "registry-1.docker.io"
_SCHEMES = ("basic", "bearer")
_WARNING = re.compile(r'299 - "((?:[^"\\]|\\.)*)"')
_AUTHENTICATION_ROUNDS = 3
_API_VERSION = ("Docker-Distribution-API-Version", "registry/2.0")

if TYPE_CHECKING:
    from transship_docker.messages import Headers, Response
    from transship_docker.tokens import TokenService

FindClientCredentials = Callable[[], Credentials | None]


class Answer(NamedTuple):
    """An answer with its body, as it came: what Content-Encoding says of it is not undone.

    ``url`` is the address that answered, after redirects.
    """

    status_code: int
    headers: Headers
    content: bytes
    url: str


class _Registry(NamedTuple):
    """What a ping found out. ``challenge`` is None where the registry asks for nothing that we know."""

    url: str
    challenge: Challenge | None
    supports_signatures: bool


class _Request(NamedTuple):
    method: str
    url: str
    headers: list[tuple[str, str]]
    content: Body
    stall_timeout: float | None

    @property
    def can_resend(self) -> bool:
        return self.content is None or isinstance(self.content, bytes)

    @property
    def is_repeatable(self) -> bool:
        """Whether it does no harm to make it again after it was served."""
        return self.can_resend and self.method in ("GET", "HEAD")


class _Authorization(NamedTuple):
    """The header to send, and the token in it, ``""`` if there is none that could be renewed."""

    header: str = ""
    token: str = ""

    def __repr__(self) -> str:
        return "_Authorization(…)"


class Connections:
    """The connections to one registry, and what a ping found out there: clients of several repositories share them."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.lock = threading.RLock()
        self.registry: _Registry | None = None

    def close(self) -> None:
        """Close all connections. May be called more than once."""
        self.network.close()


class RegistryClient:
    """Talks to one registry for one repository. Several threads may use one at the same time.

    ``host`` is as the user wrote it; ``docker.io`` is asked where it really lives. ``repository`` and ``actions``
    (``pull``, ``pull,push``, ``*``) say what tokens are asked for; no repository: tokens without scope. ``insecure``:
    certificates are not verified, and http will do. ``credentials`` may be a function that is called when the
    registry wants to see some. ``connections`` are somebody else's, who closes them; without them the client makes its
    own, with ``tls``. Nothing is sent before the first request.
    """

    def __init__(
        self,
        host: str,
        context: Context,
        *,
        repository: str = "",
        actions: str = "pull",
        insecure: bool = False,
        credentials: Credentials | FindClientCredentials | None = None,
        tls: ssl.SSLContext | None = None,
        user_agent: str = "transship",
        connections: Connections | None = None,
    ) -> None:
        self.host = host
        self.repository = repository
        self._context = context
        self._insecure = insecure
        self._scope = f"repository:{repository}:{actions}" if repository else ""
        self._credentials = credentials
        self._own = None
        if connections is None:
            if tls is None:
                raise ValueError("a client without connections needs to know about TLS")
            network = Network(tls, context.cancellation, user_agent, insecure=insecure, debug=context.debug)
            connections = self._own = Connections(network)
        self._shared = connections
        self._network = self._shared.network
        self._lock = threading.RLock()
        self._found_credentials: tuple[Credentials | None] | None = None
        self._tokens: TokenService | None = None
        self._warnings: set[str] = set()

    @property
    def supports_signatures(self) -> bool:
        """Whether the registry stores simple signatures itself."""
        return self.ping().supports_signatures

    @property
    def insecure(self) -> bool:
        """Whether http will do."""
        return self._insecure

    def shown(self, url: str) -> str:
        """An address that the registry gave, as it may be shown."""
        return self._network.secrets.hide(redacted(url))

    @property
    def network(self) -> Network:
        """Connections to anywhere, without credentials."""
        return self._network

    def ping(self) -> _Registry:
        """Make sure that there is a registry, once; raises ``TransportError``."""
        with self._shared.lock:
            if self._shared.registry is None:
                server = _DOCKER_HUB_SERVER if self.host == _DOCKER_HUB else self.host
                with while_doing(f"pinging container registry {server}"):
                    self._shared.registry = self._pinged(server)
            return self._shared.registry

    def request(
        self,
        method: str,
        path_or_url: str,
        *,
        headers: Mapping[str, str] | Collection[tuple[str, str]] = (),
        content: Body = None,
        extra_scope: str = "",
        accept_statuses: Collection[int] = (200,),
        stall_timeout: float | None = None,
        limit: int = METADATA_LIMIT,
    ) -> Answer:
        """The answer with its body, at most ``limit`` bytes. As ``open`` in everything else."""
        request = self._request(method, path_or_url, headers, content, stall_timeout)
        backoff = self._backoff(request)
        while True:
            response = self._accepted(request, backoff, extra_scope, accept_statuses)
            try:
                body = read_body(response, limit)
                return Answer(response.status_code, response.headers, body, response.request.url)
            except NetworkError as error:
                if not (error.retryable and backoff.wait_after_failure(timed_out=error.timed_out)):
                    raise

    def open(
        self,
        method: str,
        path_or_url: str,
        *,
        headers: Mapping[str, str] | Collection[tuple[str, str]] = (),
        content: Body = None,
        extra_scope: str = "",
        accept_statuses: Collection[int] = (200,),
        stall_timeout: float | None = None,
    ) -> Response:
        """An answer whose body is still to be read, with ``responses.pieces``; close it.

        ``path_or_url`` is a path of the registry, or an address that the registry gave; credentials are sent to the
        registry's own origin only. ``extra_scope`` is a further scope that the token must have. ``content`` that is
        not bytes is sent once and never again. ``stall_timeout`` is for servers that think long before they answer.
        Raises ``RegistryError`` for a status that is not accepted, and ``NetworkError``.
        """
        request = self._request(method, path_or_url, headers, content, stall_timeout)
        return self._accepted(request, self._backoff(request), extra_scope, accept_statuses)

    def authorize(self, extra_scope: str = "") -> None:
        """Get what later requests need, so that a body that can be sent only once does not meet a refusal."""
        self._authorization(self.ping().url, extra_scope)

    def close(self) -> None:
        """Close the client's own connections. May be called more than once."""
        if self._own is not None:
            self._own.close()

    def _request(
        self,
        method: str,
        path_or_url: str,
        headers: Mapping[str, str] | Collection[tuple[str, str]],
        content: Body,
        stall_timeout: float | None,
    ) -> _Request:
        registry = self.ping().url
        is_path = path_or_url.startswith("/")
        url = f"{registry}{path_or_url}" if is_path else absolute_url(path_or_url, f"{registry}/")
        return _Request(method, url, _with_version(headers), content, stall_timeout)

    def _backoff(self, request: _Request) -> Backoff:
        return Backoff(self._context.cancellation, repeatable=request.is_repeatable)

    def _accepted(
        self, request: _Request, backoff: Backoff, extra_scope: str, accept_statuses: Collection[int]
    ) -> Response:
        rounds = 0
        while True:
            shown = self._authorization(request.url, extra_scope)
            response = self._sent(request, shown, backoff)
            if response.status_code in accept_statuses:
                return response
            refused = self._refused(response)
            if not request.can_resend:
                raise refused
            if response.status_code == 401 and rounds < _AUTHENTICATION_ROUNDS:
                rounds += 1
                further = self._after_unauthorized(response, shown, extra_scope, is_first=rounds == 1)
                if further is not None:
                    extra_scope = further
                    continue
            if not backoff.wait_after_status(response.status_code, response.headers):
                raise refused

    def _sent(self, request: _Request, shown: _Authorization, backoff: Backoff) -> Response:
        while True:
            try:
                response = self._network.send(
                    request.method,
                    request.url,
                    request.headers,
                    content=request.content,
                    authorization=shown.header,
                    stall_timeout=request.stall_timeout,
                )
            except NetworkError as error:
                if error.retryable and backoff.wait_after_failure(timed_out=error.timed_out):
                    continue
                raise
            self._show_warnings(response)
            return response

    def _refused(self, response: Response) -> RegistryError:
        return refusal(response, read_what_comes(response, ERROR_BODY_LIMIT), self._network.secrets)

    def _pinged(self, server: str) -> _Registry:
        try:
            return self._pinged_at(f"https://{server}", is_patient=not self._insecure)
        except TransportError:
            if not self._insecure:
                raise
        return self._pinged_at(f"http://{server}", is_patient=True)

    def _pinged_at(self, url: str, *, is_patient: bool) -> _Registry:
        backoff = Backoff(self._context.cancellation, repeatable=is_patient)
        while True:
            try:
                response = self._network.send("GET", f"{url}/v2/", _with_version(()))
            except NetworkError as error:
                # Where nobody listens the name is likely wrong: the user wants to know at once.
                may_pass = error.was_connected and error.retryable
                if may_pass and backoff.wait_after_failure(timed_out=error.timed_out):
                    continue
                raise
            body = read_what_comes(response, ERROR_BODY_LIMIT)
            if response.status_code in (200, 401):
                break
            if not backoff.wait_after_status(response.status_code, response.headers):
                raise refusal(response, body)
        challenge = _usable_challenge(response)
        return _Registry(url, challenge, response.headers.get("x-registry-supports-signatures") == "1")

    def _authorization(self, url: str, extra_scope: str) -> _Authorization:
        registry = self.ping()
        if registry.challenge is None or origin_of(url) != origin_of(registry.url):
            return _Authorization()
        credentials = self._known_credentials()
        if registry.challenge.scheme == "basic":
            is_given = credentials is not None and (credentials.username or credentials.password)
            return _Authorization(basic_authorization(credentials)) if credentials and is_given else _Authorization()
        if credentials is not None and credentials.registry_token:
            return _Authorization(f"Bearer {credentials.registry_token}")
        token = self._token_service(registry, credentials).token(extra_scope)
        return _Authorization(f"Bearer {token}", token)

    def _known_credentials(self) -> Credentials | None:
        with self._lock:
            if self._found_credentials is None:
                found = self._credentials() if callable(self._credentials) else self._credentials
                self._network.secrets.add_credentials(found)
                self._found_credentials = (found,)
            return self._found_credentials[0]

    def _token_service(self, registry: _Registry, credentials: Credentials | None) -> TokenService:
        from transship_docker.tokens import TokenService  # many registries want no tokens

        with self._lock:
            if self._tokens is None:
                allowed = self._context.options.get(TOKEN_HOSTS, "").split(",")
                self._tokens = TokenService(
                    self._network,
                    registry.challenge.parameters if registry.challenge else {},
                    registry.url,
                    credentials,
                    scope=self._scope,
                    insecure=self._insecure,
                    cancellation=self._context.cancellation,
                    allowed_hosts=[host.strip().lower() for host in allowed if host.strip()],
                )
            return self._tokens

    def _after_unauthorized(
        self, response: Response, shown: _Authorization, extra_scope: str, *, is_first: bool
    ) -> str | None:
        """The extra scope to try again with, None if there is no point in that."""
        url = response.request.url
        if origin_of(url) != origin_of(self.ping().url):
            return None
        if not shown.header:
            self._take_up_challenge(response)
            return extra_scope if self._authorization(url, extra_scope).header else None
        if not shown.token or self._tokens is None:
            return None
        wanted = _missing_scope(response)
        if wanted and not extra_scope:
            return wanted
        self._tokens.forget(shown.token)
        return extra_scope if is_first else None

    def _take_up_challenge(self, response: Response) -> None:
        """Heed a challenge that comes only now, as from registries that let everybody ping and read."""
        with self._shared.lock:
            registry = self.ping()
            if registry.challenge is None:
                self._shared.registry = registry._replace(challenge=_usable_challenge(response))

    def _show_warnings(self, response: Response) -> None:
        hide = self._network.secrets.hide
        for line in response.headers.get_list("warning")[:20]:
            match = _WARNING.fullmatch(line.strip())
            if match and self._is_news(text := printable(hide(match[1]))):
                url = hide(redacted(response.request.url))
                self._context.warn(f'Warning from registry (first encountered at "{url}"): "{text}"')

    def _is_news(self, text: str) -> bool:
        with self._lock:
            is_news = text not in self._warnings and len(self._warnings) < 100
            self._warnings.add(text)
            return is_news


def _with_version(headers: Mapping[str, str] | Collection[tuple[str, str]]) -> list[tuple[str, str]]:
    return [_API_VERSION, *(headers.items() if isinstance(headers, Mapping) else headers)]


def _usable_challenge(response: Response) -> Challenge | None:
    challenges = parse_challenges(response.headers.get_list("www-authenticate"))
    return next((challenge for challenge in challenges if challenge.scheme in _SCHEMES), None)


def _missing_scope(response: Response) -> str:
    for challenge in parse_challenges(response.headers.get_list("www-authenticate")):
        if challenge.scheme == "bearer" and challenge.parameters.get("error") == "insufficient_scope":
            return challenge.parameters.get("scope", "")
    return ""
