"""Images where they are: a reference, the transport that reads it, and the context to open it in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from transship.decompression import decompressed
from transship.discovery import PluginManager
from transship.errors import InvalidReferenceError, PluginError, UnknownTransportError, UnsupportedError
from transship.plugin.cancellation import Cancellation
from transship.plugin.context import Context
from transship.plugin.credentials import Credentials
from transship.plugin.transport import Reference, Transport

if TYPE_CHECKING:
    from transship.plugin.mechanism import SignatureStore


class Place(NamedTuple):
    """A reference with the transport that reads it and the context to open it in.

    ``store`` keeps signatures beside those of a source's transport, and instead of a destination's.
    """

    transport: Transport
    reference: Reference
    context: Context
    store: SignatureStore | None = None


def make_context(
    manager: PluginManager,
    *,
    options: Mapping[str, str] | None = None,
    temporary_directory: str = "",
    cancellation: Cancellation | None = None,
    credentials: Credentials | None = None,
    anonymous: bool = False,
    warn: Callable[[str], None] = lambda message: None,
    debug: Callable[[str], None] = lambda message: None,
) -> Context:
    """One side of a command. ``options`` are the transport's own, as ``transship plugins show`` lists them.

    ``temporary_directory`` is for big files, ``""``: ``/var/tmp``. ``cancellation`` lets another thread end the work.
    ``credentials`` are used for this image, ``anonymous`` forbids any. ``warn`` is told what the user should know,
    ``debug`` what is going on.
    """

    def ask_plugins(registry: str, repository: str) -> Credentials | None:
        found: Credentials | None = manager.hook.transship_credentials(registry=registry, repository=repository)
        return found

    context = Context(
        options=dict(options or {}),
        decompress=lambda chunks: decompressed(manager, chunks),
        warn=warn,
        cancellation=cancellation or Cancellation(),
        credentials=credentials,
        anonymous=anonymous,
        find_credentials=ask_plugins,
        debug=debug,
    )
    return replace(context, temporary_directory=temporary_directory) if temporary_directory else context


def place(manager: PluginManager, text: str, side: str, context: Context | None = None, signatures: str = "") -> Place:
    """Read a reference, and check that its transport knows the options it is given.

    ``signatures`` names a store of a mechanism, ``MECHANISM:TEXT``; ``""``: there is none.
    """
    try:
        transport, reference = manager.parse_reference(text)
    except (InvalidReferenceError, UnknownTransportError) as error:
        raise InvalidReferenceError(f"Invalid {side} name {text}: {error}") from error
    context = context or make_context(manager)
    require_known(transport, context.options, side)
    return Place(transport, reference, context, open_store(manager, signatures, context) if signatures else None)


def open_store(manager: PluginManager, text: str, context: Context) -> SignatureStore:
    """The place for signatures that ``MECHANISM:TEXT`` names; raise ``TransshipError`` if there is none."""
    from transship.plugin.mechanism import SignatureStore  # what few commands need

    name, colon, rest = text.partition(":")
    if not colon:
        raise UnsupportedError(f"place for signatures {text!r}: expected MECHANISM:TEXT")
    store = manager.signature_mechanism(name).open_store(rest, context)
    if not isinstance(store, SignatureStore):
        raise PluginError(f"{name}: it offers {store!r}, which is no place for signatures")
    return store


def require_known(transport: Transport, options: Mapping[str, str], side: str) -> None:
    """Raise ``UnsupportedError`` for an option that ``transport`` does not know for this ``side``."""
    known = {option.name: option for option in transport.options if option.side in (side, "both")}
    for name, value in options.items():
        if name not in known:
            raise UnsupportedError(
                f'the transport "{transport.name}" has no {side} option {name!r}; '
                f"it has {', '.join(sorted(known)) or 'none'}"
            )
        if known[name].kind == "bool" and value not in ("true", "false"):
            raise UnsupportedError(f'option {name!r} of "{transport.name}" is true or false, not {value!r}')
