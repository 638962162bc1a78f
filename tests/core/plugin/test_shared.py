"""What the images of one run have in common."""

from __future__ import annotations

import threading

from transship.plugin.context import Context
from transship.plugin.shared import Shared


class Thing:
    def __init__(self, log=None) -> None:
        self._log = log if log is not None else []

    def close(self) -> None:
        self._log.append(self)


def test_a_thing_is_made_once():
    shared = Shared()
    assert shared.obtain("key", Thing) is shared.obtain("key", Thing)
    assert shared.obtain("other", Thing) is not shared.obtain("key", Thing)


def test_several_threads_get_the_same():
    shared, made = Shared(), []
    barrier = threading.Barrier(4)

    def obtain() -> None:
        barrier.wait(10)
        made.append(shared.obtain("key", Thing))

    threads = [threading.Thread(target=obtain) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, made))) == 1


def test_closing_closes_the_newest_first():
    shared, log = Shared(), []
    first, second = (shared.obtain(key, lambda: Thing(log)) for key in "ab")
    shared.obtain("plain", dict)
    shared.close()
    shared.close()
    assert log == [second, first]


def test_an_image_that_stands_alone_shares_nothing():
    context = Context()
    assert context.obtain("key", Thing) is not context.obtain("key", Thing)
    together = Context(shared=Shared())
    assert together.obtain("key", Thing) is together.obtain("key", Thing)
