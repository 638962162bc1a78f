"""Several writers of one layout, and writers that are killed."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest
from fsspec.config import conf

from transship.errors import ContentMismatchError, TransportError
from transship.image.descriptor import Descriptor
from transship.image.digest import digest_of
from transship.image.media_types import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST
from transship.plugin.blob import BlobReader, BytesContent
from transship.plugin.context import Context
from transship.testing.images import Image, oci_image
from transship.testing.writers import write_oci_layout
from transship_fsspec import lock
from transship_fsspec.layout import INDEX
from transship_fsspec.reference import parse_reference
from transship_fsspec.store import ChangedMeanwhileError, Found
from transship_fsspec.stores import store_to_write
from transship_fsspec.transport import FsspecTransport

pytestmark = pytest.mark.uses("oci")

WRITERS = 3
LIMIT = 1 << 20


def _process(*arguments):
    """A command in a process of its own, which knows what this one knows."""
    settings = {f"FSSPEC_{name.upper()}": json.dumps(values) for name, values in conf.items()}
    command = [sys.executable, "-m", "transship", "--insecure-policy", "copy", "--quiet", *arguments]
    return subprocess.Popen(command, env={**os.environ, **settings}, stderr=subprocess.PIPE)


def _tags(place):
    entries = json.loads(place.read("index.json"))["manifests"]
    return sorted(entry["annotations"]["org.opencontainers.image.ref.name"] for entry in entries)


@pytest.mark.parametrize("place", ["file", "sftp", "s3"], indirect=True)
def test_processes_that_write_at_the_same_time_lose_nothing(place, images):
    writers = [_process(f"{images}:one", f"fsspec:{place.url}:v{number}") for number in range(WRITERS)]
    for writer in writers:
        _, errors = writer.communicate(timeout=60)
        assert writer.returncode == 0, errors
    assert _tags(place) == [f"v{number}" for number in range(WRITERS)]
    assert not [name for name in place.list() if "tmp" in name or "lock" in name]


def test_threads_that_write_at_the_same_time_lose_nothing(place, transship_cli):
    image = oci_image()
    together = threading.Barrier(WRITERS)

    def write(tag):
        transport = FsspecTransport()
        reference = transport.parse_reference(f"{place.url}:{tag}")
        with closing(transport.open_destination(reference, Context())) as destination:
            for digest, data in image.blobs.items():
                destination.put_blob(BlobReader(BytesContent(data), Descriptor(OCI_LAYER_GZIP, digest, len(data))))
            destination.put_manifest(image.manifest, image.media_type)
            together.wait(timeout=30)
            destination.commit()

    threads = [threading.Thread(target=write, args=(f"v{number}",)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert _tags(place) == [f"v{number}" for number in range(WRITERS)]


@pytest.mark.parametrize("place", ["sftp"], indirect=True)
def test_folders_that_another_writer_makes_meanwhile_are_used(place, tmp_path):
    with closing(store_to_write(parse_reference(f"{place.url}/a/b").place, Context())) as store:
        make = store._filesystem.ftp.mkdir

        def make_second(path, mode):
            os.mkdir(path)
            make(path, mode)

        store._filesystem.ftp.mkdir = make_second
        store.make_folder("blobs")
    assert (tmp_path / "elsewhere" / "layout" / "a" / "b" / "blobs").is_dir()


@pytest.mark.parametrize("place", ["sftp"], indirect=True)
def test_folders_that_cannot_be_made_are_not_tried_again_and_again(place, tmp_path):
    (tmp_path / "elsewhere" / "layout").write_bytes(b"no folder")
    with closing(store_to_write(parse_reference(f"{place.url}/a/b/c/d").place, Context())) as store:
        make, tried = store._filesystem.ftp.mkdir, []

        def count(path, *mode):
            tried.append(path)
            make(path, *mode)

        store._filesystem.ftp.mkdir = count
        with pytest.raises(TransportError):
            store.make_folder("blobs")
    assert 1 <= len(tried) <= 2


@pytest.mark.parametrize("place", ["sftp"], indirect=True)
def test_lock_that_is_given_up_while_it_is_asked_for_is_taken(place, tmp_path):
    path = tmp_path / "elsewhere" / "layout" / lock.LOCK_NAME
    with closing(store_to_write(parse_reference(place.url).place, Context())) as store:
        store.make_folder("")
        make = store._filesystem.ftp.mkdir

        def make_second(path_there, *mode):
            store._filesystem.ftp.mkdir = make
            path.mkdir()
            try:
                make(path_there, *mode)
            finally:
                path.rmdir()

        store._filesystem.ftp.mkdir = make_second
        with store.locked():
            assert path.is_dir()


def test_index_on_s3_is_replaced_only_if_it_is_the_one_that_was_read(s3, new_name):
    with closing(store_to_write(parse_reference(f"s3://images/{new_name}").place, Context())) as store:
        store.replace(INDEX, b"first", Found(None))
        with pytest.raises(ChangedMeanwhileError):
            store.replace(INDEX, b"another first", Found(None))
        found = store.read(INDEX, LIMIT)
        store.replace(INDEX, b"second", found)
        with pytest.raises(ChangedMeanwhileError):
            store.replace(INDEX, b"another second", found)
        assert store.read(INDEX, LIMIT).data == b"second"


@pytest.mark.parametrize("place", ["sftp", "s3"], indirect=True)
def test_lock_that_a_killed_writer_left_is_broken(place, images, transship_cli, monkeypatch):
    store = store_to_write(parse_reference(place.url).place, Context())
    with closing(store):
        store.make_folder("")
        assert store._lock()._take()
    monkeypatch.setattr(lock, "STALE_SECONDS", 1.0)
    monkeypatch.setattr(lock, "TELLING_SECONDS", 0.2)
    outcome = transship_cli("--insecure-policy", "copy", "-q", f"{images}:one", f"fsspec:{place.url}:v1")
    assert outcome.code == 0
    (told,) = outcome.err.splitlines()
    assert lock.LOCK_NAME in told
    assert "1 s" in told
    assert _tags(place) == ["v1"]


@pytest.mark.parametrize("place", ["sftp", "s3"], indirect=True)
def test_lock_that_somebody_has_is_waited_for(place, images, monkeypatch):
    with closing(store_to_write(parse_reference(place.url).place, Context())) as store:
        with store.locked():
            writer = _process(f"{images}:one", f"fsspec:{place.url}:v1")
            time.sleep(2)
            assert writer.poll() is None
            assert "index.json" not in place.list()
        _, errors = writer.communicate(timeout=60)
    assert writer.returncode == 0, errors
    assert _tags(place) == ["v1"]


def test_blob_that_is_deleted_while_others_are_written_fails_the_copy(place, transship_cli):
    image = oci_image()
    transport = FsspecTransport()
    reference = transport.parse_reference(f"{place.url}:v1")
    with closing(transport.open_destination(reference, Context())) as destination:
        for digest, data in image.blobs.items():
            destination.put_blob(BlobReader(BytesContent(data), Descriptor(OCI_LAYER_GZIP, digest, len(data))))
        destination.put_manifest(image.manifest, image.media_type)
        with closing(store_to_write(reference.place, Context())) as other:
            other.remove(f"blobs/sha256/{next(iter(image.blobs)).encoded}")
        with pytest.raises(TransportError) as caught:
            destination.commit()
    assert caught.value.retryable
    assert "index.json" not in place.list()


def _large_image():
    archive = os.urandom(48 << 20)
    layer = gzip.compress(archive, 0)
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": [str(digest_of(archive))]}}).encode()
    parts = {digest_of(config): config, digest_of(layer): layer}
    described = [
        {"mediaType": kind, "digest": str(digest), "size": len(data)}
        for kind, (digest, data) in zip((OCI_CONFIG, OCI_LAYER_GZIP), parts.items(), strict=True)
    ]
    members = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described[0], "layers": described[1:]}
    return Image(json.dumps(members).encode(), OCI_MANIFEST, parts, config)


def _has_begun(place, s3):
    if s3 is not None:
        return bool(s3.filesystem.list_multipart_uploads("images"))
    return any(name.endswith(".tmp") for name in place.list())


@pytest.mark.parametrize(
    ("place", "end"), [("sftp", signal.SIGKILL), ("sftp", signal.SIGINT), ("s3", signal.SIGKILL)], indirect=["place"]
)
def test_copy_that_is_ended_in_the_middle_leaves_nothing_that_looks_complete(place, end, request, tmp_path):
    s3 = request.getfixturevalue("s3") if place.url.startswith("s3") else None
    image = _large_image()
    write_oci_layout({"large": image}, tmp_path / "large")
    source, destination = f"oci:{tmp_path}/large:large", f"fsspec:{place.url}:v1"
    writer = _process(source, destination)
    while not _has_begun(place, s3):
        assert writer.poll() is None
    time.sleep(0.1)
    writer.send_signal(end)
    writer.communicate(timeout=30)
    assert writer.returncode == (130 if end == signal.SIGINT else -signal.SIGKILL)
    assert not [name for name in place.list() if not name.endswith(".tmp") and name != _name(image.config)]
    if end == signal.SIGINT:
        assert not _has_begun(place, s3)
    again = _process(source, destination)
    _, errors = again.communicate(timeout=60)
    assert again.returncode == 0, errors
    assert digest_of(place.read(f"blobs/sha256/{list(image.blobs)[1].encoded}")) == list(image.blobs)[1]
    if s3 is not None:
        s3.filesystem.clear_multipart_uploads("images")


def _name(data):
    return f"blobs/sha256/{digest_of(data).encoded}"


def test_blob_that_turns_out_wrong_leaves_nothing(place, request):
    transport = FsspecTransport()
    reference = transport.parse_reference(f"{place.url}:v1")
    with closing(transport.open_destination(reference, Context())) as destination:
        data = bytes(20 << 20)
        wrong = Descriptor(OCI_LAYER_GZIP, digest_of(b"other"), len(data))
        with pytest.raises(ContentMismatchError):
            destination.put_blob(BlobReader(BytesContent(data), wrong))
    assert place.list() == []
    if place.url.startswith("s3"):
        assert request.getfixturevalue("s3").filesystem.list_multipart_uploads("images") == []
