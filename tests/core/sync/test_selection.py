"""Which tags are wanted."""

from __future__ import annotations

import builtins
import itertools
import pickle
import sys
import tracemalloc
import types
from datetime import UTC, datetime, timedelta, timezone

import pytest

from transship.errors import TransshipError, UnsupportedError
from transship.sync.regex import compile_regex
from transship.sync.selection import TagSelection

_TAGS = ["latest", "1.0", "1.1-rc1", "v1.1", "2.0", "2.0-alpine", "main"]


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        (TagSelection(), _TAGS),
        (TagSelection(include=("^1",)), ["1.0", "1.1-rc1"]),
        (TagSelection(include=("^1", "^v")), ["1.0", "1.1-rc1", "v1.1"]),
        (TagSelection(include=("a",), exclude=("alpine$",)), ["latest", "main"]),
        (TagSelection(exclude=("rc", "^l")), ["1.0", "v1.1", "2.0", "2.0-alpine", "main"]),
        (TagSelection(semver=">=1.1"), ["v1.1", "2.0"]),
        (TagSelection(semver=">=1.1-0"), ["1.1-rc1", "v1.1", "2.0", "2.0-alpine"]),
        (TagSelection(semver="*", include=(r"^\d",)), ["1.0", "2.0"]),
        (TagSelection(newest=2), ["2.0", "2.0-alpine"]),
        (TagSelection(newest=2, exclude=("-",)), ["v1.1", "2.0"]),
        (TagSelection(newest=99), ["1.0", "1.1-rc1", "v1.1", "2.0", "2.0-alpine"]),
        (TagSelection(include=("^$",)), []),
    ],
)
def test_tags_are_chosen_in_their_order(selection, wanted):
    assert selection.select(iter(_TAGS)) == wanted


def test_the_last_created_are_chosen():
    start = datetime(2024, 1, 1, tzinfo=UTC)
    created = {"b": start, "a": start + timedelta(days=2), "c": start + timedelta(days=1), "x": start}
    created["naive"] = datetime(2024, 1, 5)
    created["east"] = datetime(2024, 1, 5, 1, tzinfo=timezone(timedelta(hours=2)))
    selection = TagSelection(newest=3, newest_by="created", exclude=("x",))
    assert selection.needs_created
    assert list(selection.candidates(["x", "b"])) == ["b"]
    assert selection.select(["unknown", "b", "naive", "a", "c", "east", "x"], created.get) == ["naive", "a", "east"]


def test_images_of_one_time_are_ordered_by_version():
    moment = datetime(1970, 1, 1, tzinfo=UTC)
    selection = TagSelection(newest=2, newest_by="created")
    for tags in itertools.permutations(["1.9", "1.10", "latest"]):
        assert set(selection.select(tags, lambda _: moment)) == {"1.9", "1.10"}


def test_only_candidates_are_asked_for_their_time():
    asked = []
    selection = TagSelection(include=("^a",), newest=1, newest_by="created")
    selection.select(["a", "b"], asked.append)
    assert asked == ["a"]


@pytest.mark.parametrize(
    "settings",
    [
        {"include": ("a(",)},
        {"exclude": ("(?=a)",)},
        {"include": ("\udc80",)},
        {"semver": "foo"},
        {"newest": 0},
        {"newest": -1},
        {"newest": 1, "newest_by": "size"},
    ],
)
def test_what_makes_no_sense_is_refused_at_once(settings):
    with pytest.raises(TransshipError) as caught:
        TagSelection(**settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("selection", "everything"),
    [(TagSelection(), True), (TagSelection(newest=1), False), (TagSelection(semver="*"), False)],
)
def test_a_selection_knows_whether_it_is_everything(selection, everything):
    assert selection.is_everything is everything


def test_a_selection_can_be_sent_to_another_process():
    selection = TagSelection(include=("^1",), semver=">0", newest=1)
    assert pickle.loads(pickle.dumps(selection)).select(_TAGS) == ["1.0"]  # noqa: S301 - made above


def test_a_long_list_of_tags_is_not_held():
    selection = TagSelection(include=("^v1",), newest=5)
    tags = (f"v{number % 3}.{number}" for number in range(20_000))
    tracemalloc.start()
    assert len(selection.select(tags)) == 5
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"^1\.[0-9]+$", "1.10", True),
        (r"^1\.[0-9]+$", "1.10-a", False),
        (r"\pL", "1é", True),
        ("", "x", True),
        (r"\Qa.b\E", "a.b", True),
        (r"(?i)RC", "1-rc", True),
        (r"a|^b", "cb", False),
        (r"[[:digit:]]\z", "v1", True),
    ],
)
def test_expressions_have_the_syntax_of_re2(pattern, text, found):
    assert (compile_regex(pattern).search(text) is not None) is found


@pytest.mark.parametrize("pattern", [r"(a)\1", "(?=a)", "(?<=a)b", "a++", r"\Z", "a{1001}", "*", "["])
def test_other_syntax_is_refused(pattern, capfd):
    with pytest.raises(TransshipError, match=r"^error parsing regexp: "):
        compile_regex(pattern)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "pattern",
    ["(" * 100_000 + ")" * 100_000, "a" * 2_000_000, "(a{1000}){1000}", r"\pL{1000}", "(?i)" + r"\pL\PN" * 1000],
    ids=["groups", "length", "repetitions", "class", "classes"],
)
def test_expressions_that_would_be_large_are_refused(pattern):
    with pytest.raises(TransshipError, match=r"^error parsing regexp: ") as caught:
        compile_regex(pattern)
    assert len(str(caught.value)) < 300


def test_a_missing_re2_is_said_and_nothing_takes_its_place(monkeypatch):
    compile_regex.cache_clear()
    monkeypatch.setitem(sys.modules, "re2", None)
    with pytest.raises(UnsupportedError, match=r"transship-core\[sync\]"):
        TagSelection(include=("a",))
    monkeypatch.setitem(sys.modules, "re2", types.ModuleType("re2"))  # another one of this name
    with pytest.raises(UnsupportedError, match=r"transship-core\[sync\]"):
        TagSelection(include=("a",))


def test_nothing_is_imported_for_a_selection_without_expressions(monkeypatch):
    def refuse(name, *arguments, **options):
        assert name != "re2"
        return real(name, *arguments, **options)

    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", refuse)
    assert TagSelection(semver=">1").select(["2"]) == ["2"]
