#!/usr/bin/env python3
"""Measures how time and memory of transship grow: with the size of a layer, and the number of layers, images, tags.

Each axis ends with what one more costs, and with the exponents of growth: 1 is in proportion, 2 is with the square, and
what grows faster than in proportion is marked. With --plots each axis is drawn. The README beside this says more.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands import command_line, default_transship
from count_requests import fill
from fitting import Line, exponent, fitted_line
from generated import image_layout, images_layout, large_layer
from images import finish_layout, plain_layer, put_image, write_docker_archive
from plots import plot
from processes import Launcher
from tag_server import tag_server

from transship.testing.registry import Registry

_SUPERLINEAR = 1.15


@dataclass(frozen=True, slots=True)
class Axis:
    """What grows, in ``unit``, over ``points``; ``prepare`` makes a point and gives the arguments that work on it.

    What a run writes goes to ``out`` in the folder.
    """

    name: str
    unit: str
    points: Sequence[int]
    prepare: Callable[[Path, int], AbstractContextManager[Sequence[str]]]


@contextmanager
def _layer_to_dir(folder: Path, mebibytes: int) -> Iterator[Sequence[str]]:
    layer = plain_layer(large_layer(folder / "layer.tar", mebibytes << 20))
    finish_layout(folder / "image", {"x": put_image(folder / "image", [layer])})
    yield ["copy", f"oci:{folder}/image:x", f"dir:{folder}/out"]


@contextmanager
def _layer_to_gzip(folder: Path, mebibytes: int) -> Iterator[Sequence[str]]:
    layer = plain_layer(large_layer(folder / "layer.tar", mebibytes << 20))
    write_docker_archive(folder / "image.tar", [layer])
    yield ["copy", f"docker-archive:{folder}/image.tar", f"oci:{folder}/out:x"]


@contextmanager
def _layers(folder: Path, count: int) -> Iterator[Sequence[str]]:
    image_layout(folder / "image", count)
    yield ["copy", f"oci:{folder}/image:x", f"oci:{folder}/out:x"]


@contextmanager
def _layers_of_registry(folder: Path, count: int) -> Iterator[Sequence[str]]:
    image_layout(folder / "image", count)
    with Registry() as registry:
        fill(registry, "image", folder / "image")
        yield ["copy", "--src-tls-verify=false", f"docker://{registry.host}/image:x", f"dir:{folder}/out"]


@contextmanager
def _images(folder: Path, count: int) -> Iterator[Sequence[str]]:
    images_layout(folder / "images", count)
    with Registry() as registry:
        fill(registry, "images", folder / "images")
        source = f"{registry.host}/images"
        yield ["sync", "-q", "--src", "docker", "--dest", "dir", "--src-tls-verify=false", source, f"{folder}/out"]


@contextmanager
def _tags(folder: Path, count: int) -> Iterator[Sequence[str]]:
    with tag_server(count) as host:
        yield ["list-tags", "--tls-verify=false", f"docker://{host}/image"]


@contextmanager
def _images_that_are_there(folder: Path, count: int) -> Iterator[Sequence[str]]:
    with tag_server(count) as host:
        insecure = ["--src-tls-verify=false", "--dest-tls-verify=false"]
        yield ["sync", "-q", "--src", "docker", "--dest", "docker", *insecure, f"{host}/image", f"{host}/mirror"]


AXES = (
    Axis("size of a layer, oci to dir", "MiB", (10, 40, 160, 640, 2560, 4096), _layer_to_dir),
    Axis("size of a layer, docker-archive to oci with gzip", "MiB", (10, 40, 160, 640, 2560, 4096), _layer_to_gzip),
    Axis("layers, oci to oci", "layers", (1, 8, 16, 32, 64, 127), _layers),
    Axis("layers, registry to dir", "layers", (1, 8, 16, 32, 64, 127), _layers_of_registry),
    Axis("images, sync of registry to dir", "images", (1, 10, 100, 1000, 3000, 10_000), _images),
    Axis("images that are there, sync", "images", (10, 1000, 10_000, 30_000, 100_000), _images_that_are_there),
    Axis("tags, list-tags", "tags", (10, 1000, 10_000, 30_000, 100_000), _tags),
)


@dataclass(frozen=True, slots=True)
class Growth:
    """What came out on an axis. ``memory`` is in MiB, ``cpu`` the seconds of all processors."""

    axis: Axis
    points: Sequence[int]
    seconds: Sequence[float]
    cpu: Sequence[float]
    memory: Sequence[float]

    @property
    def time_line(self) -> Line:
        """Seconds by units."""
        return fitted_line(self.points, self.seconds)

    @property
    def memory_line(self) -> Line:
        """MiB by units."""
        return fitted_line(self.points, self.memory)

    @property
    def exponents(self) -> Mapping[str, float | None]:
        """Of each kind of values, beyond the first point."""
        kinds = {"time": self.seconds, "cpu": self.cpu, "memory": self.memory}
        return {name: exponent(self.points, values) for name, values in kinds.items()}

    def text(self) -> str:
        """All that a person wants to know."""
        rows = zip(self.points, self.seconds, self.cpu, self.memory, strict=True)
        lines = [self.axis.name, f"  {self.axis.unit:>10} {'seconds':>9} {'cpu':>9} {'MiB':>6}"]
        lines += [f"  {point:10} {seconds:9.3f} {cpu:9.3f} {memory:6.0f}" for point, seconds, cpu, memory in rows]
        slopes = f"{self.time_line.slope * 1000:.4g} ms and {self.memory_line.slope * 1024:.3g} KiB"
        lines.append(f"  each of {self.axis.unit}: {slopes}")
        known = {name: power for name, power in self.exponents.items() if power is not None}
        verdicts = (f"{name} {power:.2f}{'!' if power > _SUPERLINEAR else ''}" for name, power in known.items())
        return "\n".join([*lines, *([f"  exponents: {', '.join(verdicts)}"] if known else [])])

    def as_json(self) -> dict[str, Any]:
        """All numbers."""
        return {
            "axis": self.axis.name,
            "unit": self.axis.unit,
            "points": list(self.points),
            "seconds": list(self.seconds),
            "cpu_seconds": list(self.cpu),
            "memory_mebibytes": list(self.memory),
            "seconds_per_unit": self.time_line.slope,
            "memory_mebibytes_per_unit": self.memory_line.slope,
            "exponents": dict(self.exponents),
        }


def main() -> int:
    """Measure as the arguments of the process say."""
    options = _options()
    command = [*command_line(options.transship), "--insecure-policy"]
    grown = []
    with tempfile.TemporaryDirectory(prefix="transship-growth-", dir=options.folder) as name:
        folder = Path(name)
        with Launcher(folder) as launcher:
            for axis in AXES:
                if re.search(options.only, axis.name):
                    points = [point for point in axis.points if point <= max(options.most, axis.points[0])]
                    grown.append(_measured(axis, points, launcher, command, folder, options.runs))
                    print(grown[-1].text(), flush=True)
    if options.plots:
        _draw(grown, Path(options.plots))
    if options.json:
        Path(options.json).write_text(json.dumps([growth.as_json() for growth in grown], indent=1) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transship", default=default_transship(), help="our command")
    parser.add_argument("--runs", type=int, default=3, help="runs at each point (default: 3)")
    parser.add_argument("--only", default="", metavar="REGEX", help="the axes in whose names it is found")
    parser.add_argument("--most", type=int, default=10**9, metavar="N", help="leave out points beyond N")
    parser.add_argument("--folder", help="where to write; a new folder in there is removed at the end")
    parser.add_argument("--plots", metavar="FOLDER", help="draw each axis as an SVG file there")
    parser.add_argument("--json", metavar="FILE", help="write all numbers there too")
    return parser.parse_args()


def _measured(
    axis: Axis, points: Sequence[int], launcher: Launcher, command: Sequence[str], folder: Path, runs: int
) -> Growth:
    seconds, cpu, memory = [], [], []
    for point in points:
        with tempfile.TemporaryDirectory(dir=folder) as name, axis.prepare(Path(name), point) as arguments:
            costs = []
            for _ in range(runs):
                shutil.rmtree(Path(name, "out"), ignore_errors=True)
                costs.append(launcher.run([*command, *arguments], Path(name, "home")))
        seconds.append(statistics.median(cost.seconds for cost in costs))
        cpu.append(statistics.median(cost.cpu for cost in costs))
        memory.append(max(cost.memory for cost in costs) / 2**20)
    return Growth(axis, points, seconds, cpu, memory)


def _draw(grown: Sequence[Growth], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for growth in grown:
        name = re.sub(r"[^a-z]+", "-", growth.axis.name).strip("-")
        values = {"seconds": growth.seconds, "CPU seconds": growth.cpu, "MiB": growth.memory}
        (folder / f"{name}.svg").write_text(plot(growth.axis.name, growth.axis.unit, growth.points, values))


if __name__ == "__main__":
    sys.exit(main())
