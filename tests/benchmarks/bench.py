"""Runs scenarios with both programs in turn, and says what they took."""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from floors import files_below, seconds_of_floor, total_size
from images import blobs_of
from processes import Cost, FailedError, Launcher, environment
from scenarios import Scenario
from verification import WrongError, check_digests, check_image_count, check_readable

_PYTHON = (sys.executable, "-c", "pass")


@dataclass(slots=True)
class Runs:
    """What the runs of one program cost, and how many bytes the last one wrote."""

    costs: list[Cost] = field(default_factory=list)
    written: int = 0

    @property
    def median(self) -> Cost:
        """Seconds and CPU in the middle; memory at its highest."""
        seconds, cpu, memory = zip(*self.costs, strict=True)
        return Cost(statistics.median(seconds), statistics.median(cpu), max(memory))


@dataclass(slots=True)
class Outcome:
    """The runs of one scenario. ``peer`` is None where the peer cannot do it; ``peer_of`` is the scenario that
    its runs are of. ``wrong`` says what is wrong with what we wrote, ``""``: nothing."""

    scenario: Scenario
    ours: Runs = field(default_factory=Runs)
    peer: Runs | None = None
    peer_of: str = ""
    floors: list[float] = field(default_factory=list)
    wrong: str = ""

    @property
    def ratios(self) -> list[float]:
        """Ours to the peer's, pair by pair."""
        theirs = self.peer.costs if self.peer else []
        return [our.seconds / their.seconds for our, their in zip(self.ours.costs, theirs, strict=False)]


class Bench:
    """Works below ``folder`` with the images in ``images``; ``many`` is how many small ones there are.

    ``registry`` holds them too, ``""``: there is none; ``request_seconds`` is what a request to it takes.
    """

    def __init__(
        self,
        folder: Path,
        images: Path,
        many: int,
        launcher: Launcher,
        commands: Mapping[str, Sequence[str]],
        registry: str,
        request_seconds: float,
    ) -> None:
        self._folder, self._images, self._many, self._launcher = folder, images, many, launcher
        self._commands, self._registry, self._request_seconds = commands, registry, request_seconds
        self._out = folder / "out"
        self._runs = 0
        self._peers: dict[str, Runs] = {}

    def measure(self, scenario: Scenario, rounds: int) -> Outcome:
        """Run both programs ``rounds`` times in turn, after a round that warms up and does not count."""
        outcome = Outcome(scenario)
        with tempfile.TemporaryDirectory(dir=self._folder) as homes:
            try:
                peer = self._first_round(scenario, Path(homes))
                for number in range(rounds):
                    self._round(outcome, peer, Path(homes), is_last=number == rounds - 1)
            except (FailedError, WrongError) as error:
                outcome.wrong = str(error)
        if peer_runs := self._peers.get(scenario.twin) if outcome.peer is None else None:
            outcome.peer, outcome.peer_of = peer_runs, scenario.twin
        elif outcome.peer is not None:
            self._peers[scenario.name] = outcome.peer
        self._remove_output()
        return outcome

    def _first_round(self, scenario: Scenario, homes: Path) -> Runs | None:
        self._run("ours", scenario, homes, Runs())
        try:
            self._run("peer", scenario, homes, Runs())
        except FailedError:
            return None
        return Runs()

    def _round(self, outcome: Outcome, peer: Runs | None, homes: Path, *, is_last: bool) -> None:
        places = self._run("ours", outcome.scenario, homes, outcome.ours)
        outcome.floors.append(self._floor(outcome.scenario, homes))
        if is_last:
            self._check(outcome.scenario, places, homes)
        if peer is not None:
            self._run("peer", outcome.scenario, homes, peer)
            outcome.peer = peer

    def _run(self, who: str, scenario: Scenario, homes: Path, runs: Runs) -> dict[str, str]:
        """Run it once; the answer is what the places in its arguments were."""
        self._remove_output()
        self._runs += 1
        places = {
            "images": str(self._images),
            "out": str(self._out),
            "registry": self._registry,
            "fresh": f"fresh{self._runs}",
            "who": who,
        }
        arguments = [argument.format_map(places) for argument in scenario.arguments]
        policy = [] if arguments == ["--version"] else ["--insecure-policy"]
        runs.costs.append(self._launcher.run([*self._commands[who], *policy, *arguments], homes / who))
        runs.written = total_size(files_below(self._out))
        return places

    def _floor(self, scenario: Scenario, homes: Path) -> float:
        if scenario.group == "start":
            return self._launcher.run(_PYTHON, homes).seconds
        seconds = scenario.requests * self._request_seconds
        if not scenario.source:
            return seconds
        source = self._images / scenario.source
        read = [source] if source.is_file() else blobs_of(source)
        written = files_below(self._out) or read
        hashed = [*read, *written] if scenario.rehashed else read
        return seconds + seconds_of_floor(hashed, written, self._folder / "floor")

    def _check(self, scenario: Scenario, places: Mapping[str, str], homes: Path) -> None:
        if not scenario.written:
            return
        check_digests(self._out)
        if scenario.folders:
            check_image_count(self._out, self._many)
        reference = scenario.written.format_map(places)
        check_readable(
            self._commands["peer"],
            reference,
            self._folder / "back",
            environment(homes / "reader"),
            all_instances="--all" in scenario.arguments,
        )

    def _remove_output(self) -> None:
        if self._out.is_dir():
            shutil.rmtree(self._out)
        else:
            self._out.unlink(missing_ok=True)
