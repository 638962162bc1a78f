#!/usr/bin/env python3
"""Counts the requests that each scenario with a registry makes, beside the fewest that the protocol allows.

The fewest is what any client needs that knows nothing beforehand, and that a registry answers without asking who it
is. The README beside this says how they are counted.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from commands import command_line, default_transship
from images import Size, make_images
from processes import FailedError, Launcher
from relay import Relay
from scenarios import Scenario, all_scenarios

from transship.testing.registry import Registry, RequestRecord

_KINDS = (
    (re.compile(r"/v2/"), "ping"),
    (re.compile(r"/v2/.+/tags/list"), "tags"),
    (re.compile(r"/v2/.+/manifests/[^/]+"), "manifest"),
    (re.compile(r"/v2/.+/blobs/uploads/.*"), "upload"),
    (re.compile(r"/v2/.+/blobs/[^/]+"), "blob"),
    (re.compile(r"/v2/.+/referrers/[^/]+"), "referrers"),
)
_SAME_EACH_TIME = "{registry}/{who}"


class Counting:
    """Runs scenarios with the images in ``images`` and a testing registry that holds them too."""

    def __init__(self, folder: Path, images: Path, launcher: Launcher, registry: Registry) -> None:
        self._folder, self._images, self._launcher, self._registry = folder, images, launcher, registry

    def count(self, who: str, command: Sequence[str], scenario: Scenario) -> dict[str, Any]:
        """Requests by kind, and how many connections there were; ``failed`` if it did."""
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch, Relay(self._registry.host) as relay:
            places = {
                "images": str(self._images),
                "out": f"{scratch}/out",
                "registry": relay.host,
                "fresh": Path(scratch).name,
                "who": who,
            }
            arguments = ["--insecure-policy", *(argument.format_map(places) for argument in scenario.arguments)]
            try:
                if any(_SAME_EACH_TIME in argument for argument in scenario.arguments):  # it is there already
                    self._launcher.run([*command, *arguments], Path(scratch, "home"))
                before = relay.connections
                self._registry.forget_requests()
                self._launcher.run([*command, *arguments], Path(scratch, "home"))
            except FailedError as error:
                return {"failed": str(error)}
            return _summary(self._registry.requests, relay.connections - before)


def main() -> int:
    """Count as the arguments of the process say."""
    options = _options()
    commands = {"ours": command_line(options.transship)}
    commands |= {"peer": command_line(options.peer)} if options.peer else {}
    scenarios = [item for item in all_scenarios(options.images) if item.requests and re.search(options.only, item.name)]
    rows = []
    with tempfile.TemporaryDirectory(prefix="transship-requests-") as name, Registry() as registry:
        folder = Path(name)
        make_images(folder / "images", Size(4, options.images))
        for repository in ("web", "multi", "many"):
            fill(registry, repository, folder / "images" / repository)
        with Launcher(folder) as launcher:
            counting = Counting(folder, folder / "images", launcher, registry)
            for scenario in scenarios:
                row: dict[str, Any] = {"scenario": scenario.name, "fewest": scenario.requests}
                rows.append(row | {who: counting.count(who, command, scenario) for who, command in commands.items()})
                print(_lines(rows[-1]), flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1) + "\n")
    return 1 if any("failed" in row["ours"] for row in rows) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transship", default=default_transship(), help="our command")
    parser.add_argument("--peer", default="", help="a command to count beside, such as skopeo")
    parser.add_argument("--images", type=int, default=20, help="number of small images (default: 20)")
    parser.add_argument("--only", default="", metavar="REGEX", help="the scenarios in whose names it is found")
    parser.add_argument("--json", metavar="FILE", help="write all numbers there too")
    return parser.parse_args()


def fill(registry: Registry, repository: str, layout: Path) -> None:
    """Have ``repository`` hold all that is in an OCI layout, which stays where it is."""
    for path in (layout / "blobs/sha256").iterdir():
        registry.put_blob(repository, path)
    for entry in json.loads((layout / "index.json").read_bytes())["manifests"]:
        tag = next(iter(entry["annotations"].values()))
        members = _put_manifest(registry, repository, tag, layout, entry)
        for instance in members.get("manifests", ()):
            _put_manifest(registry, repository, "", layout, instance)


def _put_manifest(
    registry: Registry, repository: str, tag: str, layout: Path, descriptor: Mapping[str, Any]
) -> dict[str, Any]:
    data = (layout / "blobs/sha256" / descriptor["digest"][7:]).read_bytes()
    registry.put_manifest(repository, tag, data, descriptor["mediaType"])
    members: dict[str, Any] = json.loads(data)
    return members


def _summary(requests: Sequence[RequestRecord], connections: int) -> dict[str, Any]:
    kinds = Counter(f"{request.method} {_kind(request.path)}" for request in requests)
    refused = Counter(request.status for request in requests if request.status >= 400)
    return {
        "requests": len(requests),
        "connections": connections,
        "kinds": dict(sorted(kinds.items())),
        "refused": dict(sorted(refused.items())),
    }


def _kind(path: str) -> str:
    return next((name for pattern, name in _KINDS if pattern.fullmatch(path)), "other")


def _lines(row: Mapping[str, Any]) -> str:
    lines = [f"{row['scenario']}: at least {row['fewest']}"]
    for who in ("ours", "peer"):
        if who in row:
            lines.append(f"  {who:5} {_counted(row[who])}")
    return "\n".join(lines)


def _counted(counts: Mapping[str, Any]) -> str:
    if "failed" in counts:
        return f"failed: {counts['failed']}"
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts["kinds"].items())
    refused = ", ".join(f"{count} x {status}" for status, count in counts["refused"].items())
    text = f"{counts['requests']:5} requests, {counts['connections']:3} connections: {kinds}"
    return text + (f"; refused: {refused}" if refused else "")


if __name__ == "__main__":
    sys.exit(main())
