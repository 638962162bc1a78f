"""Layers that were compressed for a registry once are not compressed and uploaded again."""

from __future__ import annotations

import json
import subprocess
import sys

import peers
import pytest

from transship.api import CopyOptions, copy
from transship.decompression import decompressed
from transship.discovery import PluginManager
from transship.image.digest import digest_of
from transship.testing.images import oci_image, schema2_image
from transship.testing.registry import Fault
from transship.testing.writers import write_docker_archive, write_oci_layout
from transship_docker import blob_cache

pytestmark = pytest.mark.uses("docker-archive", "gzip")

PLAIN, PACKED = schema2_image(compression=""), oci_image()
LAYERS = len(PLAIN.tars)
ZSTD = CopyOptions(compress_format="zstd", force_compress_format=True)


@pytest.fixture
def archive(tmp_path):
    """An image with uncompressed layers, as ``docker save`` gives it."""
    write_docker_archive({"example.com/app:v1": PLAIN}, tmp_path / "image.tar")
    return f"docker-archive:{tmp_path / 'image.tar'}"


@pytest.fixture
def layout(tmp_path):
    """An image with gzip layers."""
    write_oci_layout({"v": PACKED}, tmp_path / "layout")
    return f"oci:{tmp_path / 'layout'}:v"


@pytest.fixture
def pushed(make_context, registry):
    """Copies to a repository; the answer is the result, and what the registry was asked for that."""

    def pushed(source, repository, options=None, *, forgets=True, to=registry, **settings):
        if forgets:  # as another process
            blob_cache._shared.cache_clear()
        before = len(to.requests)
        result = copy(
            source,
            f"docker://{to.host}/{repository}",
            options=options or CopyOptions(),
            insecure_policy=True,
            destination_context=make_context(**settings),
        )
        return result, [request for request in to.requests[before:]]

    return pushed


def uploads(requests):
    """How many blobs came, and how many of them as a whole."""
    return sum(request.method == "PATCH" for request in requests)


def mounts(requests):
    return sum(request.method == "POST" and request.status == 201 and "mount" in request.query for request in requests)


@pytest.mark.uses("zstd")
@pytest.mark.parametrize("options", [None, CopyOptions(compress_format="zstd"), CopyOptions(compress_level=1)])
@pytest.mark.parametrize("forgets", [True, False], ids=["next process", "same process"])
def test_archive_is_uploaded_once(registry, archive, pushed, options, forgets):
    first, requests = pushed(archive, "library/a:v1", options)
    assert uploads(requests) == LAYERS + 1
    for repository in ("library/a:v2", "library/b:v1"):
        again, requests = pushed(archive, repository, options, forgets=forgets)
        assert again.digest == first.digest
        assert uploads(requests) == 0
    assert mounts(requests) == LAYERS + 1
    assert len(registry.blobs["library/b"]) == LAYERS + 1


@pytest.mark.uses("oci", "zstd")
def test_layers_that_have_another_format_already_are_found(archive, layout, pushed):
    first, requests = pushed(layout, "library/a", ZSTD)
    assert uploads(requests) == LAYERS + 1
    again, requests = pushed(layout, "library/b", ZSTD)
    assert (again.digest, uploads(requests)) == (first.digest, 0)
    _, requests = pushed(layout, "library/c")
    assert uploads(requests) == LAYERS


@pytest.mark.uses("zstd")
@pytest.mark.parametrize(
    ("options", "settings"),
    [
        (CopyOptions(compress_format="zstd"), {}),
        (CopyOptions(compress_level=9), {}),
        (None, {"no_cache": "true"}),
        (CopyOptions(preserve_digests=True), {}),
    ],
    ids=["format", "level", "no-cache", "locked"],
)
def test_what_was_made_does_not_serve_for_something_else(archive, pushed, options, settings):
    pushed(archive, "library/a")
    result, requests = pushed(archive, "library/b", options, **settings)
    assert uploads(requests) == result.blobs_written >= LAYERS


def test_nothing_is_remembered_without_a_cache(archive, pushed, tmp_path):
    pushed(archive, "library/a", no_cache="true")
    assert not (tmp_path / "cache").exists()
    _, requests = pushed(archive, "library/b")
    assert uploads(requests) == LAYERS + 1


@pytest.mark.parametrize("where", ["another registry", "registry that lost them", "registry without mounts"])
def test_layers_that_are_not_there_are_uploaded(registry, make_registry, archive, pushed, where):
    first, _ = pushed(archive, "library/a")
    if where == "registry that lost them":
        for digest in list(registry.blobs["library/a"]):
            registry.add_fault(Fault(f"/v2/*/blobs/{digest}", "HEAD", status=404))
    other = registry if where == "registry that lost them" else make_registry(mount=False)
    if where == "registry without mounts":
        pushed(archive, "library/a", to=other)
    result, requests = pushed(archive, "library/b", to=other)
    assert result.digest == first.digest
    assert uploads(requests) == LAYERS + 1
    assert other.open_uploads == 0


@pytest.mark.parametrize("headers", [{"Content-Length": "7"}, {"Docker-Content-Digest": str(digest_of(b"other"))}])
def test_layers_that_the_registry_has_otherwise_are_uploaded(registry, archive, pushed, headers):
    first, _ = pushed(archive, "library/a")
    layers = json.loads(registry.manifests["library/a"][first.digest].data)["layers"]
    for layer in layers:
        registry.add_fault(Fault(f"/v2/*/blobs/{layer['digest']}", "HEAD", headers=headers))
    result, requests = pushed(archive, "library/b")
    assert result.digest == first.digest
    assert uploads(requests) >= LAYERS


def test_dry_run_tells_it_and_changes_nothing(registry, archive, pushed):
    pushed(archive, "library/a")
    result, requests = pushed(archive, "library/a:v2", CopyOptions(dry_run=True), dry_run=True)
    assert result.blobs_written == 0
    assert {request.method for request in requests} <= {"GET", "HEAD"}


_PROCESS = """
import sys
from transship.api import copy
from transship.plugin.context import Context
source, target = sys.argv[1:]
context = Context(options={"tls-verify": "false"})
print(copy(source, target, insecure_policy=True, destination_context=context).digest)
"""


def test_processes_that_push_at_the_same_time_make_the_same(registry, archive, pushed):
    commands = [
        [sys.executable, "-c", _PROCESS, archive, f"docker://{registry.host}/library/{name}:v1"] for name in "abcd"
    ]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    digests = {process.communicate(timeout=60)[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0] * len(processes)
    result, requests = pushed(archive, "library/e")
    assert digests == {str(result.digest)}
    assert uploads(requests) == 0


@pytest.mark.uses("zstd")
@pytest.mark.interop
@pytest.mark.parametrize("options", [CopyOptions(), CopyOptions(compress_format="zstd")], ids=["gzip", "zstd"])
def test_skopeo_reads_the_same_image_back(distribution, make_context, archive, tmp_path, options):
    repository = f"docker://{distribution.host}/variants{options.compress_format}"
    results = []
    for number in (1, 2):
        blob_cache._shared.cache_clear()
        context = make_context()
        target = f"{repository}/{number}:v1"
        results.append(copy(archive, target, insecure_policy=True, options=options, destination_context=context))
    assert results[0].digest == results[1].digest
    assert results[1].blobs_written == 0
    back = tmp_path / "back"
    skopeo = [peers.SKOPEO, "--insecure-policy", "copy", "--src-tls-verify=false", target, f"dir:{back}"]
    done = subprocess.run(skopeo, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    layers = json.loads((back / "manifest.json").read_bytes())["layers"]
    files = [(back / layer["digest"].partition(":")[2]).read_bytes() for layer in layers]
    assert [b"".join(decompressed(PluginManager(), [data])) for data in files] == list(PLAIN.tars)
