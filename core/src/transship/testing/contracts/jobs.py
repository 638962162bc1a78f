"""What executors are given to do. It needs no pytest, as workers elsewhere have none."""

from __future__ import annotations

from transship.errors import UnknownPluginError


def fail_with_what_cannot_be_pickled() -> None:
    """Raise an error of transship that pickle cannot make anew."""
    raise UnknownPluginError("not to be found", kind="transports", name="nowhere")
