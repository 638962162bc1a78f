"""A whole sync, as a program asks for one."""

from __future__ import annotations

import pickle
from concurrent.futures import Future

import pytest

from transship import hookimpl
from transship.api import sync
from transship.discovery import PluginManager
from transship.errors import TransshipError, UnsupportedError
from transship.plugin.credentials import Credentials
from transship.plugin.executor import Executor, ExecutorFactory
from transship.policy.document import Policy
from transship.policy.requirements import Reject
from transship.sync.jobs import Status
from transship.sync.request import SyncRequest
from transship.sync.run import SyncObserver
from transship.sync.sides import Side, WorkplaceSettings
from transship.testing.images import oci_image
from transship.testing.registry import Registry

pytestmark = pytest.mark.uses("docker")

SIDE = Side((("tls-verify", "false"),))


class PicklingExecutor(Executor):
    """Takes only what could travel, and does it at once."""

    def __init__(self) -> None:
        self.travelled: list[bytes] = []

    @property
    def capacity(self) -> int:
        return 3

    def submit(self, work, /, *arguments):
        data = pickle.dumps((work, arguments))
        self.travelled.append(data)
        future: Future = Future()
        function, values = pickle.loads(data)  # noqa: S301 - our own
        future.set_result(pickle.loads(pickle.dumps(function(*values))))  # noqa: S301 - our own
        return future


class Elsewhere(ExecutorFactory):
    name = "elsewhere"
    runs_elsewhere = True

    def __init__(self) -> None:
        self.executor = PicklingExecutor()

    def open(self, settings, cancellation):
        return self.executor

    @hookimpl
    def transship_executors(self):
        return [self]


@pytest.fixture
def elsewhere():
    return Elsewhere()


@pytest.fixture
def manager(elsewhere):
    manager = PluginManager()
    manager.register(elsewhere)
    return manager


@pytest.fixture
def registry(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with Registry() as registry:
        for number in range(3):
            registry.put_image("app", f"v{number}", oci_image(architecture=f"a{number}"))
        yield registry


def request_for(registry, destination: str, **settings) -> SyncRequest:
    return SyncRequest("docker", f"{registry.host}/app", "dir", destination, source_side=SIDE, **settings)


class Told(SyncObserver):
    def __init__(self) -> None:
        self.events: list = []
        self.statuses: list = []

    def happened(self, task, event):
        self.events.append(event)

    def finished(self, task, outcome):
        self.statuses.append(outcome.status)


@pytest.mark.uses("dir")
def test_a_program_syncs(registry, tmp_path):
    summary = sync(request_for(registry, f"{tmp_path}/out"), insecure_policy=True)
    assert (summary.synced, summary.groups) == (3, 1)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["app:v0", "app:v1", "app:v2"]


@pytest.mark.uses("dir")
def test_jobs_run_elsewhere(registry, tmp_path, manager, elsewhere):
    told = Told()
    request = request_for(
        registry, f"{tmp_path}/out", executor="elsewhere", elsewhere=WorkplaceSettings(insecure_policy=True)
    )
    summary = sync(request, insecure_policy=True, manager=manager, observer=told)
    assert summary.synced == 3
    assert told.statuses == [Status.COPIED] * 3
    assert told.events
    assert len(elsewhere.executor.travelled) == 3


@pytest.mark.uses("dir")
@pytest.mark.parametrize("kind", ["file", "value"])
def test_the_policy_that_a_program_names_holds_elsewhere(registry, tmp_path, manager, elsewhere, kind):
    (tmp_path / ".config/containers").mkdir(parents=True)
    (tmp_path / ".config/containers/policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    (tmp_path / "strict.json").write_text('{"default": [{"type": "reject"}]}')
    policy = f"{tmp_path}/strict.json" if kind == "file" else Policy((Reject(),), {})
    request = request_for(registry, f"{tmp_path}/out", executor="elsewhere")
    with pytest.raises(TransshipError):
        sync(request, policy=policy, manager=manager)
    assert not list(tmp_path.glob("out/*"))
    assert bool(elsewhere.executor.travelled) == (kind == "file")


def test_no_secret_travels(registry, tmp_path, manager, elsewhere):
    request = request_for(registry, f"{tmp_path}/out", executor="elsewhere")
    with pytest.raises(UnsupportedError, match="auth files"):
        sync(request, insecure_policy=True, manager=manager, source_credentials=Credentials("me", "hush"))
    assert not elsewhere.executor.travelled
    assert not registry.requests


def test_no_secret_of_a_document_travels(registry, tmp_path, manager, elsewhere):
    (tmp_path / "sync.yaml").write_text(
        f"{registry.host}:\n  images: {{app: []}}\n  credentials: {{username: me, password: hush}}\n"
    )
    request = SyncRequest("yaml", f"{tmp_path}/sync.yaml", "dir", f"{tmp_path}/out", executor="elsewhere")
    with pytest.raises(UnsupportedError, match="auth files"):
        sync(request, insecure_policy=True, manager=manager)
    assert not registry.requests
