"""transship for programs."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from transship import api
from transship.api import PlatformRequest, copy, copy_to_all, delete, inspect, list_tags, make_context, raw_manifest
from transship.discovery import PluginManager
from transship.errors import (
    CopyError,
    InvalidReferenceError,
    NotFoundError,
    PolicyError,
    TransshipError,
    UnsupportedError,
)
from transship.policy.document import ACCEPT_ALL, Policy
from transship.policy.requirements import AcceptAnything, Reject
from transship.testing.images import oci_image, oci_index
from transship.testing.writers import write_oci_layout


@pytest.fixture
def layout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_oci_layout({"v1": oci_image(), "index": oci_index()}, tmp_path / "layout")
    return tmp_path


def test_everything_that_is_promised_is_there():
    assert all(hasattr(api, name) for name in api.__all__)


def test_every_function_of_the_door_is_promised():
    functions = {name for name, value in vars(api).items() if getattr(value, "__module__", "") == api.__name__}
    assert {name for name in functions if not name.startswith("_")} <= set(api.__all__)


@pytest.mark.uses("oci")
def test_image_is_copied_inspected_listed_and_deleted(layout, capsys):
    result = copy("oci:layout:v1", "oci:target:new", insecure_policy=True)
    assert result.digest == oci_image().digest
    assert raw_manifest("oci:target:new") == oci_image().manifest
    assert inspect("oci:target:new").config == oci_image().config
    assert list(list_tags("oci:target").tags) == ["new"]
    assert api.tag_digests("oci:target").digests == {"new": result.digest}
    delete("oci:target:new", tag_only=True)
    assert raw_manifest("oci:target:@0") == oci_image().manifest
    assert list(list_tags("oci:target").tags) == []
    delete("oci:target:@0")
    assert list(list_tags("oci:target").tags) == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.uses("oci")
def test_platform_of_an_index_is_asked_for(layout):
    found = inspect("oci:layout:index", platform=PlatformRequest("linux", "arm64", ""))
    assert found.config == oci_index().instances[1].config
    assert found.digest() == oci_index().digest


@pytest.mark.uses("dir", "oci")
def test_results_come_in_the_order_of_the_destinations(layout):
    results = copy_to_all("oci:layout:v1", ["dir:a", "oci:b:x", "dir:c"], policy=ACCEPT_ALL)
    assert [result.destination.partition(":")[2][:1] for result in results] == ["a", "b", "c"]


@pytest.mark.uses("dir", "oci")
@pytest.mark.parametrize(
    ("policy", "error"),
    [
        (Policy((Reject(),), {}), CopyError),
        (Policy((AcceptAnything(),), {"oci": {"relative": ()}}), PolicyError),
        ("no-such-file", PolicyError),
    ],
)
def test_policy_is_asked(layout, policy, error):
    with pytest.raises(error):
        copy("oci:layout:v1", "dir:target", policy=policy)
    assert not (layout / "target").exists()


@pytest.mark.uses("dir", "docker-archive", "oci")
@pytest.mark.parametrize(
    ("action", "error"),
    [
        (lambda: copy("nonsense", "dir:x", insecure_policy=True), InvalidReferenceError),
        (lambda: copy("oci:layout:v1", "nowhere:x", insecure_policy=True), InvalidReferenceError),
        (lambda: inspect("nonsense"), InvalidReferenceError),
        (lambda: raw_manifest("oci:none"), TransshipError),
        (lambda: list_tags("nonsense"), InvalidReferenceError),
        (lambda: list_tags("dir:layout"), UnsupportedError),
        (lambda: api.tag_digests("nonsense"), InvalidReferenceError),
        (lambda: api.tag_digests("docker-archive:layout"), UnsupportedError),
        (lambda: delete("dir:layout"), UnsupportedError),
        (lambda: delete("dir:layout", tag_only=True), UnsupportedError),
        (lambda: delete("oci:layout:none"), NotFoundError),
    ],
)
def test_failures_are_errors_of_transship(layout, action, error):
    with pytest.raises(error):
        action()


@pytest.mark.uses("dir", "oci")
@pytest.mark.parametrize("options", [{"nonsense": "x"}, {"link": "maybe"}])
def test_options_that_a_transport_does_not_have_are_refused(layout, options):
    manager = PluginManager()
    context = make_context(manager, options=options)
    with pytest.raises(UnsupportedError):
        copy("oci:layout:v1", "dir:x", insecure_policy=True, destination_context=context, manager=manager)


@pytest.mark.uses("oci")
def test_many_threads_may_copy_at_once(layout):
    manager = PluginManager()
    start = threading.Barrier(6)

    def copy_to(number: int):
        start.wait()
        return copy("oci:layout:v1", f"oci:shared:tag{number}", insecure_policy=True, manager=manager).digest

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(copy_to, range(6))) == {oci_image().digest}
    assert sorted(list_tags("oci:shared").tags) == [f"tag{number}" for number in range(6)]
