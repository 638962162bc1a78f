"""The executor keeps the contract, on a real scheduler and real workers."""

from __future__ import annotations

import pytest

from transship.testing import ExecutorContract
from transship_dask.executor import Dask


class TestDask(ExecutorContract):
    useless_address = "http://127.0.0.1:1"  # refused at once; that a silent one is given up is tested beside this

    @pytest.fixture
    def executor_factory(self):
        return Dask()

    @pytest.fixture
    def address(self, cluster):
        return cluster.address
