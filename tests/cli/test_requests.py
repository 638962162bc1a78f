"""How often a registry is asked: each request more costs a round trip, so there are no more than these."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from transship.testing.images import oci_image, oci_index
from transship.testing.registry import Registry
from transship.testing.writers import write_oci_layout

pytestmark = pytest.mark.uses("oci", "docker")

_KINDS = {
    "ping": r"/v2/",
    "tags": r"/v2/.+/tags/list",
    "manifest": r"/v2/.+/manifests/[^/]+",
    "referrers": r"/v2/.+/referrers/[^/]+",
    "upload": r"/v2/.+/blobs/uploads/.*",
    "blob": r"/v2/.+/blobs/[^/]+",
}
BLOBS = len(oci_image().blobs)
INSTANCES = len(oci_index().instances)
IMAGES = 3

READ = {"GET ping": 1, "GET manifest": 1}
WRITTEN = {"PUT manifest": 2}
UPLOADED = {"HEAD blob": BLOBS, "POST upload": BLOBS, "PATCH upload": BLOBS, "PUT upload": BLOBS, **WRITTEN}
MOUNTED = {"HEAD blob": BLOBS, "POST upload": BLOBS, **WRITTEN}
COPY = "copy --src-tls-verify=false --dest-tls-verify=false"
SYNC = "sync --src-tls-verify=false --dest-tls-verify=false --src docker --dest"


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry that holds images, as does the layout in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    write_oci_layout({"v1": oci_image()}, tmp_path / "layout")
    with Registry() as registry:
        registry.put_image("app", "v1", oci_image())
        registry.put_image("multi", "v1", oci_index())
        for number in range(IMAGES):
            registry.put_image("many", f"v{number}", oci_image(architecture=f"arch{number}"))
        yield registry


def kind_of(path: str) -> str:
    return next((name for name, pattern in _KINDS.items() if re.fullmatch(pattern, path)), path)


def requests_of(registry: Registry) -> Counter[str]:
    return Counter(f"{request.method} {kind_of(request.path)}" for request in registry.requests)


@pytest.mark.uses("dir")
@pytest.mark.parametrize(
    ("command", "most"),
    [
        ("inspect --raw --tls-verify=false docker://{host}/app:v1", READ),
        ("inspect --no-tags --tls-verify=false docker://{host}/app:v1", {**READ, "GET blob": 1}),
        ("inspect --tls-verify=false docker://{host}/app:v1", {**READ, "GET blob": 1, "GET tags": 1}),
        ("tree --no-referrers --tls-verify=false docker://{host}/app:v1", {**READ, "GET blob": 1}),
        (
            "tree --no-referrers --tls-verify=false docker://{host}/multi:v1",
            {"GET ping": 1, "GET manifest": 1 + INSTANCES, "GET blob": INSTANCES},
        ),
        (
            "tree --tls-verify=false docker://{host}/app:v1",
            {**READ, "GET blob": 1, "GET referrers": 1, "HEAD manifest": 3},
        ),
        (
            "diff --src-tls-verify=false --dest-tls-verify=false docker://{host}/app:v1 docker://{host}/many:v0",
            {"GET ping": 2, "GET manifest": 2, "GET blob": 2},
        ),
        ("list-tags --tls-verify=false docker://{host}/app", {"GET ping": 1, "GET tags": 1}),
        (COPY + " docker://{host}/app:v1 dir:out", {**READ, "GET blob": BLOBS}),
        (
            COPY + " --all docker://{host}/multi:v1 oci:out:x",
            {
                "GET ping": 1,
                "GET manifest": 1 + INSTANCES,
                "GET blob": len(set().union(*(instance.blobs for instance in oci_index().instances))),
            },
        ),
        (COPY + " oci:layout:v1 docker://{host}/new:v1", {"GET ping": 1, **UPLOADED}),
        (COPY + " docker://{host}/app:v1 docker://{host}/new:v1", {**READ, "GET ping": 2, "GET blob": 1, **MOUNTED}),
        (
            SYNC + " dir {host}/many out",
            {
                "GET ping": 1,
                "GET tags": 1,
                "GET manifest": IMAGES,
                "GET blob": len(set().union(*(oci_image(architecture=f"arch{n}").blobs for n in range(IMAGES)))),
            },
        ),
    ],
)
def test_no_more_is_asked_than_this(run, registry, command, most):
    outcome = run(*command.format(host=registry.host).split())
    assert outcome.code == 0, outcome.err
    assert requests_of(registry) <= Counter(most)


def test_a_copy_that_is_there_already_moves_no_blob(run, registry):
    command = f"{COPY} oci:layout:v1 docker://{registry.host}/new:v1".split()
    run(*command)
    registry.forget_requests()
    assert run(*command).code == 0
    assert requests_of(registry) <= Counter({"GET ping": 1, "HEAD blob": BLOBS, **WRITTEN})


def test_images_that_are_there_already_cost_one_question_on_each_side(run, registry):
    command = f"{SYNC} docker {registry.host}/many {registry.host}/copies".split()
    run(*command)
    registry.forget_requests()
    assert run(*command).code == 0
    assert requests_of(registry) <= Counter({"GET ping": 2, "GET tags": 1, "HEAD manifest": 2 * IMAGES})
