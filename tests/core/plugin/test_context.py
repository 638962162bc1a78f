"""What a transport is told beside the reference."""

from __future__ import annotations

import dataclasses

import pytest

from transship.plugin.context import Context


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, False), ({"link": "true"}, True), ({"link": "false"}, False), ({"other": "true"}, False)],
)
def test_flag_is_true_only_if_it_was_given_so(options, expected):
    assert Context(options=options).flag("link") is expected


def test_bare_context_passes_bytes_and_swallows_warnings():
    context = Context()
    assert list(context.decompress([b"a", b"b"])) == [b"a", b"b"]
    context.warn("nobody listens")
    context.debug("nobody listens")
    context.cancellation.check()


def test_contexts_do_not_share_a_cancellation():
    one, other = Context(), Context()
    one.cancellation.cancel()
    other.cancellation.check()


def test_context_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Context().temporary_directory = "elsewhere"
