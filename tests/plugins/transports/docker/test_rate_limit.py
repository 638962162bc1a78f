"""Keeping to a rate."""

from __future__ import annotations

import pytest

from transship.errors import TransportError
from transship.plugin.blob import BytesContent
from transship_docker.rate_limit import RateLimit, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("1000", 1000), ("2k", 2048), ("3M", 3 << 20), ("1G", 1 << 30), ("1MiB/s", 1 << 20), (" 5kb ", 5120)],
)
def test_sizes(text, size):
    assert parse_size(text, "limit-rate") == size


@pytest.mark.parametrize("text", ["", "0", "-1", "x", "1x", "1.5M", "1" * 20, "１", "1 000", "1k\n2"])
def test_other_texts_are_refused(text):
    with pytest.raises(TransportError, match="invalid chunk-size"):
        parse_size(text, "chunk-size")


def test_bytes_wait_for_their_turn(waits):
    limit = RateLimit(1000, waits)
    limit.take(2000)
    limit.take(1000)
    assert sum(waits.seconds) == pytest.approx(2 + 3, abs=0.3)


def test_without_a_rate_nothing_waits(waits):
    content = BytesContent(b"x")
    limit = RateLimit.of({}, waits)
    limit.take(1 << 40)
    assert limit.applied(content) is content
    assert waits.seconds == []


def test_content_keeps_to_it(waits):
    limited = RateLimit.of({"limit-rate": "1k"}, waits).applied(BytesContent(b"x" * 2048))
    assert limited.size == 2048
    assert b"".join(map(bytes, limited)) == b"x" * 2048
    assert sum(waits.seconds) == pytest.approx(2, abs=0.2)
