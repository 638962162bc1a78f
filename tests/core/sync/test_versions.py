"""Versions, constraints on them, and the order of tags."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from transship.errors import TransshipError
from transship.sync.versions import Constraint, Version, parse_version, version_order

_SMALL = st.integers(0, 4)
_RELEASES = st.builds(Version, _SMALL, _SMALL, _SMALL)
_NOTATION = st.text(alphabet="0123xX*v.-+a,|~^<>=! ", max_size=24)


def _admits(constraint: str, version: str) -> bool:
    parsed = parse_version(version)
    assert parsed
    return Constraint.parse(constraint).admits(parsed)


def _dotted(version: Version) -> str:
    return f"{version.major}.{version.minor}.{version.patch}"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1", Version(1)),
        ("v1", Version(1)),
        ("1.2", Version(1, 2)),
        ("01.02.03", Version(1, 2, 3)),
        ("1.2.3-rc1+b", Version(1, 2, 3, "rc1")),
        ("v1.2-alpine3.19", Version(1, 2, 0, "alpine3.19")),
        ("20240131", Version(20240131)),
        ("18446744073709551615", Version(2**64 - 1)),
    ],
)
def test_tags_are_read_loosely(text, version):
    assert parse_version(text) == version


@pytest.mark.parametrize(
    "text",
    [
        *("", "v", "V1", "latest", "1.2.3.4", "1.", ".1", "1.2.3_1", "1.2-", "1.2+", "1-a..b", "1.2.3-01", " 1"),
        *("1\n", "18446744073709551616", "9" * 5000, "１.2"),
    ],
)
def test_other_tags_are_no_versions(text):
    assert parse_version(text) is None


def test_versions_have_the_precedence_of_the_specification():
    texts = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11"]
    texts += ["1.0.0-rc.1", "1.0.0", "1.0.1", "1.2", "1.10", "2"]
    versions = [parse_version(text) for text in texts]
    assert sorted(reversed(versions), key=lambda version: version.precedence) == versions


@pytest.mark.parametrize(
    ("constraint", "admitted", "refused"),
    [
        ("1.2.3", "1.2.3 v1.2.3 1.2.3+b", "1.2.4 1.2"),
        ("=1.2", "1.2 1.2.9", "1.3 2.2"),
        ("1", "1 1.9.9", "0.9 2"),
        ("*", "0 1 99.1.2", "1.0.0-rc.1"),
        ("1.x", "1 1.9.9", "0.9 2"),
        ("1.2.X", "1.2 1.2.9", "1.3"),
        ("x", "0 5.1", ""),
        ("!=1.2.3", "1.2.4 9 9.0.0-rc1", "1.2.3"),
        ("!=1.2", "1.3 2.2", "1.2 1.2.9 9.0.0-rc1"),
        ("!=1.x", "0.1 2.5", "1 1.9"),
        (">1.2.3", "1.2.4 2", "1.2.3 1.2.2"),
        (">1.2", "1.3 2", "1.2 1.2.9 1.1"),
        (">1", "2", "1 1.9"),
        (">=1.2", "1.2 1.2.1 3", "1.1.9"),
        ("=>1.2", "1.2 3", "1.1.9"),
        ("<1.2", "1.1.9 0.1", "1.2 1.2.1"),
        ("<1.x", "0.9", "1 1.1 2"),
        ("<=1.2.3", "1.2.3 1", "1.2.4"),
        ("<=1.2", "1.2 1.2.9 0.9", "1.3 2"),
        ("=<1", "1 1.9.9 0", "2"),
        ("~1.2.3", "1.2.3 1.2.9", "1.2.2 1.3"),
        ("~1.2", "1.2 1.2.9", "1.1 1.3"),
        ("~1", "1 1.9", "0.9 2"),
        ("~>1.2.3", "1.2.9", "1.3"),
        ("~0.0.0", "0 7.1", ""),
        ("^1.2.3", "1.2.3 1.9", "1.2.2 2"),
        ("^1", "1 1.9", "2 0.9"),
        ("^0.2.3", "0.2.3 0.2.9", "0.3 0.2.2 1"),
        ("^0.2", "0.2 0.2.9", "0.3 1.2"),
        ("^0.0.3", "0.0.3", "0.0.4 0.1 1"),
        ("^0.0", "0.0.1", "0.1 1"),
        ("^0", "0.1 0.9.9", "1"),
        ("1.2 - 1.4.5", "1.2 1.4.5", "1.1 1.4.6"),
        ("1.2 - 2", "1.2 2.9", "1.1 3"),
        ("1.2-3", "1.2.0 1.2.0-4", "1.3.0 2.0.0-4"),
        (">= 1.2, < 3, != 2.1.3", "1.2 2.1.2 2.9", "1.1 2.1.3 3"),
        (">=1.2 <3", "1.2 2.9", "3 1"),
        ("<1 || ~2.1 || > 3", "0.5 2.1.7 4", "1 2.2 3.1"),
        ("1 - 2 <=1.5", "1.0 1.5.9", "1.6"),
        (">= v1.2", "1.2", "1.1"),
    ],
)
def test_constraints_admit_what_they_say(constraint, admitted, refused):
    assert [version for version in admitted.split() if not _admits(constraint, version)] == []
    assert [version for version in refused.split() if _admits(constraint, version)] == []


@pytest.mark.parametrize(
    ("constraint", "admitted", "refused"),
    [
        (">=1.2", "1.3", "1.3.0-rc.1"),
        ("~1.2", "1.2.3", "1.2.3-rc.1"),
        ("^1.2", "1.3", "1.3.0-rc.1"),
        (">=1.2-0", "1.2.0-rc.1 1.3.0-rc.1 1.2", "1.1.0-rc.1"),
        ("*-0", "1.2.3-rc.1 1.2.3", ""),
        ("^1.2.0-alpha.0", "1.2.0-alpha.1 1.2.1-alpha.0 1.3", "1.2.0-0 2.0.0-alpha"),
        ("~1.2.3-beta.2", "1.2.3-beta.4 1.2.4-beta.1 1.2.3", "1.2.3-beta.1 1.3.0-beta.3"),
        ("=1.2.3-rc.1", "1.2.3-rc.1", "1.2.3 1.2.3-rc.2"),
        (">1.0.0-beta.1 <2", "1.5.0-rc.1 1.0.0-beta.2", "2"),
        (">1.0.0-beta.1 <2 || >3", "1.5.0-rc.1 4", "4.0.0-rc.1"),
    ],
)
def test_pre_releases_are_admitted_only_beside_a_pre_release(constraint, admitted, refused):
    assert [version for version in admitted.split() if not _admits(constraint, version)] == []
    assert [version for version in refused.split() if _admits(constraint, version)] == []


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "foo", ">= bar", "bar >= 1", "1.2.3.4", "1.2~ 1.3", "1,", ",1", "1,,2", "1 ||", "|| 1", "1 | 2"),
        *("1|2", "1x", "xx", "**", ">>1", "><1", "1 - ", "1 - 2 - 3", "1.2.3-", "1-01", "18446744073709551616"),
        "1" * 5000,
    ],
)
def test_other_constraints_are_refused(text):
    with pytest.raises(TransshipError, match=r"^improper constraint"):
        Constraint.parse(text)


@given(_RELEASES, _RELEASES)
def test_operators_are_the_comparisons_of_precedence(bound, version):
    low, high = bound.precedence, version.precedence
    expected = {">": high > low, "<": high < low, ">=": high >= low, "<=": high <= low, "=": high == low}
    expected["!="] = not expected["="]
    assert {operator: _admits(operator + _dotted(bound), _dotted(version)) for operator in expected} == expected


@given(_RELEASES, _RELEASES)
def test_tilde_and_caret_are_the_ranges_they_stand_for(bound, version):
    assume(_dotted(bound) != "0.0.0")
    low = f">={_dotted(bound)}"
    text = _dotted(version)
    tilde = f"{low}, <{bound.major}.{bound.minor + 1}.0"
    assert _admits(f"~{_dotted(bound)}", text) == _admits(tilde, text)
    caret = [f"{bound.major + 1}.0.0", f"0.{bound.minor + 1}.0", f"0.0.{bound.patch + 1}"]
    above = caret[0] if bound.major else caret[1] if bound.minor else caret[2]
    assert _admits(f"^{_dotted(bound)}", text) == _admits(f"{low}, <{above}", text)


@given(st.one_of(_NOTATION, st.text(max_size=20)), st.one_of(_NOTATION, st.text(max_size=20)))
def test_any_text_is_a_constraint_or_a_clear_error(constraint, version):
    parsed = parse_version(version) or Version(1)
    with contextlib.suppress(TransshipError):
        assert Constraint.parse(constraint).admits(parsed) in (True, False)


@pytest.mark.parametrize(
    "text", ["1 " * 2000, " " * 4000 + "!", "1 -" * 1300, "1" * 4000, "1.1-" + "a." * 2000, "1," * 2000]
)
def test_long_constraints_are_read_or_refused_at_once(text):
    start = time.process_time()
    with contextlib.suppress(TransshipError):
        Constraint.parse(text)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "tags",
    [
        ["1", "1.1", "v1.2", "1.10", "2", "10"],
        ["0.9", "1.0.0-alpha", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc9", "1.0.0-rc10", "1.0.0", "1.0.1"],
        ["3.12-alpine", "3.12", "3.13.0a1", "3.13.0b2", "3.13.0rc1", "3.13.0"],
        ["1.2.3.4", "1.2.3.10", "1.2.4"],
        ["2023-12-31", "2024-01-02", "2024-01-10"],
        ["20231231", "20240101"],
        ["1.0_1", "1.0_2", "1.0_10"],
    ],
)
def test_tags_are_in_the_order_of_their_versions(tags):
    assert sorted(reversed(tags), key=version_order) == tags


@pytest.mark.parametrize("tag", ["latest", "main", "v", "jammy-20240101", "1a2b3c4", "sha256-abc", "", "-1", "1" * 300])
def test_tags_that_are_no_version_have_no_order(tag):
    assert version_order(tag) is None


@given(_RELEASES, _RELEASES)
def test_order_of_tags_agrees_with_the_precedence_of_releases(one, other):
    orders = version_order(_dotted(one)), version_order("v" + _dotted(other))
    if one.precedence != other.precedence:
        assert (orders[0] < orders[1]) == (one.precedence < other.precedence)
    else:
        assert orders[0] != orders[1]


@given(st.lists(st.from_regex(r"[0-9A-Za-z_][0-9A-Za-z_.-]{0,12}", fullmatch=True), max_size=6))
def test_any_tags_can_be_ordered(tags):
    orders = [order for tag in tags if (order := version_order(tag)) is not None]
    assert sorted(orders) == sorted(reversed(orders))
