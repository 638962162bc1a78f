"""Whatever a registry answers: one line, the right exit code, soon; nothing half-written, and no secret told."""

from __future__ import annotations

import base64
import contextlib
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from hostile_registries import APP, CASES, IMAGE, INDEX, MIB, PASSWORD, USER, Case, RawServer
from processes import Finished, Nursery

from transship.testing.registry import Registry
from transship.testing.writers import write_dir

TIMEOUT = 30
MEMORY = 256 * MIB
FATAL = re.compile(r'time="[^"]+" level=fatal msg=.+')
OTHER_LINE = re.compile(r'time="[^"]+" level=(debug|info|warning) msg=.+')
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

# What is patient with slow servers is less patient here.
PREPARATION = """
from transship_docker import backoff, downloads, manifest_uploads, network, responses, uploads
network.STALL_TIMEOUT = network.CONNECT_TIMEOUT = 0.5
uploads._FINISHING_PATIENCE = uploads._GIVING_UP_PATIENCE = manifest_uploads._PATIENCE = 0.5
responses.BODY_TIMEOUT = 2.0
for module in (uploads, downloads):
    module._FIRST_DELAY, module._LONGEST_DELAY, module._PATIENCE = 0.01, 0.02, 1.0
backoff._LIMITED_DELAY = backoff._PASSING_DELAY = 0.01
backoff._LONGEST_DELAY = 0.1
for command in (["copy", "docker://127.0.0.1:1/a", "dir:/dev/null"], ["inspect", "docker://127.0.0.1:1/a"],
                ["list-tags", "docker://127.0.0.1:1/a"], ["delete", "docker://127.0.0.1:1/a"],
                ["copy", "dir:/dev/null", "docker://127.0.0.1:1/a"], ["login", "-u=a", "-p=b", "127.0.0.1:1"]):
    Application().run(["--insecure-policy", *command])
"""

ROWS = [(name, command) for name, case in CASES.items() for command in case.commands]


@pytest.fixture(scope="module")
def nurseries():
    started = [Nursery(PREPARATION, timeout=TIMEOUT) for _ in range(2)]
    yield started
    for nursery in started:
        nursery.close()


class Scene:
    """A hostile registry, a thief, and what must stay as it is."""

    def __init__(self, case: Case, folder, debug: bool) -> None:
        self.case, self.folder, self.debug = case, folder, debug
        self._open = contextlib.ExitStack()
        self.thief = self._open.enter_context(Registry(auth="basic", users={"nobody": "x"}))
        self.registry = self._open.enter_context(
            Registry(**{"auth": "basic", "users": {USER: PASSWORD}, **case.behaviour})
        )
        self.registry.put_image(APP, "v1", IMAGE)
        case.prepare(self.registry, self.thief)
        self.host = self.registry.host
        if case.raw:
            raw = RawServer(case.raw)
            self._open.callback(raw.close)
            self.host = raw.host
        folder.mkdir()
        (folder / "place").mkdir()
        write_dir(IMAGE, folder / "source")
        write_dir(INDEX, folder / "place/old")

    def close(self):
        self._open.close()

    def arguments(self, command):
        image, authfile = f"docker://{self.host}/{APP}", str(self.folder / "place/auth.json")
        credentials = f"{USER}:{PASSWORD}"
        match command:
            case "inspect" | "delete":
                return [command, "--tls-verify=false", f"--creds={credentials}", f"{image}:v1"]
            case "list-tags":
                return [command, "--tls-verify=false", f"--creds={credentials}", image]
            case "copy from":
                target = "old" if self.debug else "new"
                options = ["--src-tls-verify=false", f"--src-creds={credentials}"]
                return ["copy", *options, f"{image}:v1", f"dir:{self.folder}/place/{target}"]
            case "copy to":
                options = ["--dest-tls-verify=false", f"--dest-creds={credentials}"]
                target = f"docker://{self.host}/library/new:v1"
                return ["copy", *options, f"dir:{self.folder}/source", target]
            case _:
                options = [f"--username={USER}", f"--password={PASSWORD}", f"--authfile={authfile}"]
                return ["login", "--tls-verify=false", *options, self.host]

    def secrets(self):
        """What nobody must be shown: the password, and each token that was used."""
        values = (request.headers.get("Authorization") for request in self.registry.requests)
        return {PASSWORD, BASIC} | {value.partition(" ")[2] for value in values if value}


def contents(folder):
    return {path: path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


def check(scene: Scene, command: str, nursery: Nursery) -> None:
    before = contents(scene.folder / "place")
    tags, manifests = dict(scene.registry.tags), {name: set(held) for name, held in scene.registry.manifests.items()}
    arguments = [*(["--debug"] if scene.debug else []), *scene.arguments(command)]
    done = nursery.transship(scene.folder, *arguments, XDG_CACHE_HOME=str(scene.folder / "cache"))
    check_refused(done, scene)
    assert contents(scene.folder / "place") == before
    assert dict(scene.registry.tags) == tags
    if command != "copy to":
        assert {name: set(held) for name, held in scene.registry.manifests.items()} == manifests
    check_nothing_leaked(scene)


def check_refused(done: Finished, scene: Scene) -> None:
    lines = done.stderr.splitlines()
    assert done.code == scene.case.code, done
    assert FATAL.fullmatch(lines[-1]), done
    assert all(OTHER_LINE.fullmatch(line) for line in lines[:-1]), done
    assert scene.debug or len(lines) == 1, done
    assert done.stderr.replace("\n", "").isprintable(), done
    assert done.peak <= MEMORY, done.peak
    for secret in scene.secrets():
        assert secret not in done.stderr + done.stdout


def check_nothing_leaked(scene: Scene) -> None:
    elsewhere = [request for request in scene.registry.requests if request.origin != scene.registry.host]
    for request in [*scene.thief.requests, *elsewhere]:
        assert not request.headers.get("Authorization"), request.line
        assert PASSWORD.encode() not in request.body
        assert PASSWORD not in request.target


@pytest.mark.parametrize(("name", "command"), ROWS, ids=[": ".join(row) for row in ROWS])
def test_hostile_registry_gets_nothing_and_leaves_no_trace(tmp_path, nurseries, name, command):
    scenes = [Scene(CASES[name], tmp_path / kind, kind == "debug") for kind in ("plain", "debug")]
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        for scene in scenes:
            stack.callback(scene.close)
        runs = [pool.submit(check, scene, command, nursery) for scene, nursery in zip(scenes, nurseries, strict=True)]
        for run in runs:
            run.result()
