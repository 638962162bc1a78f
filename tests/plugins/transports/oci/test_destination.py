from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from transship.errors import (
    ContentMismatchError,
    InvalidReferenceError,
    ManifestRejectedError,
    TransportError,
    TransshipError,
    UnsupportedError,
)
from transship.image.descriptor import Descriptor
from transship.image.digest import digest_of
from transship.image.media_types import DOCKER_MANIFEST, DOCKER_SCHEMA1, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from transship.plugin.blob import BlobReader, BytesContent, FileContent
from transship.plugin.context import Context
from transship.plugin.files import open_regular, temporary_in
from transship.plugin.signature import SIMPLE_SIGNING, Signature
from transship.plugin.transport import LayerCompression
from transship_oci import blob_folder
from transship_oci.transport import OciTransport

TRANSPORT = OciTransport()


def opened(path, suffix="v1", **options):
    options = {name.replace("_", "-"): value for name, value in options.items()}
    return TRANSPORT.open_destination(TRANSPORT.parse_reference(f"{path}:{suffix}"), Context(options=options))


def tree(path):
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if not file.is_dir())


def index_of(path):
    return json.loads((path / "index.json").read_bytes())


def blob_file(layout, digest):
    return layout / "blobs" / digest.algorithm / digest.encoded


def blob(data, digest=None, size=-1):
    return BlobReader(BytesContent(data), Descriptor(OCI_LAYER, digest, size))


def test_layout_is_written(tmp_path, image):
    layout = tmp_path / "deep" / "layout"
    image.write_to(opened(layout))
    digests = [descriptor.digest for descriptor, _ in image.blobs] + [image.digest]
    assert tree(layout) == sorted(["index.json", "oci-layout", *(f"blobs/sha256/{one.encoded}" for one in digests)])
    assert (layout / "oci-layout").read_bytes() == b'{"imageLayoutVersion":"1.0.0"}'
    assert index_of(layout) == {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {
                "mediaType": OCI_MANIFEST,
                "digest": str(image.digest),
                "size": len(image.manifest),
                "annotations": {"org.opencontainers.image.ref.name": "v1"},
            }
        ],
    }
    assert all(blob_file(layout, one).stat().st_mode & 0o777 == 0o644 for one in digests)


def test_nothing_is_made_before_the_first_blob(tmp_path):
    destination = opened(tmp_path / "layout")
    assert destination.reuse_blob(Descriptor(OCI_LAYER, digest_of(b"x"))) is None
    destination.close()
    destination.close()
    assert list(tmp_path.iterdir()) == []


def test_folders_of_a_failed_run_are_removed(tmp_path):
    destination = opened(tmp_path / "deep" / "layout")
    with pytest.raises(ContentMismatchError):
        destination.put_blob(blob(b"data", digest_of(b"other")))
    destination.close()
    assert list(tmp_path.iterdir()) == []


def test_folders_that_a_failed_run_takes_away_are_made_again(tmp_path, image, monkeypatch):
    layout = tmp_path / "layout"
    failed = opened(layout)
    with pytest.raises(ContentMismatchError):
        failed.put_blob(blob(b"data", digest_of(b"other")))
    taken = []

    def temporary_after_that(folder):
        if not taken:
            taken.append(folder)
            failed.close()
        return temporary_in(folder)

    monkeypatch.setattr(blob_folder, "temporary_in", temporary_after_that)
    destination = opened(layout)
    destination.put_manifest(image.manifest, OCI_MANIFEST)
    destination.commit()
    destination.close()
    assert taken
    assert blob_file(layout, image.digest).read_bytes() == image.manifest


def test_failed_run_leaves_an_existing_layout_alone(tmp_path, image):
    image.write_to(opened(tmp_path / "layout"))
    before = tree(tmp_path / "layout")
    index = (tmp_path / "layout" / "index.json").read_bytes()
    destination = opened(tmp_path / "layout", "v2")
    destination.put_blob(blob(b"more"))
    destination.put_manifest(b"{}", OCI_MANIFEST)
    destination.close()
    assert tree(tmp_path / "layout") == before
    assert (tmp_path / "layout" / "index.json").read_bytes() == index


def test_index_and_instances_are_stored_and_only_the_index_is_named(tmp_path, image):
    destination = opened(tmp_path / "layout")
    destination.put_manifest(image.manifest, OCI_MANIFEST, image.digest)
    destination.put_manifest(b'{"manifests":[]}', OCI_INDEX)
    destination.commit()
    destination.close()
    assert blob_file(tmp_path / "layout", image.digest).read_bytes() == image.manifest
    assert [entry["mediaType"] for entry in index_of(tmp_path / "layout")["manifests"]] == [OCI_INDEX]


def test_instance_under_a_foreign_digest_is_refused(tmp_path, image):
    with pytest.raises(ContentMismatchError):
        opened(tmp_path / "layout").put_manifest(image.manifest, OCI_MANIFEST, digest_of(b"other"))


@pytest.mark.parametrize("media_type", [DOCKER_SCHEMA1, "", "text/plain"])
def test_type_that_could_not_be_named_is_rejected(tmp_path, media_type):
    with pytest.raises(ManifestRejectedError):
        opened(tmp_path / "layout").put_manifest(b"{}", media_type)


def test_docker_manifest_is_stored(tmp_path, image):
    image.write_to(opened(tmp_path / "layout"), DOCKER_MANIFEST)
    assert index_of(tmp_path / "layout")["manifests"][0]["mediaType"] == DOCKER_MANIFEST


def test_blob_of_sha512_lies_in_its_own_folder(tmp_path):
    digest = digest_of(b"data", "sha512")
    destination = opened(tmp_path / "layout")
    destination.put_blob(blob(b"data", digest, 4))
    destination.commit()
    assert blob_file(tmp_path / "layout", digest).read_bytes() == b"data"


def test_blob_that_is_there_is_reused_with_its_real_size(tmp_path, image):
    image.write_to(opened(tmp_path / "layout"))
    descriptor, data = image.blobs[0]
    reused = opened(tmp_path / "layout").reuse_blob(Descriptor("x", descriptor.digest, -1))
    assert reused == Descriptor("x", descriptor.digest, len(data))


def test_blob_with_wrong_bytes_is_not_reused_but_replaced(tmp_path, image):
    image.write_to(opened(tmp_path / "layout"))
    descriptor, data = image.blobs[0]
    path = blob_file(tmp_path / "layout", descriptor.digest)
    path.write_bytes(bytes(len(data)))
    destination = opened(tmp_path / "layout")
    assert destination.reuse_blob(descriptor) is None
    destination.put_blob(blob(data, descriptor.digest, descriptor.size))
    assert destination.reuse_blob(descriptor) == descriptor
    destination.commit()
    assert path.read_bytes() == data


def test_blob_of_another_size_is_not_reused(tmp_path, image):
    image.write_to(opened(tmp_path / "layout"))
    descriptor, data = image.blobs[0]
    destination = opened(tmp_path / "layout")
    assert destination.reuse_blob(Descriptor("x", descriptor.digest, len(data) + 1)) is None


def test_planted_link_is_not_written_through(tmp_path, image):
    descriptor, data = image.blobs[0]
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    path = blob_file(tmp_path / "layout", descriptor.digest)
    path.parent.mkdir(parents=True)
    path.symlink_to(precious)
    image.write_to(opened(tmp_path / "layout"))
    assert precious.read_bytes() == b"precious"
    assert path.read_bytes() == data


@pytest.mark.parametrize("folder", ["blobs", "blobs/sha256"])
def test_folder_that_leads_out_is_refused(tmp_path, folder):
    (tmp_path / "outside").mkdir()
    (tmp_path / "layout" / folder).parent.mkdir(parents=True)
    (tmp_path / "layout" / folder).symlink_to(tmp_path / "outside")
    with pytest.raises(TransportError, match="leads out"):
        opened(tmp_path / "layout").put_blob(blob(b"data"))
    assert list((tmp_path / "outside").iterdir()) == []


def test_layout_may_itself_be_a_link(tmp_path, image):
    (tmp_path / "real").mkdir()
    (tmp_path / "layout").symlink_to("real")
    image.write_to(opened(tmp_path / "layout"))
    assert (tmp_path / "real" / "index.json").exists()


def test_position_is_no_destination(tmp_path):
    with pytest.raises(InvalidReferenceError, match="must not contain a manifest index"):
        opened(tmp_path / "layout", "@0")


@pytest.mark.parametrize("content", ["file", "bad index"])
def test_place_that_is_no_layout_is_told_at_once(tmp_path, content):
    layout = tmp_path / "layout"
    if content == "file":
        layout.write_text("x")
    else:
        layout.mkdir()
        (layout / "index.json").write_text("[]")
    with pytest.raises(TransshipError):
        opened(layout)


def test_unwritable_place_is_one_line(tmp_path, image):
    (tmp_path / "file").write_text("x")
    with pytest.raises(TransportError, match="not a directory"):
        image.write_to(opened(tmp_path / "file" / "layout"))


def test_shared_folder_gets_blobs_and_manifests(tmp_path, image):
    layout, shared = tmp_path / "layout", tmp_path / "shared"
    image.write_to(opened(layout, shared_blob_dir=str(shared)))
    assert tree(layout) == ["index.json", "oci-layout"]
    assert (layout / "blobs").is_dir()
    assert (shared / "sha256" / image.digest.encoded).read_bytes() == image.manifest


def test_traits_follow_the_options(tmp_path):
    assert opened(tmp_path / "a").traits.compression is LayerCompression.COMPRESS
    kept = opened(tmp_path / "a", accept_uncompressed_layers="true")
    assert kept.traits.compression is LayerCompression.KEEP
    assert kept.traits.manifest_types == (OCI_MANIFEST, OCI_INDEX)


def test_signatures_are_refused(tmp_path):
    with pytest.raises(UnsupportedError, match="Pushing signatures for OCI images is not supported"):
        opened(tmp_path / "a").put_signatures([Signature(SIMPLE_SIGNING, b"x")])


@pytest.mark.parametrize("again", [False, True])
def test_local_blob_is_linked_on_demand(tmp_path, again):
    origin = tmp_path / "origin"
    origin.write_bytes(b"data")
    destination = opened(tmp_path / "layout", link="true")
    for _ in range(2 if again else 1):
        content = FileContent(open_regular(origin))
        destination.put_blob(BlobReader(content, Descriptor(OCI_LAYER, digest_of(b"data"), 4)))
        content.close()
    destination.commit()
    path = blob_file(tmp_path / "layout", digest_of(b"data"))
    assert path.stat().st_ino == origin.stat().st_ino
    assert os.listdir(tmp_path / "layout" / "blobs") == ["sha256"]


def test_wrong_local_blob_leaves_no_link(tmp_path):
    origin = tmp_path / "origin"
    origin.write_bytes(b"evil")
    destination = opened(tmp_path / "layout", link="true")
    content = FileContent(open_regular(origin))
    with pytest.raises(ContentMismatchError):
        destination.put_blob(BlobReader(content, Descriptor(OCI_LAYER, digest_of(b"data"), 4)))
    content.close()
    assert tree(tmp_path / "layout") == []


def test_leftovers_of_killed_runs_vanish_when_they_are_old(tmp_path, image):
    blobs = tmp_path / "layout" / "blobs"
    blobs.mkdir(parents=True)
    old = [blobs / ".transship.abc.tmp", blobs.parent / ".index.json.abc.tmp"]
    fresh = blobs / ".transship.def.tmp"
    for path in (*old, fresh):
        path.touch()
    for path in old:
        os.utime(path, (time.time() - 90_000,) * 2)
    image.write_to(opened(tmp_path / "layout"))
    assert not any(path.exists() for path in old)
    assert fresh.exists()


def test_blob_that_somebody_removed_meanwhile_fails_the_commit(tmp_path, image):
    image.write_to(opened(tmp_path / "layout"))
    before = (tmp_path / "layout" / "index.json").read_bytes()
    descriptor, _ = image.blobs[0]
    destination = opened(tmp_path / "layout", "v2")
    assert destination.reuse_blob(descriptor)
    destination.put_manifest(image.manifest, OCI_MANIFEST)
    blob_file(tmp_path / "layout", descriptor.digest).unlink()
    with pytest.raises(TransportError):
        destination.commit()
    assert (tmp_path / "layout" / "index.json").read_bytes() == before


def test_blobs_may_come_from_several_threads(tmp_path):
    destination = opened(tmp_path / "layout")
    datas = [b"%d" % number * 1000 for number in range(16)]
    threads = [threading.Thread(target=destination.put_blob, args=(blob(data),)) for data in datas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    destination.commit()
    assert all(blob_file(tmp_path / "layout", digest_of(data)).read_bytes() == data for data in datas)


WRITER = """
import sys
from transship.image.media_types import OCI_MANIFEST
from transship.plugin.context import Context
from transship_oci import blob_folder
from transship_oci.transport import OciTransport

path, number = sys.argv[1:]
transport = OciTransport()
for turn in range(5):
    reference = transport.parse_reference(f"{path}:image{number}-{turn}")
    destination = transport.open_destination(reference, Context())
    destination.put_manifest(b'{"layers":[],"number":%d}' % (int(number) * 100 + turn), OCI_MANIFEST)
    destination.commit()
    destination.close()
"""


def test_eight_processes_at_once_lose_nothing(tmp_path):
    layout = tmp_path / "layout"
    processes = [subprocess.Popen([sys.executable, "-c", WRITER, str(layout), str(number)]) for number in range(8)]
    assert [process.wait(60) for process in processes] == [0] * 8
    names = TRANSPORT.list_tags(TRANSPORT.parse_place(str(layout)), Context()).tags
    assert sorted(names) == sorted(f"image{number}-{turn}" for number in range(8) for turn in range(5))
    assert len(list((layout / "blobs" / "sha256").iterdir())) == 40
