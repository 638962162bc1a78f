"""A connection to a Dask scheduler, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
import warnings
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from distributed import Client
from distributed.versions import VersionMismatchWarning

from transship.errors import TransportError
from transship.plugin.cancellation import Cancellation

_Result = TypeVar("_Result")

_PATIENCE = 10.0
"""So many seconds a scheduler may take to answer."""

_INTERVAL = 0.1
_CLOSING_PATIENCE = 1.0
_LOGGERS = ("distributed", "distributed.client", "tornado.application", "asyncio")


class Connection:
    """Asks the scheduler at ``address``; raises ``TransportError`` if there is none. Close it.

    ``cancellation`` ends waiting for it to answer at first.

    ``client`` is for coroutines that ``begin`` or ``ask`` runs.
    """

    client: Client

    def __init__(self, address: str, cancellation: Cancellation) -> None:
        self.address = address
        self._loop = asyncio.new_event_loop()
        self._closing = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            stack.enter_context(_silence())
            stack.enter_context(_running(self._loop))
            self.client = self.ask(_connected(address), cancellation)
            stack.callback(self._close_client)
            self._closing = stack.pop_all()

    def begin(self, work: Coroutine[Any, Any, _Result]) -> Future[_Result]:
        """Run ``work`` in the thread of the connection."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def ask(self, question: Coroutine[Any, Any, _Result], cancellation: Cancellation | None = None) -> _Result:
        """What ``question`` finds out; raise ``TransportError`` if that takes too long. ``cancellation`` ends it."""
        answer = self.begin(question)
        end = time.monotonic() + _PATIENCE
        try:
            while not wait([answer], _INTERVAL).done and time.monotonic() < end:
                if cancellation is not None:
                    cancellation.check()
            return answer.result(0)
        except TimeoutError:
            pass
        finally:
            answer.cancel()
        raise TransportError(f"the Dask scheduler at {self.address} did not answer within {_PATIENCE:.0f} seconds")

    def close(self) -> None:
        """End it. May be called more than once."""
        self._closing.close()

    def _close_client(self) -> None:
        with contextlib.suppress(TimeoutError):
            self.begin(_close(self.client)).result(2 * _CLOSING_PATIENCE)


async def _connected(address: str) -> Client:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VersionMismatchWarning)
            client = Client(address, asynchronous=True, timeout=_PATIENCE, set_as_default=False, name="transship")
            try:
                return await client
            except BaseException:
                await _close(client)
                raise
    except Exception as error:  # whatever Dask makes of an address, of certificates, of what answers there
        raise TransportError(f"cannot use the Dask scheduler at {address}: {line_of(error)}") from error


async def _close(client: Client) -> None:
    await client.close(timeout=_CLOSING_PATIENCE)


def line_of(error: Exception) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def _running(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    thread = threading.Thread(target=loop.run_forever, name="transship-dask", daemon=True)
    thread.start()
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(_end_all(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _end_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=_CLOSING_PATIENCE)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep Dask from telling in many lines what is told in one."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
