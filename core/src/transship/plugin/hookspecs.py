"""Every hook of transship. A plugin is a module (or object) with functions of these names, marked ``@hookimpl``.

Plugins are entry points. Those of the groups ``transship.transports``, ``transship.compressions``,
``transship.signatures``, ``transship.commands`` and ``transship.executors`` are loaded by name, when something asks
for that name; those of ``transship.extensions`` are loaded at every start. A hook implementation may leave out
arguments that it does not need, so hooks can grow.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pluggy import HookspecMarker

if TYPE_CHECKING:
    import click

    from transship.plugin.compression import Compression
    from transship.plugin.credentials import Credentials
    from transship.plugin.events import Event
    from transship.plugin.executor import ExecutorFactory
    from transship.plugin.mechanism import SignatureMechanism
    from transship.plugin.transport import Transport

hookspec = HookspecMarker("transship")


@hookspec
def transship_transports() -> Iterable[Transport]:  # type: ignore[empty-body]
    """Offer transports.

    Called once, in the thread that first names one of them. An exception makes the reference fail with a line
    that names the distribution.

        @hookimpl
        def transship_transports():
            return [MemoryTransport()]
    """


@hookspec
def transship_compressions() -> Iterable[Compression]:  # type: ignore[empty-body]
    """Offer compression algorithms.

    Called once, in the thread that first meets data compressed that way. An exception makes that copy fail.

        @hookimpl
        def transship_compressions():
            return [Lz4()]
    """


@hookspec
def transship_signature_mechanisms() -> Iterable[SignatureMechanism]:  # type: ignore[empty-body]
    """Offer kinds of signatures: requirements of a trust policy, ways to sign, places to keep signatures.

    Called once, in the thread that first needs one of them; all mechanisms are asked when a policy holds a
    requirement that the core does not know. An exception makes that command fail: nothing is accepted without them.

        @hookimpl
        def transship_signature_mechanisms():
            return [Notation()]
    """


@hookspec
def transship_commands() -> Iterable[click.Command]:  # type: ignore[empty-body]
    """Offer commands of the command line, each under its own name.

    Called once, in the main thread, only when the user names the command or asks for help.

        @hookimpl
        def transship_commands():
            return [login]
    """


@hookspec
def transship_executors() -> Iterable[ExecutorFactory]:  # type: ignore[empty-body]
    """Offer places where the jobs of a sync run.

    Called once, in the main thread, when ``--executor`` names one of them. An exception makes that command fail.

        @hookimpl
        def transship_executors():
            return [Cluster()]
    """


@hookspec(firstresult=True)
def transship_credentials(registry: str, repository: str) -> Credentials | None:
    """Know credentials of a registry; None: ask the next plugin.

    Called once for each registry and repository of a command, before the user's own credential files are read, in any
    thread. ``registry`` is ``host[:port]``, ``repository`` a path or ``""``. An exception ends the command.

        @hookimpl
        def transship_credentials(registry):
            if registry.endswith(".example.com"):
                return Credentials("robot", fetch_token(registry))
    """


@hookspec
def transship_event(event: Event) -> None:
    """See what happens in a copy; ``transship.plugin.events`` lists the moments.

    Called for each moment, in the thread in which it happens, so several calls may run at once; for a blob's
    progress at most ten times a second. An exception is shown as a warning and does not stop the copy.

        @hookimpl
        def transship_event(event):
            if isinstance(event, BlobFinished):
                count(event.size)
    """
