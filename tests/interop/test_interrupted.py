"""A layer that was begun is continued where the copy stopped, and fetched anew if what was kept is no good."""

from __future__ import annotations

import json
import random

import pytest

from transship.api import CopyOptions, copy, copy_to_all
from transship.errors import CopyError
from transship.image.digest import digest_of
from transship.image.media_types import OCI_CONFIG, OCI_LAYER, OCI_LAYER_GZIP, OCI_MANIFEST
from transship.plugin.context import Context
from transship.testing.layers import gzipped, tar_of
from transship.testing.registry import Fault, Registry

TAR = tar_of({"file": random.Random(11).randbytes(3 << 20)})
LAYER = gzipped(TAR)
KEPT = 2 << 20
INSECURE = Context(options={"tls-verify": "false"})


def image_of(layer, media_type):
    rootfs = {"type": "layers", "diff_ids": [str(digest_of(TAR))]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()

    def described(media_type, data):
        return {"mediaType": media_type, "digest": str(digest_of(data)), "size": len(data)}

    members = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": described(OCI_CONFIG, config),
        "layers": [described(media_type, layer)],
    }
    return config, json.dumps(members).encode()


@pytest.fixture
def registry():
    with Registry() as registry:
        for name, layer, media_type in (("app", LAYER, OCI_LAYER_GZIP), ("plain", TAR, OCI_LAYER)):
            config, manifest = image_of(layer, media_type)
            registry.put_blob(name, config)
            registry.put_blob(name, layer)
            registry.put_manifest(name, "v1", manifest, OCI_MANIFEST)
        yield registry


@pytest.fixture
def layout(tmp_path):
    return tmp_path / "layout"


def leave(layout, data, layer=LAYER):
    path = layout / "blobs" / f".transship.sha256-{digest_of(layer).encoded}.partial"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def copy_to(layout, registry, name="app", **settings):
    return copy(
        f"docker://{registry.host}/{name}:v1",
        f"oci:{layout}:v1",
        insecure_policy=True,
        source_context=INSECURE,
        **settings,
    )


def layer_bytes_sent(registry, layer=LAYER):
    return [request.sent for request in registry.requests if str(digest_of(layer)) in request.path]


def check_complete(layout, layer=LAYER):
    assert (layout / "blobs/sha256" / digest_of(layer).encoded).read_bytes() == layer
    assert [path.name for path in (layout / "blobs").iterdir()] == ["sha256"]


def test_only_the_rest_is_fetched(registry, layout):
    leave(layout, LAYER[:KEPT])
    copy_to(layout, registry)
    assert layer_bytes_sent(registry) == [len(LAYER) - KEPT]
    check_complete(layout)


def test_a_failed_copy_leaves_what_it_has(registry, layout):
    registry.add_fault(Fault("/v2/app/blobs/*", after=1, times=1, cut_after=KEPT))
    registry.add_fault(Fault("/v2/app/blobs/*", after=1, status=403))
    with pytest.raises(CopyError):
        copy_to(layout, registry)
    assert not (layout / "index.json").exists()
    registry.clear_faults()
    registry.forget_requests()
    copy_to(layout, registry)
    assert layer_bytes_sent(registry) == [len(LAYER) - KEPT]
    check_complete(layout)


@pytest.mark.parametrize("size", [1, KEPT, len(LAYER) - 1, len(LAYER), len(LAYER) + 1])
def test_bad_bytes_are_replaced_without_a_word(registry, layout, size):
    leave(layout, LAYER[:10] + bytes(size - 10) if size > 10 else b"\0" * size)
    events = []
    copy_to(layout, registry, on_event=events.append)
    assert layer_bytes_sent(registry)[-1] == len(LAYER)
    assert len(layer_bytes_sent(registry)) <= 2
    assert not [event for event in events if type(event).__name__ == "Warned"]
    check_complete(layout)


def test_bad_bytes_of_the_registry_are_an_error_all_the_same(registry, layout):
    partial = leave(layout, LAYER[:KEPT])
    registry.add_fault(Fault(f"/v2/app/blobs/{digest_of(LAYER)}", flipped=len(LAYER) - 10))
    with pytest.raises(CopyError, match="Digest did not match"):
        copy_to(layout, registry)
    assert len(layer_bytes_sent(registry)) == 2
    assert not partial.exists()


def test_a_server_without_ranges_sends_everything(registry, layout):
    leave(layout, LAYER[:KEPT])
    registry.add_fault(Fault("/v2/app/blobs/*", ignore_range=True))
    copy_to(layout, registry)
    assert layer_bytes_sent(registry) == [len(LAYER)]
    check_complete(layout)


def test_what_is_to_be_compressed_is_read_from_its_beginning(registry, layout):
    leave(layout, TAR[:KEPT], TAR)
    copy_to(layout, registry, "plain")
    assert layer_bytes_sent(registry, TAR) == [len(TAR)]


def test_what_is_to_be_kept_uncompressed_is_continued(registry, layout):
    leave(layout, TAR[:KEPT], TAR)
    uncompressed = Context(options={"accept-uncompressed-layers": "true"})
    copy_to(layout, registry, "plain", destination_context=uncompressed)
    assert layer_bytes_sent(registry, TAR) == [len(TAR) - KEPT]
    check_complete(layout, TAR)


def test_a_dry_run_changes_nothing(registry, layout):
    partial = leave(layout, LAYER[:KEPT])
    copy_to(layout, registry, options=CopyOptions(dry_run=True))
    assert partial.read_bytes() == LAYER[:KEPT]
    assert layer_bytes_sent(registry) == []


def test_several_destinations_are_written_whole(registry, layout, tmp_path):
    leave(layout, LAYER[:KEPT])
    copy_to_all(
        f"docker://{registry.host}/app:v1",
        [f"oci:{layout}:v1", f"oci:{tmp_path / 'other'}:v1"],
        insecure_policy=True,
        source_context=INSECURE,
    )
    assert layer_bytes_sent(registry) == [len(LAYER)]
    check_complete(layout)
    check_complete(tmp_path / "other")
