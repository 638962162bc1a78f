"""Jobs in threads of this process."""

from __future__ import annotations

import pytest

from transship.builtin.threads import DEFAULT_JOBS, Threads
from transship.discovery import PluginManager
from transship.plugin.cancellation import Cancellation
from transship.plugin.executor import ExecutorSettings
from transship.testing import ExecutorContract


class TestThreads(ExecutorContract):
    @pytest.fixture
    def executor_factory(self):
        return PluginManager().executor("threads")


def test_some_run_at_the_same_time_unless_the_user_says_how_many():
    executor = Threads().open(ExecutorSettings(), Cancellation())
    assert executor.capacity == DEFAULT_JOBS
    executor.close()


def test_jobs_stay_in_this_process():
    assert not Threads().runs_elsewhere
