from __future__ import annotations

import pytest

from transship.image.quoting import quoted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a/b+c é", '"a/b+c é"'),
        ('a"b', r'"a\"b"'),
        ("a\\b", r'"a\\b"'),
        ("a\n\x1b[0m\x7f\u202e\ud800", r'"a\n\x1b[0m\x7f\u202e\ud800"'),
    ],
)
def test_text_is_on_one_line_without_control_characters(text, shown):
    assert quoted(text) == shown


def test_long_text_is_shortened():
    assert len(quoted("x" * 10_000)) < 200
