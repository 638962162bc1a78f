"""Loads all plugins that are there, and copies an image from each place to each other. Run where they are installed."""

from __future__ import annotations

import json
from itertools import chain, permutations
from pathlib import Path

from transship.api import PluginManager, copy, inspect, make_context
from transship.errors import PluginError
from transship.plugin.context import Context
from transship.testing.images import oci_image
from transship.testing.registry import Registry
from transship.testing.writers import write_dir

PLACES = {
    "dir": "dir:{}",
    "docker": "docker://{host}/{}:v1",
    "oci": "oci:{}:v1",
    "oci-archive": "oci-archive:{}.tar:v1",
}


def broken(manager: PluginManager) -> set[str]:
    """The names of plugins that are declared and cannot be loaded."""
    load = {
        "transports": manager.transport,
        "compressions": manager.compression,
        "signatures": manager.signature_mechanism,
        "commands": manager.command,
        "executors": manager.executor,
    }
    found = set()
    for entry in manager.entries():
        try:
            load[entry.kind](entry.name)
        except PluginError:
            found.add(entry.name)
    return found


def copied(manager: PluginManager, names: list[str], host: str, first: str) -> dict[str, str]:
    """The digest that an image has in each place, after it went from each to each other."""

    def context(image: str) -> Context | None:
        return make_context(manager, options={"tls-verify": "false"}) if image.startswith("docker:") else None

    digests = {}
    source = first
    for number, name in enumerate(chain.from_iterable(permutations(names, 2))):
        target = PLACES[name].format(f"copy-{number}", host=host)
        contexts = {"source_context": context(source), "destination_context": context(target)}
        copy(source, target, insecure_policy=True, manager=manager, **contexts)
        digests[name] = str(inspect(target, context=context(target), manager=manager).digest())
        source = target
    return digests


def main() -> None:
    manager = PluginManager()
    unusable = broken(manager)
    names = sorted({*manager.names("transports")} & {*PLACES} - unusable)
    write_dir(oci_image(), Path("first"))
    with Registry() as registry:
        registry.put_image("first", "v1", oci_image())
        first = "dir:first" if "dir" in names else PLACES["docker"].format("first", host=registry.host)
        digests = copied(manager, names, registry.host, first)
    print(json.dumps({"broken": sorted(unusable), "digests": digests}))


if __name__ == "__main__":
    main()
