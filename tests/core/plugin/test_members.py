"""Members of objects that decide about trust are known, and of the right type."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transship.errors import PolicyError
from transship.plugin.members import Members

TAKERS = ("text", "texts", "data", "datas", "object", "required_text")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def test_what_was_not_taken_is_there():
    members = Members({"a": "b"})
    assert "a" in members
    assert "c" not in members
    members.text("a")
    assert "a" not in members


@pytest.mark.parametrize(
    ("take", "value", "expected"),
    [
        ("text", "a", "a"),
        ("text", "", ""),
        ("required_text", "a", "a"),
        ("texts", ["a", "b"], ["a", "b"]),
        ("data", "aGk=", b"hi"),
        ("data", "aG\nk=\r\n", b"hi"),
        ("data", "", b""),
        ("datas", ["aGk="], [b"hi"]),
    ],
)
def test_value_of_the_right_type_is_taken(take, value, expected):
    members = Members({"x": value})
    assert getattr(members, take)("x") == expected
    members.finish()


@pytest.mark.parametrize("take", ["text", "texts", "data", "datas", "object"])
def test_what_is_not_there_is_none(take):
    assert getattr(Members({}), take)("x") is None


@pytest.mark.parametrize(
    ("take", "value"),
    [
        ("text", None),
        ("text", 1),
        ("text", ["a"]),
        ("required_text", ""),
        ("texts", "a"),
        ("texts", []),
        ("texts", [""]),
        ("texts", ["a", 1]),
        ("texts", None),
        ("data", "a"),
        ("data", "aGk"),
        ("data", " aGk="),
        ("data", "aG-_"),
        ("data", "ä"),
        ("data", 1),
        ("datas", "aGk="),
        ("datas", []),
        ("datas", ["aGk=", "!"]),
        ("object", []),
        ("object", None),
        ("object", "x"),
    ],
)
def test_value_of_another_type_is_refused(take, value):
    with pytest.raises(PolicyError, match="x"):
        getattr(Members({"x": value}), take)("x")


def test_required_text_that_is_not_there_is_refused():
    with pytest.raises(PolicyError, match="x"):
        Members({}).required_text("x")


def test_what_was_not_taken_is_refused():
    members = Members({"a": "1", "b": "2"})
    members.text("a")
    with pytest.raises(PolicyError, match='Unknown key "b"'):
        members.finish()


def test_members_of_an_inner_object_are_its_own():
    inner = Members({"x": {"y": "1"}}).object("x")
    assert "y" in inner
    with pytest.raises(PolicyError):
        inner.finish()


@settings(deadline=None)
@given(value=VALUES, take=st.sampled_from(TAKERS))
def test_whatever_it_is_it_is_taken_or_refused(value, take):
    members = Members({"x": value})
    with contextlib.suppress(PolicyError):
        getattr(members, take)("x")
        members.finish()
