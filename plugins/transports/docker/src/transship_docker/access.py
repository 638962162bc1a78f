"""From a reference and the user's settings to a client of the right registry."""

from __future__ import annotations

import ssl
import time
from typing import NamedTuple

from transship import __version__
from transship.errors import TransshipError
from transship.image.reference import DockerReference
from transship.plugin.context import Context
from transship.plugin.credentials import Credentials
from transship_docker.certificates import tls_context
from transship_docker.client import Connections, RegistryClient
from transship_docker.errors import NetworkError, RegistryError, is_passing
from transship_docker.network import Network
from transship_docker.registries import Endpoint, Registries

AUTHFILE = "authfile"
CERT_DIR = "cert-dir"
TLS_VERIFY = "tls-verify"
TLS_DETAILS = "tls-details"
REGISTRIES_CONF = "registries-conf"
USER_AGENT_PREFIX = "user-agent-prefix"

_MIRROR_PAUSE = 60.0


class FailingMirrors:
    """Mirrors that failed a moment ago. Several threads may use it at the same time."""

    def __init__(self) -> None:
        self._ends: dict[str, float] = {}

    def note(self, mirror: Endpoint) -> None:
        """Pass the host of ``mirror`` over for some time."""
        self._ends[mirror.reference.domain] = time.monotonic() + _MIRROR_PAUSE

    def has(self, mirror: Endpoint) -> bool:
        """Whether to pass ``mirror`` over."""
        return time.monotonic() < self._ends.get(mirror.reference.domain, 0.0)


class RegistryAccess(NamedTuple):
    """How one side of a command comes to registries."""

    context: Context
    registries: Registries

    @classmethod
    def load(cls, context: Context) -> RegistryAccess:
        """Read the configuration that ``context`` names, or the user's."""
        path = context.options.get(REGISTRIES_CONF, "")
        return cls(context, context.obtain("docker registries.conf", lambda: Registries.load(path)))

    def endpoints(self, image: DockerReference) -> list[Endpoint]:
        """Where to read ``image``, in order, without mirrors that failed a moment ago in the same run."""
        failing = self._failing()
        return [place for place in self.registries.endpoints(image) if not (place.is_mirror and failing.has(place))]

    def note_failure(self, endpoint: Endpoint, error: TransshipError) -> None:
        """Let the next images of the run not wait for a mirror that is not there, or in trouble."""
        is_in_trouble = isinstance(error, RegistryError) and is_passing(error.status)
        if endpoint.is_mirror and (is_in_trouble or isinstance(error, NetworkError)):
            self._failing().note(endpoint)

    def _failing(self) -> FailingMirrors:
        return self.context.obtain("docker failing mirrors", FailingMirrors)

    def reader(self, endpoint: Endpoint, image: DockerReference) -> RegistryClient:
        """A client to read from ``endpoint`` what the user calls ``image``.

        Credentials that were given for the image's own registry stay away from other hosts.
        """
        if endpoint.is_mirror:
            self.registries.require_allowed(endpoint.reference)
        is_own = endpoint.reference.domain == image.domain
        return self._client(endpoint.reference, "pull", insecure=endpoint.insecure, may_use_given=is_own)

    def client(self, image: DockerReference, actions: str) -> RegistryClient:
        """A client for ``image`` just where its name says; raises ``TransportError`` if that is blocked."""
        self.registries.require_allowed(image)
        return self._client(image, actions, insecure=self.registries.insecure(image), may_use_given=True)

    def _client(self, image: DockerReference, actions: str, *, insecure: bool, may_use_given: bool) -> RegistryClient:
        options = self.context.options
        if options.get(TLS_VERIFY):
            insecure = options[TLS_VERIFY] == "false"
        shared = self._connections(image.domain, insecure=insecure) if self.context.shared is not None else None
        return self.context.obtain(
            ("docker client", image.domain, image.path, actions, insecure, may_use_given),
            lambda: RegistryClient(
                image.domain,
                self.context,
                repository=image.path,
                actions=actions,
                insecure=insecure,
                credentials=lambda: self._credentials(image, may_use_given=may_use_given),
                tls=self._tls(image.domain, insecure=insecure) if shared is None else None,
                user_agent=user_agent(self.context),
                connections=shared,
            ),
        )

    def _connections(self, domain: str, *, insecure: bool) -> Connections:
        """The connections to a registry that all images of a run share."""
        context = self.context

        def connected() -> Connections:
            tls = self._tls(domain, insecure=insecure)
            agent = user_agent(context)
            return Connections(Network(tls, context.cancellation, agent, insecure=insecure, debug=context.debug))

        return context.obtain(("docker connections", domain, insecure), connected)

    def _tls(self, domain: str, *, insecure: bool) -> ssl.SSLContext:
        options = self.context.options
        return tls_context(
            domain,
            cert_dir=options.get(CERT_DIR, ""),
            verify=not insecure,
            tls_details=options.get(TLS_DETAILS, ""),
        )

    def _credentials(self, image: DockerReference, *, may_use_given: bool) -> Credentials | None:
        context = self.context
        if context.anonymous:
            return None
        if context.credentials is not None and may_use_given:
            return context.credentials
        from transship_docker.credential_files import find_credentials  # many registries want none

        return context.find_credentials(image.domain, image.path) or find_credentials(
            image.domain,
            image.path,
            authfile=context.options.get(AUTHFILE, ""),
            helpers=self.registries.credential_helpers,
            warn=context.warn,
            cancellation=context.cancellation,
        )


def user_agent(context: Context) -> str:
    """How we introduce ourselves."""
    return f"{context.options.get(USER_AGENT_PREFIX, '')} transship/{__version__}".strip()
