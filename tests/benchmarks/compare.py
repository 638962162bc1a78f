#!/usr/bin/env python3
"""Measures transship beside the skopeo on the PATH, run by run, and checks what was written.

Seconds are medians. A ratio is ours to the peer's: the median of those of each pair of runs, below 1 is faster.
The README beside this says what is measured how.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bench import Bench, Outcome
from commands import command_line, default_transship
from images import Size, make_images
from processes import Launcher, environment
from registries import docker_registry, has_docker_registry, seconds_per_request
from scenarios import all_scenarios

_HEADER = (
    f"{'scenario':41} {'ours s':>7} {'peer s':>7} {'ratio':>6} {'range':>11} {'goal':>5} {'cpu':>5} "
    f"{'MiB':>4} {'peer':>4} {'size':>6} {'floor s':>8} {'times':>6}"
)


def main() -> int:
    """Run the benchmark as the arguments of the process say."""
    options = _options()
    commands = {"ours": command_line(options.transship), "peer": command_line(options.peer)}
    scenarios = [item for item in all_scenarios(options.images) if re.search(options.only, item.name)]
    rows = []
    with _folder(options.folder) as folder:
        images = Path(options.keep).absolute() if options.keep else folder / "images"
        make_images(images, Size(options.megabytes, options.images))
        _copy_manifest(images)
        with _registry(folder, images, commands["peer"]) as registry, Launcher(folder) as launcher:
            seconds = seconds_per_request(registry) if registry else 0.0
            bench = Bench(folder, images, options.images, launcher, commands, registry, seconds)
            print(_HEADER, flush=True)
            for scenario in scenarios:
                if registry or not scenario.needs_registry:
                    rows.append(_row(bench.measure(scenario, options.runs)))
                    print(_line(rows[-1]), flush=True)
    if options.json:
        report = {"machine": _machine(commands), "options": vars(options), "scenarios": rows}
        Path(options.json).write_text(json.dumps(report, indent=1) + "\n")
    return 1 if any(row["wrong"] for row in rows) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transship", default=default_transship(), help="our command")
    parser.add_argument(
        "--peer", default="/usr/bin/skopeo", help="the command to measure beside (default: %(default)s)"
    )
    parser.add_argument("--runs", type=int, default=5, help="pairs of runs that count (default: 5)")
    parser.add_argument("--only", default="", metavar="REGEX", help="the scenarios in whose names it is found")
    parser.add_argument("--megabytes", type=int, default=560, help="files in the large image (default: 560)")
    parser.add_argument("--images", type=int, default=200, help="number of small images (default: 200)")
    parser.add_argument("--folder", help="where to write; a new folder in there is removed at the end")
    parser.add_argument("--keep", metavar="FOLDER", help="make images there, and use them again next time")
    parser.add_argument("--json", metavar="FILE", help="write all numbers there too")
    return parser.parse_args()


@contextmanager
def _folder(parent: str | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="transship-benchmark-", dir=parent) as folder:
        yield Path(folder)


def _copy_manifest(images: Path) -> None:
    """Have a manifest in a file of its own."""
    entry = json.loads((images / "web/index.json").read_bytes())["manifests"][0]
    shutil.copyfile(images / "web/blobs/sha256" / entry["digest"][7:], images / "manifest.json")


@contextmanager
def _registry(folder: Path, images: Path, peer: Sequence[str]) -> Iterator[str]:
    """A registry that holds the images; ``""`` if none can be run."""
    if not has_docker_registry():
        print("docker-registry is not installed: nothing is measured with a registry", file=sys.stderr)
        yield ""
        return
    with docker_registry(folder / "registry") as host:
        names = [entry["annotations"] for entry in json.loads((images / "many/index.json").read_bytes())["manifests"]]
        many = [f"many:{next(iter(name.values()))}" for name in names]
        push = partial(_push, peer, images, host, environment(folder / "pusher"))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(push, ["web:latest", "multi:latest", *many]))
        yield host


def _push(peer: Sequence[str], images: Path, host: str, settings: Mapping[str, str], name: str) -> None:
    flags = ["--insecure-policy", "copy", "-q", "--all", "--preserve-digests", "--dest-tls-verify=false"]
    subprocess.run([*peer, *flags, f"oci:{images}/{name}", f"docker://{host}/{name}"], check=True, env=dict(settings))


def _row(outcome: Outcome) -> dict[str, Any]:
    """All that is known of a scenario, for JSON. Memory is in bytes."""
    row: dict[str, Any] = {"scenario": outcome.scenario.name, "wrong": outcome.wrong}
    if outcome.wrong:
        return row
    ours, peer = outcome.ours.median, outcome.peer.median if outcome.peer else None
    times = [cost.seconds / floor for cost, floor in zip(outcome.ours.costs, outcome.floors, strict=True)]
    row |= {"goal": outcome.scenario.goal, "goal_is_for": "times_floor" if _is_start(outcome) else "ratio"}
    row |= {f"ours_{name}": value for name, value in ours._asdict().items()}
    row |= {f"peer_{name}": value for name, value in (peer._asdict() if peer else {}).items()}
    row |= {"ours_written": outcome.ours.written, "peer_written": outcome.peer.written if outcome.peer else None}
    row |= {"peer_of": outcome.peer_of, "requests_floor": outcome.scenario.requests}
    row |= {"floor_seconds": statistics.median(outcome.floors), "times_floor": statistics.median(times)}
    return row | {"ratio": statistics.median(outcome.ratios) if peer else None, "ratios": outcome.ratios}


def _is_start(outcome: Outcome) -> bool:
    return outcome.scenario.group == "start"


def _line(row: Mapping[str, Any]) -> str:
    name = row["scenario"] + ("*" if row.get("peer_of") else "")
    if row["wrong"]:
        return f"{name:41} WRONG: {row['wrong']}"
    ratios = row["ratios"]
    span = f"{min(ratios):.2f}-{max(ratios):.2f}" if ratios else "-"
    cells = [
        _cell(row["ours_seconds"], "7.3f"),
        _cell(row.get("peer_seconds"), "7.3f"),
        _cell(row["ratio"], "6.2f"),
        f"{span:>11}",
        _cell(row["goal"], "5.2f"),
        _cell(_quotient(row["ours_cpu"], row.get("peer_cpu")), "5.2f"),
        _cell(row["ours_memory"] / 2**20, "4.0f"),
        _cell(_quotient(row.get("peer_memory"), 2**20), "4.0f"),
        _cell(_quotient(row["ours_written"], row["peer_written"]), "6.3f"),
        _cell(row["floor_seconds"], "8.4f"),
        _cell(row["times_floor"], "6.1f"),
    ]
    return " ".join([f"{name:41}", *cells])


def _quotient(number: float | None, divisor: float | None) -> float | None:
    return number / divisor if number and divisor else None


def _cell(number: float | None, form: str) -> str:
    return format("-", f">{form.partition('.')[0]}") if number is None else format(number, form)


def _machine(commands: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    versions = {
        who: subprocess.run([*command, "--version"], capture_output=True, text=True, check=False).stdout.strip()
        for who, command in commands.items()
    }
    processors = len(os.sched_getaffinity(0))
    return {"processors": processors, "python": platform.python_version(), "kernel": platform.release(), **versions}


if __name__ == "__main__":
    sys.exit(main())
