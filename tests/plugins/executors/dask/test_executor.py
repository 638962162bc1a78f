"""Jobs on a real scheduler and real workers, in processes on this machine."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, wait

import pytest
from dask_cluster import THREADS, Cluster

import transship
from transship.discovery import PluginManager
from transship.errors import CancelledError, DeadlineExceededError, TransshipError
from transship.image.digest import Digest
from transship.plugin.cancellation import Cancellation
from transship.plugin.executor import ExecutorSettings
from transship_dask.executor import Dask

JOBS = 2000 if os.environ.get("TRANSSHIP_FULL_MEASURES") else 100


@contextlib.contextmanager
def opened(cluster, *, jobs: int = 0, cancellation: Cancellation | None = None):
    executor = Dask().open(ExecutorSettings(jobs, cluster.address), cancellation or Cancellation())
    try:
        yield executor
    finally:
        executor.close()


@pytest.fixture
def own_cluster(tmp_path):
    """Makes clusters that may come to harm."""
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(Cluster(tmp_path / "own", **settings))


def wait_until(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_is_found_by_its_name():
    factory = PluginManager().executor("dask")
    assert factory.runs_elsewhere
    assert factory.needs_address


@pytest.mark.parametrize("module", ["transship_dask", "transship_dask.executor"])
def test_dask_is_imported_only_when_it_is_used(module):
    code = f"import sys, {module}; print({{'dask', 'distributed', 'tornado'}} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"


def test_jobs_run_in_the_workers(cluster):
    with opened(cluster) as executor:
        pids = {job.result() for job in [executor.submit(os.getpid) for _ in range(40)]}
    assert pids == {worker.pid for worker in cluster.workers}


def test_a_job_costs_little(cluster):
    with opened(cluster) as executor:
        executor.submit(os.getpid).result()
        start = time.perf_counter()
        running: set = set()
        for _ in range(JOBS):
            running.add(executor.submit(os.getpid))
            while len(running) >= executor.capacity:
                _, running = wait(running, return_when=FIRST_COMPLETED)
        wait(running)
        each = (time.perf_counter() - start) / JOBS
    print(f"{each * 1000:.2f} ms for a job that does nothing")
    assert each < 0.25


def test_error_of_transship_names_the_worker(cluster):
    with opened(cluster) as executor, pytest.raises(TransshipError, match=r"worker tcp://127\.0\.0\.1:\d+: .*digest"):
        executor.submit(Digest.parse, "no digest").result()


def test_capacity_follows_the_workers(own_cluster):
    cluster = own_cluster(workers=1)
    with opened(cluster) as executor:
        assert executor.capacity == 2 * THREADS
        worker = cluster.add_worker()
        wait_until(lambda: executor.capacity == 4 * THREADS)
        worker.kill()
        wait_until(lambda: executor.capacity == 2 * THREADS)
        cluster.workers[0].kill()
        wait_until(lambda: executor.capacity == 1)


def test_jobs_of_a_worker_that_dies_are_done_by_another(own_cluster, tmp_path):
    cluster = own_cluster(workers=2)
    folders = [tmp_path / str(number) for number in range(20)]
    with opened(cluster) as executor:
        jobs = [executor.submit(os.makedirs, folder, 0o777, True) for folder in folders]
        sleeps = [executor.submit(time.sleep, 0.2) for _ in range(20)]
        wait_until(lambda: sum(job.done() for job in sleeps) >= 2)
        cluster.workers[0].kill()
        wait([*jobs, *sleeps], timeout=20)
        assert [job.exception() for job in [*jobs, *sleeps]] == [None] * 40
    assert all(folder.is_dir() for folder in folders)


def test_job_that_kills_its_workers_ends_in_an_error(own_cluster):
    cluster = own_cluster(workers=3, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="1")
    with opened(cluster) as executor:
        with pytest.raises(TransshipError, match="2 Dask workers died"):
            executor.submit(os._exit, 1).result(timeout=20)
        (survivor,) = [worker for worker in cluster.workers if worker.poll() is None]
        assert executor.submit(os.getpid).result(timeout=20) == survivor.pid


def test_scheduler_that_dies_ends_all_jobs(own_cluster, capfd):
    cluster = own_cluster(workers=1)
    with opened(cluster) as executor:
        jobs = [executor.submit(time.sleep, 30) for _ in range(4)]
        time.sleep(0.3)
        start = time.monotonic()
        cluster.scheduler.kill()
        for job in [*jobs, executor.submit(os.getpid)]:
            with pytest.raises(TransshipError, match=cluster.address):
                job.result(timeout=5)
        time.sleep(0.5)
        with pytest.raises(TransshipError, match=cluster.address):
            executor.submit(os.getpid).result(timeout=5)
    assert time.monotonic() - start < 5
    assert capfd.readouterr().err == ""


def test_cancellation_ends_all_jobs(cluster):
    cancellation = Cancellation()
    with opened(cluster, cancellation=cancellation) as executor:
        jobs = [executor.submit(time.sleep, 1) for _ in range(8)]
        cancellation.cancel()
        for job in jobs:
            with pytest.raises(CancelledError):
                job.result(timeout=2)


def test_time_out_ends_all_jobs(cluster):
    with opened(cluster, cancellation=Cancellation(0.5)) as executor:
        job = executor.submit(time.sleep, 1.5)
        with pytest.raises(DeadlineExceededError):
            job.result(timeout=2)


def test_closing_gives_up_what_is_left(cluster):
    executor = Dask().open(ExecutorSettings(address=cluster.address), Cancellation())
    jobs = [executor.submit(time.sleep, 0.5) for _ in range(100)]
    start = time.monotonic()
    executor.close()
    executor.close()
    assert time.monotonic() - start < 2
    assert all(job.done() for job in jobs)
    wait_until(lambda: cluster.jobs == 0)


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "tls://127.0.0.1:1", "127.0.0.1", ":::", "inproc://x"])
def test_address_that_is_of_no_use_is_refused_at_once(address):
    start = time.monotonic()
    with pytest.raises(TransshipError, match="scheduler") as raised:
        Dask().open(ExecutorSettings(address=address), Cancellation())
    assert address in str(raised.value)
    assert "\n" not in str(raised.value)
    assert time.monotonic() - start < 5


@pytest.fixture
def short_patience(monkeypatch):
    monkeypatch.setattr("transship_dask.connection._PATIENCE", 1.0)
    monkeypatch.setattr("transship_dask.cluster._WORKER_PATIENCE", 0.5)


@pytest.mark.parametrize("is_listening", [True, False])
def test_scheduler_that_does_not_answer_is_given_up(is_listening, short_patience):
    start = time.monotonic()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if is_listening:
            server.listen()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(TransshipError, match=address):
            Dask().open(ExecutorSettings(address=address), Cancellation())
    assert time.monotonic() - start < 5


def test_waiting_for_a_scheduler_ends_with_the_command():
    start = time.monotonic()
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(DeadlineExceededError):
            Dask().open(ExecutorSettings(address=address), Cancellation(timeout=0.2))
    assert time.monotonic() - start < 5


def test_scheduler_without_workers_is_refused(own_cluster, short_patience):
    with pytest.raises(TransshipError, match="no workers"):
        Dask().open(ExecutorSettings(address=own_cluster().address), Cancellation())


_OTHER_VERSION = 'import transship; transship.__version__ = "0.0.9"'
_NO_TRANSSHIP = 'import sys; sys.modules["transship"] = sys.modules["transship_dask"] = None'


@pytest.fixture(params=[(_OTHER_VERSION, "0.0.9"), (_NO_TRANSSHIP, "install")], ids=["other version", "none"])
def odd_worker(request, tmp_path):
    """The environment of a worker that is not as it should be, and what is said of it."""
    code, said = request.param
    (tmp_path / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": str(tmp_path)}, said


def test_worker_with_another_transship_or_none_is_refused(cluster, odd_worker):
    environment, said = odd_worker
    worker = cluster.add_worker(**environment)
    cluster.wait_for_workers(3)
    with pytest.raises(TransshipError, match=said) as raised:
        Dask().open(ExecutorSettings(address=cluster.address), Cancellation())
    assert transship.__version__ in str(raised.value)
    worker.kill()
    cluster.wait_until_there_are(2)


def test_worker_that_comes_later_with_another_transship_or_none_does_nothing(own_cluster, odd_worker):
    environment, said = odd_worker
    cluster = own_cluster()
    with opened(cluster, jobs=1) as executor:
        job = executor.submit(os.getpid)
        worker = cluster.add_worker(**environment)
        with pytest.raises(TransshipError, match=said):
            job.result(timeout=20)
        assert worker.poll() is None


def test_scheduler_needs_no_transship_and_workers_may_come_later_for_a_number_of_jobs(own_cluster, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(_NO_TRANSSHIP)
    cluster = own_cluster(PYTHONPATH=str(tmp_path))
    with opened(cluster, jobs=2) as executor:
        job = executor.submit(os.getpid)
        assert cluster.add_worker().pid == job.result(timeout=20)
