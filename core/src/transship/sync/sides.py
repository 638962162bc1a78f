"""How the two sides of a sync are opened, wherever a job runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

from transship.copy.crew import blob_threads
from transship.copy.flights import BlobFlights
from transship.copy.signers import SharedSigner
from transship.discovery import PluginManager
from transship.errors import UnsupportedError
from transship.places import make_context
from transship.plugin.cancellation import Cancellation
from transship.plugin.context import Context
from transship.plugin.credentials import Credentials
from transship.plugin.shared import Shared
from transship.policy.document import Policy


@dataclass(frozen=True, slots=True)
class Side:
    """How one side of a job is opened: the transport's ``options`` and, ``anonymous``, without credentials.

    It holds no secret: ``secret`` is the name of credentials that only the process which made the job has, ``""``:
    those that are found where the job runs.
    """

    options: tuple[tuple[str, str], ...] = ()
    anonymous: bool = False
    secret: str = ""

    def with_options(self, options: Mapping[str, str]) -> Side:
        """The same with other values for some options."""
        return replace(self, options=tuple(sorted((dict(self.options) | dict(options)).items())))


@dataclass(frozen=True, slots=True)
class Workplace:
    """What the jobs of one run have in common in one process: connections among other things. Close it.

    ``secrets`` are the credentials that sides name. ``creation_cache`` is the file that remembers when images were
    created, ``""``: none does. Several threads may use it at the same time.
    """

    manager: PluginManager
    policy: Policy
    cancellation: Cancellation = field(default_factory=Cancellation)
    temporary_directory: str = ""
    warn: Callable[[str], None] = lambda message: None
    debug: Callable[[str], None] = lambda message: None
    secrets: Mapping[str, Credentials] = field(default_factory=dict)
    signers: Sequence[SharedSigner] = ()
    creation_cache: str = ""
    flights: BlobFlights = field(default_factory=BlobFlights)
    threads: Executor = field(default_factory=blob_threads)
    _contexts: dict[tuple[str, Side], Context] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def context(self, role: str, side: Side) -> Context:
        """The context for ``role``, ``"source"`` or ``"destination"``; for the same side it is the same one."""
        with self._lock:
            if (role, side) not in self._contexts:
                self._contexts[role, side] = self._new_context(side)
            return self._contexts[role, side]

    def close(self) -> None:
        """Close all connections, and end the threads. May be called more than once."""
        self.threads.shutdown()
        with self._lock:
            contexts = list(self._contexts.values())
            self._contexts.clear()
        with contextlib.ExitStack() as stack:
            for context in contexts:
                if context.shared is not None:
                    stack.callback(context.shared.close)

    def _new_context(self, side: Side) -> Context:
        if side.secret and side.secret not in self.secrets:
            raise UnsupportedError("the credentials for this job are not here: put them into an auth file instead")
        context = make_context(
            self.manager,
            options=dict(side.options),
            temporary_directory=self.temporary_directory,
            cancellation=self.cancellation,
            credentials=self.secrets.get(side.secret),
            anonymous=side.anonymous,
            warn=self.warn,
            debug=self.debug,
        )
        return replace(context, shared=Shared())


@dataclass(frozen=True, slots=True)
class WorkplaceSettings:
    """What a workplace in another process is made from. It can be pickled and holds no secret.

    ``policy`` is a path there, None: the default places there. ``insecure_policy``: any image is accepted.
    """

    policy: str | None = None
    insecure_policy: bool = False
    temporary_directory: str = ""
    disabled_plugins: tuple[str, ...] = ()
