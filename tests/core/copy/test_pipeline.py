"""Stages that run at the same time: in order, bounded, and never left waiting."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from transship.copy.pipeline import Tee, ahead
from transship.errors import CancelledError

PIECES = [bytes([number]) * 10 for number in range(50)]


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "transship-ahead"]


class TestAhead:
    def test_pieces_come_in_order(self):
        assert list(ahead(PIECES)) == PIECES

    def test_nothing_comes_of_nothing(self):
        assert list(ahead([])) == []

    def test_buffers_that_are_used_again_are_kept_apart(self):
        def reusing():
            buffer = bytearray(1)
            for number in range(20):
                buffer[0] = number
                yield memoryview(buffer)

        assert b"".join(ahead(reusing())) == bytes(range(20))

    def test_error_comes_after_the_pieces_before_it(self):
        def broken():
            yield b"one"
            raise OSError("broken")

        received = []
        with pytest.raises(OSError, match="broken"):
            _collect(ahead(broken()), received)
        assert received == [b"one"]

    def test_no_more_is_taken_than_the_depth_allows(self):
        taken = []

        def counted():
            for piece in PIECES:
                taken.append(piece)
                yield piece

        stage = ahead(counted(), depth=3)
        next(stage)
        time.sleep(0.2)
        assert len(taken) <= 1 + 3 + 1
        stage.close()

    @pytest.mark.parametrize("read", [0, 1, 5])
    def test_closing_early_ends_the_thread(self, read):
        before = len(_threads())
        stage = ahead(PIECES, depth=2)
        for _ in range(read):
            next(stage)
        stage.close()
        assert len(_threads()) == before

    def test_stages_after_each_other_end_together(self):
        before = len(_threads())
        first = ahead(iter(lambda: b"x", b""))
        second = ahead(first)
        assert next(second) == b"x"
        second.close()
        first.close()
        assert len(_threads()) == before

    def test_nothing_starts_before_it_is_asked_for(self):
        before = len(_threads())
        ahead(PIECES)
        assert len(_threads()) == before


def _collect(pieces, into):
    for piece in pieces:
        into.append(piece)


class TestTee:
    @pytest.mark.parametrize("readers", [1, 2, 5])
    def test_every_reader_gets_everything_and_it_is_read_once(self, readers):
        taken = []

        def counted():
            for piece in PIECES:
                taken.append(piece)
                yield piece

        tee = Tee(counted(), readers)
        with ThreadPoolExecutor(readers) as pool:
            results = list(pool.map(lambda number: list(tee.reader(number)), range(readers)))
        assert results == [PIECES] * readers
        assert taken == PIECES

    def test_slow_reader_gets_everything_too(self):
        tee = Tee(PIECES, 2)

        def slowly():
            received = []
            for piece in tee.reader(0):
                time.sleep(0.002)
                received.append(piece)
            return received

        with ThreadPoolExecutor(2) as pool:
            slow, fast = pool.submit(slowly), pool.submit(list, tee.reader(1))
            assert slow.result(10) == fast.result(10) == PIECES

    def test_reader_that_is_ahead_waits(self):
        taken = []

        def counted():
            for piece in PIECES:
                taken.append(piece)
                yield piece

        tee = Tee(counted(), 2)
        with ThreadPoolExecutor(1) as pool:
            fast = pool.submit(list, tee.reader(1))
            time.sleep(0.2)
            assert len(taken) < 10
            assert list(tee.reader(0)) == PIECES
            assert fast.result(10) == PIECES

    @pytest.mark.parametrize("read", [0, 1, 20])
    def test_reader_that_gives_up_does_not_stop_the_others(self, read):
        tee = Tee(PIECES, 2)
        failing = tee.reader(0)

        def give_up():
            for _ in range(read):
                next(failing)
            failing.close()

        with ThreadPoolExecutor(2) as pool:
            other = pool.submit(list, tee.reader(1))
            pool.submit(give_up).result(10)
            assert other.result(10) == PIECES

    def test_error_of_the_source_reaches_every_reader(self):
        def broken():
            yield b"one"
            raise OSError("broken")

        tee = Tee(broken(), 3)

        def read(number):
            received = []
            with pytest.raises(OSError, match="broken"):
                _collect(tee.reader(number), received)
            return received

        with ThreadPoolExecutor(3) as pool:
            assert list(pool.map(read, range(3))) == [[b"one"]] * 3

    def test_reader_that_another_thread_closes_does_not_take_that_for_the_end(self):
        tee = Tee(PIECES, 2)
        waiting = tee.reader(0)

        def read():
            with pytest.raises(CancelledError):
                list(waiting)
            return True

        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(read)
            time.sleep(0.1)
            waiting.close()
            assert future.result(10)

    def test_reader_that_has_ended_stays_ended(self):
        reader = Tee([b"x"], 1).reader(0)
        assert list(reader) == [b"x"]
        assert list(reader) == []
        reader.close()

    def test_buffers_that_are_used_again_are_kept_apart(self):
        def reusing():
            buffer = bytearray(1)
            for number in range(20):
                buffer[0] = number
                yield memoryview(buffer)

        tee = Tee(reusing(), 2)
        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(lambda number: b"".join(tee.reader(number)), range(2)))
        assert results == [bytes(range(20))] * 2


_MAKES_PIECES = """
import collections, resource, sys
from transship.copy.pipeline import keep_freed_memory
if sys.argv[1:]:
    keep_freed_memory()
held = collections.deque(maxlen=8)
def pass_on(count):
    for _ in range(count):
        held.append(b"x" * (1 << 20))
pass_on(50)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    pass_on(50)
    held.clear()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _page_faults(*args):
    command = [sys.executable, "-c", _MAKES_PIECES, *args]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_pieces_take_over_the_memory_of_those_before():
    assert _page_faults("keep") * 10 < _page_faults()
