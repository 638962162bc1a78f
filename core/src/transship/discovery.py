"""How a plugin is found: entry points, loaded by name when something names them."""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import pluggy

from transship.declarations import Declaration, declarations
from transship.errors import (
    DuplicatePluginError,
    InvalidReferenceError,
    PluginError,
    PluginLoadError,
    UnknownPluginError,
    UnknownTransportError,
)
from transship.plugin import HOOK_VERSION, hookspecs
from transship.plugin.suggestion import did_you_mean

if TYPE_CHECKING:
    import click

    from transship.plugin.compression import Compression
    from transship.plugin.executor import ExecutorFactory
    from transship.plugin.mechanism import SignatureMechanism
    from transship.plugin.transport import Reference, Transport

BY_NAME_KINDS = {
    "transports": "transship_transports",
    "compressions": "transship_compressions",
    "signatures": "transship_signature_mechanisms",
    "commands": "transship_commands",
    "executors": "transship_executors",
}
"""The kinds whose plugins are loaded by name, and the hook that offers them."""

EXTENSIONS = "extensions"
KINDS = (*BY_NAME_KINDS, EXTENSIONS)

_OWN = {
    "transports": ("dir", "docker", "docker-archive", "fsspec", "oci", "oci-archive"),
    "compressions": ("gzip", "zstd"),
    "signatures": ("openpgp", "sigstore"),
    "executors": ("dask",),
}
"""What the distributions called ``transship-NAME`` offer."""

_NOT_YET = ("containers-storage", "docker-daemon", "sif", "tarball")
_NEVER = ("atomic", "ostree")
_IN_REGISTRY = r"(?a:(?:[\w-]+\.[\w.-]+|localhost)(?::\d{1,5})?/[\w./-]+(?:[:@][\w.:-]+)?)"
"""A registry, and a repository in it, as people write it who come from Docker."""


class PluginEntry(NamedTuple):
    """One plugin as its distribution declares it, loaded or not."""

    kind: str
    name: str
    distribution: str
    version: str
    module: str
    loaded: bool


class _Offer(NamedTuple):
    value: Any
    plugin: object


class PluginManager(pluggy.PluginManager):
    """Knows every plugin and loads those that are asked for; safe to use from several threads.

    ``disabled`` holds names (``zstd``) or kinds and names (``compressions:zstd``) that are treated as not there.
    A plugin that is no entry point is added with ``register``.
    """

    def __init__(self, disabled: Collection[str] = ()) -> None:
        super().__init__("transship")
        self.add_hookspecs(hookspecs)
        self._disabled = frozenset(disabled)
        self._declared: list[Declaration] | None = None
        self._offers: dict[tuple[str, str], list[_Offer]] = {}
        self._asked: set[tuple[str, int]] = set()
        self._entry_of: dict[int, Declaration] = {}
        self._broken: dict[tuple[str, int], PluginLoadError] = {}
        self._lock = threading.RLock()

    def register(self, plugin: object, name: str | None = None) -> str | None:
        """Add a plugin that is no entry point; raise ``PluginError`` if it does not fit the hooks."""
        version = getattr(plugin, "transship_hook_version", HOOK_VERSION)
        if version != HOOK_VERSION:
            raise PluginError(
                f"{name or plugin!r} was written for version {version} of the hooks, this transship has {HOOK_VERSION}"
            )
        try:
            registered = super().register(plugin, name)
            self.check_pending()
        except pluggy.PluginValidationError as error:
            if self.is_registered(plugin):
                self.unregister(plugin)
            reason = " ".join(str(error).split())
            raise PluginError(f"{name or plugin!r} does not fit the hooks: {reason}") from error
        return registered

    def registered(self) -> list[tuple[str, object]]:
        """The plugins that are no entry points, with their names."""
        known = self.list_name_plugin()
        return [(name, plugin) for name, plugin in known if plugin is not None and id(plugin) not in self._entry_of]

    def transport(self, name: str) -> Transport:
        """The transport ``name``; raise ``UnknownTransportError`` or another ``PluginError``."""
        from transship.plugin.transport import Transport

        transport: Transport = self._find("transports", name, Transport)
        return transport

    def compression(self, name: str) -> Compression:
        """The compression algorithm ``name``; raise ``PluginError`` if it cannot be had."""
        from transship.plugin.compression import Compression

        compression: Compression = self._find("compressions", name, Compression)
        return compression

    def signature_mechanism(self, name: str) -> SignatureMechanism:
        """The signature mechanism ``name``; raise ``PluginError`` if it cannot be had."""
        from transship.plugin.mechanism import SignatureMechanism

        mechanism: SignatureMechanism = self._find("signatures", name, SignatureMechanism)
        return mechanism

    def mechanism_for(self, requirement_type: str) -> SignatureMechanism | None:
        """The mechanism that checks policy requirements of this type, None if there is none.

        All mechanisms are loaded. Raises ``PluginError`` if one of them cannot be, or if two claim the type.
        """
        mechanisms = [self.signature_mechanism(name) for name in self.names("signatures")]
        found = [mechanism for mechanism in mechanisms if requirement_type in mechanism.requirement_types]
        if len(found) > 1:
            names = ", ".join(mechanism.name for mechanism in found)
            raise DuplicatePluginError(
                f"policy requirement {requirement_type!r} is claimed by several plugins: {names}"
            )
        return found[0] if found else None

    def command(self, name: str) -> click.Command:
        """The command ``name``; raise ``PluginError`` if it cannot be had."""
        import click

        command: click.Command = self._find("commands", name, click.Command)
        return command

    def executor(self, name: str) -> ExecutorFactory:
        """The executor ``name``; raise ``PluginError`` if it cannot be had."""
        from transship.plugin.executor import ExecutorFactory

        factory: ExecutorFactory = self._find("executors", name, ExecutorFactory)
        return factory

    def names(self, kind: str) -> list[str]:
        """The names of one kind that are declared or registered, sorted, without loading anything."""
        with self._lock:
            self._ask_registered(kind)
            offered = {name for offered_kind, name in self._offers if offered_kind == kind}
        return sorted(offered | {entry.name for entry in self._entries(kind)})

    def entries(self) -> Iterator[PluginEntry]:
        """Every declared plugin of every kind, sorted, without loading anything."""
        for kind in KINDS:
            for entry in sorted(self._entries(kind), key=lambda entry: (entry.name, entry.distribution)):
                loaded = self.has_plugin(f"transship.{kind}:{entry.name}")
                yield PluginEntry(kind, entry.name, entry.distribution, entry.version, entry.value, loaded)

    def load_extensions(self) -> list[PluginLoadError]:
        """Load what is loaded at every start. The errors of broken ones are returned; the others go on working."""
        failures = []
        for entry in self._entries(EXTENSIONS):
            try:
                self._load(EXTENSIONS, entry)
            except PluginLoadError as error:
                failures.append(error)
        return failures

    def parse_reference(self, text: str) -> tuple[Transport, Reference]:
        """Read ``transport:rest``, loading the one plugin that it names."""
        try:
            text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            raise InvalidReferenceError(f"Invalid image name {text!a}, it holds half a character") from None
        name, colon, rest = text.partition(":")
        if not colon:
            message = f'Invalid image name "{text}", expected colon-separated transport:reference'
            raise InvalidReferenceError(message + self._with_transport(text))
        try:
            transport = self.transport(name)
        except UnknownTransportError as error:
            message = f'Invalid image name "{text}", {error}{self._with_transport(text)}'
            raise UnknownTransportError(message, kind="transports", name=name) from None
        return transport, transport.parse_reference(rest)

    def _with_transport(self, text: str) -> str:
        """The end of a message on a name without transport that looks like one in a registry."""
        is_named = "docker" in self.names("transports") and re.fullmatch(_IN_REGISTRY, text)
        return f"; did you mean docker://{text}?" if is_named else ""

    def _find(self, kind: str, name: str, expected: type) -> Any:
        with self._lock:
            self._ask_registered(kind)
            if (kind, name) not in self._offers:
                self._load_named(kind, name)
            offers = self._offers[kind, name]
        if len(offers) > 1:
            raise _doubled(kind, name, [self._owner(offer.plugin) for offer in offers])
        if not isinstance(offers[0].value, expected):
            owner = self._owner(offers[0].plugin)
            raise PluginLoadError(
                f"{owner}: its {kind[:-1]} {name!r} is no {expected.__name__}, but {offers[0].value!r}",
                distribution=owner,
            )
        return offers[0].value

    def _load_named(self, kind: str, name: str) -> None:
        entries = [entry for entry in self._entries(kind) if entry.name == name]
        if not entries:
            raise self._unknown(kind, name)
        if len(entries) > 1:
            raise _doubled(kind, name, [entry.distribution for entry in entries])
        plugin = self._load(kind, entries[0])
        self._ask_registered(kind)
        if (kind, id(plugin)) in self._broken:
            raise self._broken[kind, id(plugin)]
        if (kind, name) not in self._offers:
            owner = entries[0].distribution
            raise PluginLoadError(f"{owner} offers no {kind[:-1]} named {name!r}", distribution=owner)

    def _load(self, kind: str, entry: Declaration) -> object:
        try:
            plugin = entry.load()
        except Exception as error:
            owner = entry.distribution
            raise PluginLoadError(
                f"{owner}: its {kind[:-1]} {entry.name!r} cannot be loaded: {type(error).__name__}: {error}",
                distribution=owner,
            ) from error
        if self.is_registered(plugin):
            return plugin
        self._entry_of[id(plugin)] = entry
        try:
            self.register(plugin, f"transship.{kind}:{entry.name}")
        except PluginError as error:
            owner = entry.distribution
            raise PluginLoadError(f"{owner}: {error}", distribution=owner) from error
        return plugin

    def _ask_registered(self, kind: str) -> None:
        """Take what registered plugins offer of this kind, each asked once; the others go on if one is broken."""
        if kind not in BY_NAME_KINDS:
            return
        for _, plugin in self.list_name_plugin():
            if plugin is None or (kind, id(plugin)) in self._asked:
                continue
            self._asked.add((kind, id(plugin)))
            try:
                self._ask(kind, plugin)
            except PluginLoadError as error:
                self._broken[kind, id(plugin)] = error

    def _ask(self, kind: str, plugin: object) -> None:
        hook = BY_NAME_KINDS[kind]
        entry = self._entry_of.get(id(plugin))
        caller = self.subset_hook_caller(hook, self.get_plugins() - {plugin})
        try:
            values = [value for answer in caller() for value in answer]
        except Exception as error:
            owner = self._owner(plugin)
            raise PluginLoadError(
                f"{owner}: {hook} failed: {type(error).__name__}: {error}", distribution=owner
            ) from error
        for value in values:
            name = getattr(value, "name", None)
            if not isinstance(name, str):
                owner = self._owner(plugin)
                raise PluginLoadError(f"{owner}: {hook} offers {value!r}, which has no name", distribution=owner)
            if self._may_offer(kind, name, entry):
                self._offers.setdefault((kind, name), []).append(_Offer(value, plugin))

    def _owner(self, plugin: object) -> str:
        """Who to name when ``plugin`` is at fault. Reading metadata is costly, so only then."""
        entry = self._entry_of.get(id(plugin))
        return entry.distribution if entry is not None else self.get_name(plugin) or repr(plugin)

    def _may_offer(self, kind: str, name: str, entry: Declaration | None) -> bool:
        """What is disabled stays away, and no entry point takes a name that is declared for another module."""
        if self._is_disabled(kind, name):
            return False
        declared = {other.value for other in self._entries(kind) if other.name == name}
        return entry is None or not declared or entry.value in declared

    def _entries(self, kind: str) -> list[Declaration]:
        if self._declared is None:
            self._declared = list(declarations())
        return [entry for entry in self._declared if entry.kind == kind and not self._is_disabled(kind, entry.name)]

    def _is_disabled(self, kind: str, name: str) -> bool:
        return name in self._disabled or f"{kind}:{name}" in self._disabled

    def _unknown(self, kind: str, name: str) -> PluginError:
        if self._is_disabled(kind, name):
            unknown = UnknownTransportError if kind == "transports" else UnknownPluginError
            return unknown(f"{kind[:-1]} {name!r} is disabled", kind=kind, name=name)
        for (broken, _), error in self._broken.items():
            if broken == kind:  # the name may have been what it would have offered
                return error
        known = self.names(kind)
        advice = f"; install transship-{name}" if name in _OWN.get(kind, ()) else ""
        if kind != "transports":
            reason = f"unknown {kind[:-1]} {name!r}; known are {', '.join(known) or 'none'}{advice}"
            return UnknownPluginError(reason, kind=kind, name=name)
        if name in _NOT_YET:
            reason = f'The transport "{name}:" is not supported yet'
        elif name in _NEVER:
            reason = f'The transport "{name}:" is not supported in this build'
        else:
            advice = advice or did_you_mean(name, known)
            reason = f'unknown transport "{name}"; installed are {", ".join(known) or "none"}{advice}'
        return UnknownTransportError(reason, kind=kind, name=name)


def _doubled(kind: str, name: str, owners: Collection[str]) -> DuplicatePluginError:
    return DuplicatePluginError(
        f"{kind[:-1]} {name!r} is offered by {' and by '.join(sorted(owners))}: uninstall one of them"
    )
