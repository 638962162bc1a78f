from __future__ import annotations

import gzip
import json
import os
import stat
import tarfile
import threading
from contextlib import closing

import pytest

from transship.errors import (
    BlobNotFoundError,
    ContentMismatchError,
    InvalidManifestError,
    InvalidReferenceError,
    ManifestRejectedError,
    TransportError,
    UnsupportedError,
)
from transship.image.descriptor import Descriptor
from transship.image.digest import digest_of
from transship.image.manifest import docker_manifest
from transship.image.media_types import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST, OCI_MANIFEST
from transship.plugin.blob import BlobReader, BytesContent
from transship.plugin.signature import SIMPLE_SIGNING, Signature
from transship.plugin.transport import LayerCompression
from transship.testing.images import schema2_image
from transship.testing.writers import write_docker_archive

AMD, ARM = schema2_image(), schema2_image(architecture="arm64")


def members(path):
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() if member.isreg() else None for member in tar}


def items(path):
    return json.loads(members(path)["manifest.json"])


def test_written_image_is_read_back(tmp_path, open_destination, open_source, store, read):
    store(open_destination(f"{tmp_path}/a.tar:busybox"), AMD)
    source = open_source(f"{tmp_path}/a.tar:busybox")
    assert [read(source, diff_id) for diff_id in AMD.diff_ids] == list(AMD.tars)
    assert read(source, digest_of(AMD.config)) == AMD.config
    assert os.listdir(tmp_path) == ["a.tar"]
    assert stat.S_IMODE((tmp_path / "a.tar").stat().st_mode) == 0o644


def test_archive_appears_only_when_it_is_committed(tmp_path, open_destination):
    destination = open_destination(tmp_path / "a.tar")
    assert os.listdir(tmp_path) == []
    destination.put_blob(BlobReader(BytesContent(b"x"), Descriptor("", None)))
    assert not (tmp_path / "a.tar").exists()
    destination.close()
    destination.close()
    assert os.listdir(tmp_path) == []


def test_empty_file_is_replaced_and_keeps_its_mode(tmp_path, open_destination, store):
    (tmp_path / "a.tar").touch(mode=0o600)
    store(open_destination(tmp_path / "a.tar"), AMD)
    assert (tmp_path / "a.tar").stat().st_size > 0
    assert stat.S_IMODE((tmp_path / "a.tar").stat().st_mode) == 0o600


def test_existing_archive_is_not_overwritten(tmp_path, open_destination):
    (tmp_path / "a.tar").write_bytes(b"data")
    with pytest.raises(UnsupportedError, match="docker-archive doesn't support modifying existing images"):
        open_destination(tmp_path / "a.tar")


def test_archive_that_appeared_meanwhile_is_not_overwritten(tmp_path, open_destination, store):
    destination = open_destination(tmp_path / "a.tar")
    (tmp_path / "a.tar").write_bytes(b"data")
    with pytest.raises(TransportError):
        store(destination, AMD)
    assert os.listdir(tmp_path) == ["a.tar"]
    assert (tmp_path / "a.tar").read_bytes() == b"data"


@pytest.mark.parametrize(("text", "phrase"), [("missing/a.tar", "no such file"), (".", "is a directory"), (":x", "no")])
def test_place_that_cannot_be_written_is_told(text, phrase, tmp_path, open_destination, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TransportError, match=phrase):
        open_destination(text)


def test_index_cannot_be_written_to(tmp_path, open_destination):
    with pytest.raises(UnsupportedError, match="must not contain a manifest index @1"):
        open_destination(f"{tmp_path}/a.tar:@1")


@pytest.mark.parametrize("known", [True, False])
def test_pipe_gets_the_same_bytes_as_a_file(known, tmp_path, open_destination, store, context):
    os.mkfifo(tmp_path / "pipe")
    received = []
    reader = threading.Thread(target=lambda: received.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    store(open_destination(f"{tmp_path}/pipe:busybox"), AMD, known=known)
    reader.join()
    store(open_destination(f"{tmp_path}/a.tar:busybox"), AMD, known=known)
    assert received == [(tmp_path / "a.tar").read_bytes()]
    assert os.listdir(context().temporary_directory) == []


def test_members_say_nothing_of_who_wrote_them(tmp_path, open_destination, store):
    store(open_destination(tmp_path / "a.tar"), AMD)
    with tarfile.open(tmp_path / "a.tar") as tar:
        for member in tar:
            assert (member.uid, member.gid, member.mtime, member.uname, member.gname) == (0, 0, 0, "", "")
            assert member.mode == (0o444 if member.isreg() else 0)


def test_layer_that_occurs_twice_is_written_once(tmp_path, open_destination):
    destination = open_destination(tmp_path / "a.tar")
    for _ in range(2):
        destination.put_blob(BlobReader(BytesContent(b"x" * 1000), Descriptor("", None)))
    config = b'{"rootfs":{}}'
    expected = Descriptor("", digest_of(config), len(config))
    destination.put_blob(BlobReader(BytesContent(config), expected, is_config=True))
    layer = {"mediaType": DOCKER_LAYER, "size": 1000, "digest": str(digest_of(b"x" * 1000))}
    manifest = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": {"mediaType": DOCKER_CONFIG, "size": len(config), "digest": str(expected.digest)},
        "layers": [layer, layer],
    }
    destination.put_manifest(json.dumps(manifest).encode(), DOCKER_MANIFEST)
    destination.commit()
    with tarfile.open(tmp_path / "a.tar") as tar:
        names = tar.getnames()
    assert len(names) == len(set(names)) == 2 + 2 * 3 + 2
    assert items(tmp_path / "a.tar")[0]["Layers"] == [f"{digest_of(b'x' * 1000).encoded}.tar"] * 2


def test_wrong_blob_leaves_nothing_behind(tmp_path, open_destination, store):
    destination = open_destination(tmp_path / "a.tar")
    with pytest.raises(ContentMismatchError):
        destination.put_blob(BlobReader(BytesContent(b"x" * 2000), Descriptor("", digest_of(b"y"), 2000)))
    store(destination, AMD)
    assert set(members(tmp_path / "a.tar")) >= {f"{diff_id.encoded}.tar" for diff_id in AMD.diff_ids}
    assert f"{digest_of(b'y').encoded}.tar" not in members(tmp_path / "a.tar")


def test_only_blobs_of_this_run_are_reused(tmp_path, open_destination):
    with closing(open_destination(tmp_path / "a.tar")) as destination:
        descriptor = Descriptor("", digest_of(b"x"))
        assert destination.reuse_blob(descriptor) is None
        destination.put_blob(BlobReader(BytesContent(b"x"), Descriptor("", None)))
        assert destination.reuse_blob(descriptor) == Descriptor("", digest_of(b"x"), 1)
        assert destination.reuse_blob(Descriptor("", digest_of(b"x"), 2)) is None


def test_traits_ask_for_plain_layers_in_docker_images(tmp_path, open_destination):
    traits = open_destination(tmp_path / "a.tar").traits
    assert traits.manifest_types == (DOCKER_MANIFEST,)
    assert traits.compression is LayerCompression.DECOMPRESS
    assert not traits.parallel


def test_what_an_archive_cannot_hold_is_refused(tmp_path, open_destination):
    with closing(open_destination(tmp_path / "a.tar")) as destination:
        with pytest.raises(ManifestRejectedError, match="need a Docker schema 2 manifest"):
            destination.put_manifest(b"{}", OCI_MANIFEST)
        with pytest.raises(InvalidManifestError):
            destination.put_manifest(b"{}", DOCKER_MANIFEST)
        with pytest.raises(UnsupportedError):
            destination.put_manifest(AMD.manifest, DOCKER_MANIFEST, AMD.digest)
        with pytest.raises(UnsupportedError, match="Storing signatures for docker tar files is not supported"):
            destination.put_signatures([Signature(SIMPLE_SIGNING, b"\xc2")])
        with pytest.raises(UnsupportedError):
            destination.put_blob(BlobReader(BytesContent(b"x"), Descriptor("", digest_of(b"x", "sha512"), 1)))
        big = BlobReader(BytesContent(b" " * (5 << 20)), Descriptor("", None), is_config=True)
        with pytest.raises(InvalidManifestError):
            destination.put_blob(big)


def test_config_that_comes_twice_is_written_once(tmp_path, open_destination):
    expected = Descriptor("", digest_of(b"{}"), 2)
    manifest = docker_manifest(expected._replace(media_type=DOCKER_CONFIG), [])
    with closing(open_destination(tmp_path / "a.tar")) as destination:
        for _ in range(2):
            destination.put_blob(BlobReader(BytesContent(b"{}"), expected, is_config=True))
        destination.put_manifest(manifest, DOCKER_MANIFEST)
        destination.commit()
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert tar.getnames() == [f"{digest_of(b'{}').encoded}.json", "manifest.json", "repositories"]


def test_manifest_of_blobs_that_are_not_there_is_refused(tmp_path, open_destination):
    with closing(open_destination(tmp_path / "a.tar")) as destination:
        destination.put_manifest(AMD.manifest, DOCKER_MANIFEST)
        with pytest.raises(BlobNotFoundError):
            destination.commit()
    assert os.listdir(tmp_path) == []


def test_additional_tags_follow_the_name(tmp_path, open_destination, store):
    store(open_destination(f"{tmp_path}/a.tar:busybox", additional_tags="x/y:1,busybox:latest,z:2"), AMD)
    names = ["docker.io/library/busybox:latest", "docker.io/x/y:1", "docker.io/library/z:2"]
    assert items(tmp_path / "a.tar")[0]["RepoTags"] == names


@pytest.mark.parametrize("tags", ["busybox", "UPPER:1", f"x:1@{digest_of(b'')}"])
def test_additional_tag_without_a_tag_is_refused(tags, tmp_path, open_destination):
    with pytest.raises(InvalidReferenceError, match="additional-tag"):
        open_destination(tmp_path / "a.tar", additional_tags=tags)


def test_image_is_appended_and_takes_over_its_names(tmp_path, open_destination, open_source, store, read):
    path = tmp_path / "a.tar"
    store(open_destination(f"{path}:x:1", additional_tags="x:2"), AMD)
    before = path.read_bytes()
    store(open_destination(f"{path}:x:2", append="true"), ARM)
    assert [item["RepoTags"] for item in items(path)] == [["docker.io/library/x:1"], ["docker.io/library/x:2"]]
    for name, image in (("x:1", AMD), ("x:2", ARM)):
        source = open_source(f"{path}:{name}")
        assert [read(source, diff_id) for diff_id in image.diff_ids] == list(image.tars)
    with tarfile.open(path) as tar:
        names = tar.getnames()
    assert len(names) == len(set(names))
    repositories = json.loads(members(path)["repositories"])["docker.io/library/x"]
    assert set(repositories) == {"1", "2"}
    assert len(set(repositories.values())) == 2
    assert path.read_bytes() != before
    assert os.listdir(tmp_path) == ["a.tar"]


def test_same_image_appended_gets_a_further_name(tmp_path, open_destination, store):
    path = tmp_path / "a.tar"
    for name in ("x:1", "x:2"):
        store(open_destination(f"{path}:{name}", append="true"), AMD)
    [item] = items(path)
    assert item["RepoTags"] == ["docker.io/library/x:1", "docker.io/library/x:2"]


def test_archive_of_docker_save_can_be_appended_to(tmp_path, open_destination, open_source, store, read):
    write_docker_archive({"x:1": AMD}, tmp_path / "a.tar")
    store(open_destination(f"{tmp_path}/a.tar:x:1", append="true"), ARM)
    assert [item["RepoTags"] for item in items(tmp_path / "a.tar")] == [[], ["docker.io/library/x:1"]]
    assert read(open_source(f"{tmp_path}/a.tar:@0"), AMD.diff_ids[1]) == AMD.tars[1]


def test_damaged_blob_of_the_archive_is_not_used(tmp_path, open_destination, store, write_tar):
    path = tmp_path / "a.tar"
    write_tar(path, (f"{AMD.diff_ids[0].encoded}.tar", b"wrong"), ("manifest.json", []))
    before = path.read_bytes()
    with pytest.raises(TransportError, match="not what its name says"):
        store(open_destination(f"{path}:x:1", append="true"), AMD)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.tar"]


def test_layer_that_turns_out_to_be_there_is_not_written_twice(tmp_path, open_destination, store):
    path = tmp_path / "a.tar"
    store(open_destination(f"{path}:x:1"), AMD)
    with closing(open_destination(f"{path}:x:2", append="true")) as destination:
        destination.put_blob(BlobReader(BytesContent(AMD.tars[0]), Descriptor(DOCKER_LAYER, None)))
        store(destination, ARM)
    with tarfile.open(path) as tar:
        assert tar.getnames().count(f"{AMD.diff_ids[0].encoded}.tar") == 1


def test_damaged_config_of_the_archive_is_not_used(tmp_path, open_destination, store, write_tar):
    path = tmp_path / "a.tar"
    write_tar(path, (f"{digest_of(AMD.config).encoded}.json", b"wrong"), ("manifest.json", []))
    before = path.read_bytes()
    with pytest.raises(TransportError, match="not what its name says"):
        store(open_destination(f"{path}:x:1", append="true"), AMD)
    assert path.read_bytes() == before


@pytest.mark.parametrize("repositories", [[], {"x": []}, {"x": {"1": "a"}, "y": "z"}])
def test_archive_with_a_broken_list_of_repositories_is_not_appended_to(
    repositories, tmp_path, open_destination, write_tar
):
    write_tar(tmp_path / "a.tar", ("manifest.json", []), ("repositories", repositories))
    with pytest.raises(InvalidManifestError):
        open_destination(f"{tmp_path}/a.tar:x:1", append="true")


def test_compressed_archive_is_not_appended_to(tmp_path, open_destination, write_tar):
    write_tar(tmp_path / "plain.tar", ("manifest.json", []))
    (tmp_path / "a.tar").write_bytes(gzip.compress((tmp_path / "plain.tar").read_bytes()))
    with pytest.raises(UnsupportedError):
        open_destination(f"{tmp_path}/a.tar:x:1", append="true")


def test_file_that_is_written_through_is_not_appended_to(tmp_path, open_destination):
    write_docker_archive({"x:1": AMD}, tmp_path / "a.tar")
    with open(tmp_path / "a.tar", "r+b") as file, pytest.raises(UnsupportedError):
        open_destination(f"/proc/self/fd/{file.fileno()}:x:2", append="true")


def test_more_images_than_readers_can_list_are_refused(tmp_path, open_destination, store, write_tar):
    path = tmp_path / "a.tar"
    write_tar(path, ("manifest.json", [{"Config": "c.json", "Comment": "a" * ((1 << 20) - 200)}]))
    before = path.read_bytes()
    with pytest.raises(UnsupportedError):
        store(open_destination(f"{path}:x:1", append="true"), AMD)
    assert path.read_bytes() == before


def without_layers(destination, config=b"{}"):
    """Store an image that is a config alone."""
    described = Descriptor(DOCKER_CONFIG, digest_of(config), len(config))
    with closing(destination):
        destination.put_blob(BlobReader(BytesContent(config), described, is_config=True))
        destination.put_manifest(docker_manifest(described, []), DOCKER_MANIFEST)
        destination.commit()


def test_image_without_layers_takes_a_name_away(tmp_path, open_destination, store):
    path = tmp_path / "a.tar"
    store(open_destination(f"{path}:x:1"), AMD)
    without_layers(open_destination(f"{path}:x:1", append="true"))
    assert [item["RepoTags"] for item in items(path)] == [[], ["docker.io/library/x:1"]]
    assert json.loads(members(path)["repositories"]) == {}


def test_archive_without_manifest_is_not_committed(tmp_path, open_destination):
    with closing(open_destination(tmp_path / "a.tar")) as destination, pytest.raises(TransportError):
        destination.commit()
    assert os.listdir(tmp_path) == []


def test_archive_without_one_of_its_layers_is_not_committed(tmp_path, open_destination):
    config = Descriptor(DOCKER_CONFIG, digest_of(b"{}"), 2)
    with closing(open_destination(tmp_path / "a.tar")) as destination:
        destination.put_blob(BlobReader(BytesContent(b"{}"), config, is_config=True))
        layer = Descriptor(DOCKER_LAYER, AMD.diff_ids[0], len(AMD.tars[0]))
        destination.put_manifest(docker_manifest(config, [layer]), DOCKER_MANIFEST)
        with pytest.raises(BlobNotFoundError):
            destination.commit()
    assert os.listdir(tmp_path) == []


def test_archive_with_an_oci_layout_is_not_appended_to(tmp_path, open_destination, write_tar):
    write_tar(tmp_path / "a.tar", ("manifest.json", []), ("index.json", {}))
    with pytest.raises(UnsupportedError):
        open_destination(f"{tmp_path}/a.tar:x:1", append="true")


def test_archive_that_changed_meanwhile_is_not_replaced(tmp_path, open_destination, store):
    path = tmp_path / "a.tar"
    write_docker_archive({"x:1": AMD}, path)
    destination = open_destination(f"{path}:x:2", append="true")
    write_docker_archive({"x:3": AMD, "": ARM}, path)
    with pytest.raises(TransportError):
        store(destination, ARM)
    assert len(items(path)) == 2


def test_archive_that_nobody_could_load_is_refused(tmp_path, open_destination):
    destination = open_destination(tmp_path / "a.tar")
    config = json.loads(AMD.config)
    config["rootfs"]["diff_ids"].append(config["rootfs"]["diff_ids"][0])
    data = json.dumps(config).encode()
    described = Descriptor(DOCKER_CONFIG, digest_of(data), len(data))
    destination.put_blob(BlobReader(BytesContent(data), described, is_config=True))
    layers = [Descriptor(DOCKER_LAYER, digest_of(tar), len(tar)) for tar in AMD.tars]
    with pytest.raises(InvalidManifestError):
        destination.put_manifest(docker_manifest(described, layers), DOCKER_MANIFEST)
    destination.close()
    assert os.listdir(tmp_path) == []
