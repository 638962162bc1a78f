"""transship plugins."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from transship import hookimpl
from transship.cli.flags import Flag, GoCommand, UsageError, Value
from transship.cli.options import was_given, with_options
from transship.discovery import BY_NAME_KINDS, KINDS

if TYPE_CHECKING:
    from transship.cli.application import Application
    from transship.discovery import PluginEntry
    from transship.plugin.compression import Compression
    from transship.plugin.executor import ExecutorFactory
    from transship.plugin.mechanism import SignatureMechanism
    from transship.plugin.transport import Transport

_NEXT = """{folder} holds a plugin that works. To run its tests:

    cd {quoted}
    python3 -m venv .venv
    .venv/bin/pip install -e '.[test]'
    .venv/bin/pytest
"""


@click.command("plugins", cls=GoCommand, options_metavar="[options]")
@click.argument("arguments", nargs=-1, metavar="[show KIND NAME | new KIND NAME]")
@with_options(
    [
        Flag("--json", help="print JSON"),
        Value("--output", default="", metavar="FOLDER", help="with new: write to FOLDER (default ./transship-NAME)"),
    ]
)
@click.pass_obj
def plugins(app: Application, /, arguments: tuple[str, ...], **flags: Any) -> None:
    """List the plugins, show what one can do, or begin a new one

    Without arguments, all that are installed, without loading them. With "show KIND NAME", such as
    "show transports oci", that one is loaded, and says what it can do and which options it takes.

    With "new KIND NAME", such as "new transport acme", a complete project of a plugin that works is written, with
    tests, to begin with. Kinds are transport, compression, signature, command, executor and extension.
    """
    verb, words = arguments[:1], arguments[1:]
    if verb == ("new",) and len(words) == 2 and not was_given("json"):
        _begin(app, *words, flags["output"])
    elif was_given("output"):
        raise UsageError(f"--output is for new plugins: {app.program} plugins new KIND NAME")
    elif not verb:
        entries = list(app.manager.entries())
        click.echo(json.dumps([entry._asdict() for entry in entries], indent=4) if flags["json"] else _table(entries))
    elif verb == ("show",) and len(words) == 2:
        facts = _facts(app, _kind(words[0], BY_NAME_KINDS), words[1])
        click.echo(json.dumps(facts, indent=4) if flags["json"] else _paragraphs(facts))
    else:
        raise UsageError(f"Usage: {app.program} plugins [show KIND NAME | new KIND NAME]")


def _begin(app: Application, kind: str, name: str, folder: str) -> None:
    """Write the project of a new plugin, and say what is next."""
    from transship.scaffold.project import distribution_of, write_project

    group = _kind(kind, KINDS)
    distribution = distribution_of(name)
    write_project(group[:-1], name, folder or distribution)
    entries = list(app.manager.entries())
    for entry in entries:
        if (entry.kind, entry.name) == (group, name):
            app.log.warning(f"{entry.distribution} offers a {group[:-1]} {name!r}, too: only one can be installed")
    if distribution in {entry.distribution for entry in entries}:
        app.log.warning(f"{distribution} is installed already, and would be replaced by this one")
    click.echo(_NEXT.format(folder=folder or distribution, quoted=shlex.quote(folder or distribution)), nl=False)


def _kind(word: str, kinds: Iterable[str]) -> str:
    kind = word if word.endswith("s") else word + "s"
    if kind not in kinds:
        raise UsageError(f"unknown kind of plugin {word!r}; kinds are {', '.join(kinds)}")
    return kind


def _table(entries: list[PluginEntry]) -> str:
    rows = [("KIND", "NAME", "DISTRIBUTION", "VERSION", "LOADED")]
    rows += [
        (entry.kind, entry.name, entry.distribution, entry.version, "yes" if entry.loaded else "no")
        for entry in entries
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _facts(app: Application, kind: str, name: str) -> dict[str, Any]:
    if kind == "transports":
        facts = _transport_facts(app.manager.transport(name))
    elif kind == "compressions":
        facts = _compression_facts(app.manager.compression(name))
    elif kind == "signatures":
        facts = _mechanism_facts(app.manager.signature_mechanism(name))
    elif kind == "executors":
        facts = _executor_facts(app.manager.executor(name))
    else:
        facts = {"help": app.manager.command(name).get_short_help_str(200)}
    origin = next((entry for entry in app.manager.entries() if (entry.kind, entry.name) == (kind, name)), None)
    source = {"distribution": f"{origin.distribution} {origin.version}"} if origin else {}
    return {"kind": kind, "name": name, **source, **facts}


def _transport_facts(transport: Transport) -> dict[str, Any]:
    from transship.plugin.transport import Deleter, DigestLister, TagDeleter, TagLister
    from transship.plugin.transport import Transport as Base

    kind = type(transport)
    can = {
        "read": kind.open_source is not Base.open_source,
        "write": kind.open_destination is not Base.open_destination,
        "delete": isinstance(transport, Deleter),
        "delete tags": isinstance(transport, TagDeleter),
        "list tags": isinstance(transport, TagLister),
        "list digests": isinstance(transport, DigestLister),
    }
    return {
        "can": [verb for verb, is_so in can.items() if is_so],
        "options": {option.name: f"{option.help} ({option.kind}, {option.side})" for option in transport.options},
    }


def _compression_facts(compression: Compression) -> dict[str, Any]:
    return {
        "can": ["decompress", *(["compress"] if compression.can_compress else [])],
        "magic": compression.magic.hex(" "),
        "media type suffix": compression.media_type_suffix or "none",
        "levels": "any" if compression.levels is None else "{} to {}".format(*compression.levels),
        "output depends on": dict(compression.describe()),
    }


def _mechanism_facts(mechanism: SignatureMechanism) -> dict[str, Any]:
    from transship.plugin.mechanism import SignatureMechanism as Base

    can = {
        "verify": bool(mechanism.requirement_types),
        "sign": bool(mechanism.signing_methods),
        "store": type(mechanism).open_store is not Base.open_store,
    }
    return {
        "can": [verb for verb, is_so in can.items() if is_so],
        "policy requirements": list(mechanism.requirement_types),
        "ways to sign": list(mechanism.signing_methods),
    }


def _executor_facts(executor: ExecutorFactory) -> dict[str, Any]:
    return {
        "runs jobs": "elsewhere" if executor.runs_elsewhere else "in this process",
        "address": "needed" if executor.needs_address else "not needed",
    }


def _paragraphs(facts: Mapping[str, Any]) -> str:
    lines = []
    for name, value in facts.items():
        if isinstance(value, Mapping):
            lines.append(f"{name}:{'' if value else ' none'}")
            lines += [f"    {key}: {text}" for key, text in value.items()]
        else:
            lines.append(f"{name}: {(', '.join(value) or 'none') if isinstance(value, list) else value}")
    return "\n".join(lines)


@hookimpl
def transship_commands() -> list[click.Command]:
    """The command."""
    return [plugins]
