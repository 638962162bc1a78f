"""httpcore, the engine of httpx, with only what is needed of it.

httpx itself, which costs as much again to import, is left for what the engine does not know: addresses that must be
encoded before they can be sent, and proxies.
"""

from __future__ import annotations

import importlib
import logging
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpcore
    from httpcore._backends.sync import SyncStream


class _Later(ModuleType):
    """Stands for a module that is imported when something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        _withdraw(self)
        return getattr(importlib.import_module(self.__name__), name)


def _withdraw(stand_in: _Later) -> None:
    if sys.modules.get(stand_in.__name__) is stand_in:
        del sys.modules[stand_in.__name__]


def _import_engine(*, without: tuple[str, ...]) -> None:
    stand_ins = [_Later(name) for name in without if name not in sys.modules]
    sys.modules.update({stand_in.__name__: stand_in for stand_in in stand_ins})
    try:
        importlib.import_module("httpcore")
    finally:
        for stand_in in stand_ins:
            _withdraw(stand_in)


if not TYPE_CHECKING:
    # Certificates of its own and asynchronous connections are not used here, and a third of its start-up time.
    _import_engine(without=("certifi", "anyio"))
    import httpcore
    from httpcore._backends.sync import SyncStream  # which has no public name

# Its debug lines show headers as they come, signed addresses among them.
logging.getLogger("httpcore").setLevel(logging.INFO)

ENGINE_ERRORS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
    httpcore.ConnectionNotAvailable,
)
"""What the engine raises, which has no common base."""

__all__ = ["ENGINE_ERRORS", "SyncStream", "httpcore"]
