"""Every parser on its seeds, on what fuzzing ever found, and on mutations of both."""

from __future__ import annotations

import pytest
from harnesses.catalogue import TARGETS
from harnesses.findings import findings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_findings_end_in_a_value_or_an_error(name):
    target = TARGETS[name]
    for data in (b"", *target.seeds, *findings(name)):
        target.check(data)


def mutations(target) -> st.SearchStrategy[bytes]:
    """A seed, changed in some places: bytes, words and pieces of other seeds are put over or between its bytes."""
    seeds = [*target.seeds, *findings(target.name)]
    pieces = st.binary(max_size=8) | st.sampled_from([*target.words, b"\0", b"\xff"])
    pieces |= st.tuples(st.sampled_from(seeds), st.integers(0, 600), st.integers(1, 600)).map(
        lambda cut: cut[0][cut[1] : cut[1] + cut[2]]
    )
    changes = st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 40), pieces), min_size=1, max_size=5)

    def mutated(seed: bytes, changes) -> bytes:
        for place, width, piece in changes:
            start = place % (len(seed) + 1)
            seed = seed[:start] + piece + seed[start + width :]
        return target.repair(seed) if target.repair else seed

    return st.builds(mutated, st.sampled_from(seeds), changes)


def texts(target) -> st.SearchStrategy[bytes]:
    """Words of the language in any order, with any bytes in between."""
    words = st.sampled_from([*target.words, b" ", b"\n"]) | st.binary(max_size=4)
    return st.lists(words, max_size=20).map(b"".join)


@pytest.mark.parametrize("name", TARGETS)
def test_hostile_input_ends_in_a_value_or_an_error(name):
    target = TARGETS[name]

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(mutations(target) | texts(target))
    def check(data):
        target.check(data)

    check()
