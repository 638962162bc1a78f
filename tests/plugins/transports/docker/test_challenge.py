"""WWW-Authenticate."""

from __future__ import annotations

import pytest

from transship_docker.challenge import parse_challenges


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            'Bearer realm="https://a/t",service="s, t",scope="repository:x:pull,push"',
            [("bearer", {"realm": "https://a/t", "service": "s, t", "scope": "repository:x:pull,push"})],
        ),
        ("Basic realm=plain", [("basic", {"realm": "plain"})]),
        ("BASIC", [("basic", {})]),
        ('Basic realm="a", Bearer realm="b"', [("basic", {"realm": "a"}), ("bearer", {"realm": "b"})]),
        ('Negotiate abc==, Bearer Realm = "b"', [("negotiate", {}), ("bearer", {"realm": "b"})]),
        (r'Bearer realm="a\"b"', [("bearer", {"realm": 'a"b'})]),
        ('Bearer realm="a",realm="b"', [("bearer", {"realm": "a"})]),
        ('Bearer realm="unterminated', [("bearer", {})]),
        ("", []),
        (",,,", []),
        ("=?", []),
        ("x" * 100_000, []),
    ],
)
def test_challenges_are_read(line, expected):
    assert [(found.scheme, dict(found.parameters)) for found in parse_challenges([line])] == expected


def test_lines_are_read_in_order():
    assert [found.scheme for found in parse_challenges(["Other", "Basic"])] == ["other", "basic"]


def test_long_hostile_lines_take_no_time():
    for line in ('Bearer a="' + '\\"' * 8000, "a=" * 8000, ("Bearer " * 2000), "b," * 8000):
        parse_challenges([line])
