"""Whatever goes wrong with a request, once or always: a command ends right or in one line, soon, and never wrongly.

With TRANSSHIP_FULL_MEASURES=1 each kind of fault hits each kind of request of each command.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from faults import PASSWORD, TROUBLES, VERBS, Scene, files, kinds_of_requests
from impatience import IMPATIENT
from processes import Nursery

pytestmark = pytest.mark.interop

FULL = bool(os.environ.get("TRANSSHIP_FULL_MEASURES"))
TIMEOUT = 60
SOON = 30
MEMORY = 256 << 20
LINE = re.compile(r'time="[^"]+" level=(warning|fatal|error|info) msg=.+')

PREPARATION = (
    IMPATIENT
    + """
set_to(0.6, network, "STALL_TIMEOUT", "CONNECT_TIMEOUT")
set_to(0.6, uploads, "_FINISHING_PATIENCE", "_GIVING_UP_PATIENCE")
set_to(0.6, manifest_uploads, "_PATIENCE")
set_to(2, responses, "BODY_TIMEOUT")
set_to(20, tags, "_PAGES")
for command in (["sync", "--src=docker", "--dest=dir", "127.0.0.1:1/a", "/dev/null"], ["verify", nowhere]):
    Application().run(["--insecure-policy", *command])
"""
)


@pytest.fixture(scope="module")
def nurseries():
    started = [Nursery(PREPARATION, timeout=TIMEOUT) for _ in range(2)]
    yield started
    for nursery in started:
        nursery.close()


def run(nursery, scene, verb):
    arguments = VERBS[verb].arguments(scene)
    return nursery.transship(scene.folder, *arguments, XDG_CACHE_HOME=str(scene.folder / "cache"))


@pytest.fixture(scope="module")
def friendly(nurseries, tmp_path_factory):
    """What each command says, and which requests it makes, where nothing is wrong."""
    found = {}
    for verb in VERBS:
        with contextlib.closing(Scene(tmp_path_factory.mktemp("friendly") / "scene")) as scene:
            done = run(nurseries[0], scene, verb)
            assert done.code == 0, done
            assert VERBS[verb].done(scene)
            found[verb] = scene.normalized(done.stdout), list(kinds_of_requests(scene.registry))
    return found


def rows(friendly, verb, name):
    """Which request is hit, and how often: (method, path, times)."""
    trouble = TROUBLES[name]
    requests = [request for request in friendly[verb][1] if trouble.can_hit(*request)]
    every = [(*request, times) for request, times in itertools.product(requests, (1, None))]
    if FULL or not every:
        return every
    turn = list(TROUBLES).index(name) * 2 + list(VERBS).index(verb)
    if trouble.is_slow and turn % 4:
        return []
    return [every[turn % len(every)]]


def check(nursery, folder, friendly, verb, name, row):
    method, path, times = row
    trouble = TROUBLES[name]
    with contextlib.closing(Scene(folder)) as scene:
        scene.registry.add_fault(trouble.fault(method, path, times))
        done = run(nursery, scene, verb)
        was_hit = not scene.registry.idle_faults
        is_forged = trouble.forges and (path.endswith("/tags/list") or not VERBS[verb].vouched)
        check_end(done, scene, verb, expected=None if is_forged else friendly[verb][0])
        assert was_hit
        if times and method in trouble.passes:
            assert done.code == 0, done
        elsewhere = [request for request in scene.registry.requests if request.origin != scene.registry.host]
        assert not [request for request in elsewhere if request.headers.get("Authorization")]


def check_end(done, scene, verb, *, expected):
    assert done.code in (0, 1, 2), done
    assert done.seconds < SOON
    assert done.peak <= MEMORY
    assert PASSWORD not in done.stdout + done.stderr
    lines = done.stderr.splitlines()
    assert all(LINE.fullmatch(line) for line in lines), done
    assert ("level=fatal" in done.stderr) is bool(done.code), done
    is_done = VERBS[verb].done(scene)
    if done.code == 0 and expected is not None:
        assert is_done, done
        assert sorted(scene.normalized(done.stdout).splitlines()) == sorted(expected.splitlines())
    if done.code and not is_done:
        check_nothing_half_done(scene)


def check_nothing_half_done(scene):
    for image in (scene.path("new"), *scene.path("tree").glob("*")):
        assert not image.exists() or files(image) == files(scene.folder / "source")
    assert not scene.path("auth.json").exists()


@pytest.mark.parametrize("name", TROUBLES)
def test_command_survives_the_fault_or_says_one_line(tmp_path, nurseries, friendly, name):
    work = [(verb, row) for verb in VERBS for row in rows(friendly, verb, name)]
    assert work

    def failures(number):
        """Each nursery takes every second run."""
        for position in range(number, len(work), len(nurseries)):
            verb, row = work[position]
            try:
                check(nurseries[number], tmp_path / str(position), friendly, verb, name, row)
            except AssertionError as error:
                yield f"{verb}: {row}: {error}"

    with ThreadPoolExecutor(len(nurseries)) as pool:
        ends = [pool.submit(list, failures(number)) for number in range(len(nurseries))]
        assert not [failure for end in ends for failure in end.result()]
    print(f"{len(work)} runs")
