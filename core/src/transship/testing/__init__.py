"""What authors of plugins test with.

Contracts to subclass, one for each kind of plugin, are here; small images are in ``images``, plain writers of media
in ``writers``, a registry in ``registry``. With pytest there are fixtures, see ``fixtures``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transship.testing.contracts.compression import CompressionContract
    from transship.testing.contracts.executor import ExecutorContract
    from transship.testing.contracts.mechanism import SignatureMechanismContract
    from transship.testing.contracts.transport import TransportContract

__all__ = ["CompressionContract", "ExecutorContract", "SignatureMechanismContract", "TransportContract"]

_MODULES = {
    "CompressionContract": "compression",
    "ExecutorContract": "executor",
    "SignatureMechanismContract": "mechanism",
    "TransportContract": "transport",
}


def __getattr__(name: str) -> object:
    """Import a contract when it is asked for: contracts need pytest, and the rest of this package does not."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.contracts.{_MODULES[name]}"), name)
