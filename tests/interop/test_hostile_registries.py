"""Whatever a registry answers: one line, the right exit code, soon; nothing half-written, and no secret told."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hostile_registries import APP, CASES, COMMANDS, IDENTITY, IMAGE, MIB, PASSWORD, USER, Case, RawServer
from impatience import IMPATIENT
from processes import Finished, Nursery, transship

from transship.testing.images import oci_image
from transship.testing.registry import Registry
from transship.testing.writers import write_dir

pytestmark = pytest.mark.interop

TIMEOUT = 30
MEMORY = 256 * MIB
LONGEST_LINE = 4000
FATAL = re.compile(r'time="[^"]+" level=fatal msg=.+')
DEBUG_LINE = re.compile(r'time="[^"]+" level=debug msg=.+')
OLD = oci_image(compression="")
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

ROWS = [(name, command) for name, case in CASES.items() for command in case.commands]
BEGUN_ANEW = [
    ("manifest: twice the same member", "inspect"),
    ("tags: no JSON", "list-tags"),
    ("delete: 500", "delete"),
    ("blob: flipped", "copy from"),
    ("push: refused", "copy to"),
    ("challenge: none", "login"),
]


@pytest.fixture(scope="module")
def nurseries():
    started = [Nursery(IMPATIENT, timeout=TIMEOUT) for _ in range(2)]
    yield started
    for nursery in started:
        nursery.close()


@pytest.fixture(scope="module")
def thief():
    with Registry(auth="basic", users={"nobody": "x"}) as thief:
        yield thief


class Scene:
    """A hostile registry, a thief, and what must stay as it is."""

    def __init__(self, case: Case, thief: Registry, folder: Path, *, debug: bool) -> None:
        self.case, self.thief, self.folder, self.debug = case, thief, folder, debug
        self._open = contextlib.ExitStack()
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
        write_dir(OLD, folder / "place/old")

    def close(self):
        self._open.close()

    def arguments(self, command):
        image, authfile = f"docker://{self.host}/{APP}", str(self.folder / "place/auth.json")
        credentials = f"{USER}:{PASSWORD}"
        match command:
            case "inspect" if self.case.has_identity_token:
                return [command, "--tls-verify=false", f"--authfile={self._identity_file()}", f"{image}:v1"]
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

    def _identity_file(self):
        file = self.folder / "identity.json"
        entry = {"auth": base64.b64encode(b"00000000-0000-0000-0000-000000000000:").decode(), "identitytoken": IDENTITY}
        file.write_text(json.dumps({"auths": {self.host: entry}}))
        return file

    def secrets(self):
        """What nobody must be shown: the password, and each token that was used."""
        values = (request.headers.get("Authorization") for request in self.registry.requests)
        return {PASSWORD, IDENTITY, BASIC} | {value.partition(" ")[2] for value in values if value}


def contents(folder):
    return {path: path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


def stored(registry, command):
    """What is at the registry; one that images are copied to may keep what has no tag."""
    manifests = {} if command == "copy to" else {name: set(held) for name, held in registry.manifests.items() if held}
    return {name: tags for name, tags in registry.tags.items() if tags}, manifests


def run(transship, scene: Scene, command: str) -> Finished:
    arguments = [*(["--debug"] if scene.debug else []), *scene.arguments(command)]
    return transship(scene.folder, *arguments, XDG_CACHE_HOME=str(scene.folder / "cache"))


def check(transship, scene: Scene, command: str) -> None:
    before = contents(scene.folder / "place"), stored(scene.registry, command)
    done = run(transship, scene, command)
    check_refused(done, scene)
    assert scene.registry.idle_faults == []
    assert (contents(scene.folder / "place"), stored(scene.registry, command)) == before
    check_nothing_leaked(scene)


def check_refused(done: Finished, scene: Scene) -> None:
    *others, last = done.stderr.splitlines()
    assert done.code == scene.case.code, done
    assert FATAL.fullmatch(last), done
    assert len(last) < LONGEST_LINE
    assert all(DEBUG_LINE.fullmatch(line) for line in others), done
    assert bool(others) is scene.debug
    assert done.stderr.replace("\n", "").isprintable(), done
    assert done.peak <= MEMORY, done.peak
    assert not [secret for secret in scene.secrets() if secret in done.stderr + done.stdout]


def check_nothing_leaked(scene: Scene) -> None:
    elsewhere = [request for request in scene.registry.requests if request.origin != scene.registry.host]
    for request in [*scene.thief.requests, *elsewhere]:
        assert not request.headers.get("Authorization"), request.line
        assert request.path != "/token" or request.method == "GET", "a form may hold an identity token"
        for secret in (PASSWORD, IDENTITY):
            assert secret.encode() not in request.body
            assert secret not in request.target


@pytest.mark.parametrize(("name", "command"), ROWS, ids=[": ".join(row) for row in ROWS])
def test_hostile_registry_gets_nothing_and_leaves_no_trace(tmp_path, nurseries, thief, name, command):
    thief.forget_requests()
    kinds = ("debug", "plain") if command == CASES[name].commands[0] else ("debug",)
    scenes = [Scene(CASES[name], thief, tmp_path / kind, debug=kind == "debug") for kind in kinds]
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        for scene in scenes:
            stack.callback(scene.close)
        ends = [
            pool.submit(check, nursery.transship, scene, command)
            for scene, nursery in zip(scenes, nurseries, strict=False)
        ]
        for end in ends:
            end.result()


@pytest.mark.parametrize(("name", "command"), BEGUN_ANEW, ids=[": ".join(row) for row in BEGUN_ANEW])
def test_program_started_anew_says_one_line_too(tmp_path, thief, name, command):
    thief.forget_requests()
    with contextlib.closing(Scene(CASES[name], thief, tmp_path / "scene", debug=False)) as scene:
        check(transship, scene, command)


@pytest.mark.parametrize("auth", ["basic", "bearer"])
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_but_the_faults_is_wrong(tmp_path, nurseries, thief, command, auth):
    friendly = Case((command,), behaviour={"auth": auth})
    with contextlib.closing(Scene(friendly, thief, tmp_path / "scene", debug=False)) as scene:
        done = run(nurseries[0].transship, scene, command)
    assert (done.code, done.stderr) == (0, "")
