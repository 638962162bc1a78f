"""Jobs in threads of this process."""

from __future__ import annotations

import pytest

from transship.builtin.threads import DEFAULT_JOBS
from transship.discovery import PluginManager
from transship.errors import UnsupportedError
from transship.plugin.cancellation import Cancellation
from transship.plugin.executor import ExecutorSettings


@pytest.fixture
def threads():
    return PluginManager().executor("threads")


@pytest.mark.parametrize(("jobs", "capacity"), [(0, DEFAULT_JOBS), (1, 1), (9, 9)])
def test_as_many_as_the_user_said(threads, jobs, capacity):
    executor = threads.open(ExecutorSettings(jobs), Cancellation())
    assert executor.capacity == capacity
    executor.close()


def test_a_job_gives_its_result(threads):
    executor = threads.open(ExecutorSettings(), Cancellation())
    assert executor.submit(divmod, 7, 2).result() == (3, 1)
    assert isinstance(executor.submit(divmod, 7, 0).exception(), ZeroDivisionError)
    executor.close()
    executor.close()


def test_there_is_no_service_to_address(threads):
    assert not threads.runs_elsewhere
    with pytest.raises(UnsupportedError):
        threads.open(ExecutorSettings(address="tcp://127.0.0.1:1"), Cancellation())
