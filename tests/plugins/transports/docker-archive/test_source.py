from __future__ import annotations

import bz2
import gzip
import json
import os
import tarfile
import threading

import pytest

from transship.errors import BlobNotFoundError, InvalidManifestError, TransportError, TransshipError, UnsupportedError
from transship.image.descriptor import Descriptor
from transship.image.digest import digest_of
from transship.image.manifest import parse_manifest
from transship.image.media_types import DOCKER_LAYER_GZIP, DOCKER_MANIFEST
from transship.plugin.blob import FileContent
from transship.testing.images import schema2_image
from transship.testing.layers import tar_of
from transship.testing.writers import write_docker_archive

AMD, ARM = schema2_image(), schema2_image(architecture="arm64")
LAYER = tar_of({"a": b"content"})
CONFIG = {"rootfs": {"type": "layers", "diff_ids": [str(digest_of(LAYER))]}}
ITEM = {"Config": "c.json", "RepoTags": ["busybox:latest"], "Layers": ["l/layer.tar"]}
SYMLINK, HARDLINK = tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.fixture
def archive(tmp_path):
    write_docker_archive({"busybox:1": AMD, "": ARM, "host.tld/x:2": ARM}, tmp_path / "a.tar")
    return tmp_path / "a.tar"


@pytest.mark.parametrize(
    ("choice", "image"), [("busybox:1", AMD), ("host.tld/x:2", ARM), ("@0", AMD), ("@1", ARM), ("@2", ARM)]
)
def test_image_is_chosen_by_name_or_place(choice, image, archive, open_source, read):
    source = open_source(f"{archive}:{choice}")
    data, media_type = source.get_manifest()
    manifest = parse_manifest(data, media_type)
    assert media_type == DOCKER_MANIFEST
    assert read(source, manifest.config.digest) == image.config
    assert tuple(read(source, layer.descriptor.digest) for layer in manifest.layers) == image.tars
    assert {layer.descriptor.media_type for layer in manifest.layers} == {DOCKER_LAYER_GZIP}
    assert tuple(layer.descriptor.size for layer in manifest.layers) == tuple(map(len, image.tars))


@pytest.mark.parametrize(
    ("choice", "phrase"),
    [
        ("", "Unexpected tar manifest.json: expected 1 item, got 3"),
        (":other", 'Tag "docker.io/library/other:latest" not found'),
        (":@3", "Invalid source index @3, only 3 manifest items available"),
    ],
)
def test_image_that_is_not_there_is_told(choice, phrase, archive, open_source):
    with pytest.raises(TransportError, match=phrase):
        open_source(f"{archive}{choice}")


def test_layers_are_regions_of_the_archive(archive, open_source):
    content = open_source(f"{archive}:@0").get_blob(Descriptor("", AMD.diff_ids[0]))
    assert isinstance(content, FileContent)
    content.close()
    assert bytes(next(iter(content)))


@pytest.mark.parametrize("compress", [gzip.compress])
def test_compressed_archive_is_unpacked_first(compress, archive, open_source, read, tmp_path):
    (tmp_path / "a.tar.z").write_bytes(compress(archive.read_bytes()))
    source = open_source(f"{tmp_path}/a.tar.z:busybox:1")
    assert read(source, AMD.diff_ids[1]) == AMD.tars[1]


def test_pipe_is_read(archive, open_source, read, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(archive.read_bytes()))
    writer.start()
    source = open_source(f"{tmp_path}/pipe:busybox:1")
    writer.join()
    assert read(source, AMD.diff_ids[0]) == AMD.tars[0]


@pytest.mark.parametrize("data", [b"", b"x" * 600, b"\0" * 100, bz2.compress(b"no tar")])
def test_what_is_no_archive_is_refused(data, open_source, tmp_path):
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(TransportError):
        open_source(tmp_path / "a")


def test_missing_archive_and_folder_are_told(open_source, tmp_path):
    with pytest.raises(TransportError, match=r"open .*: no such file or directory"):
        open_source(tmp_path / "missing")
    with pytest.raises(TransportError, match="is a directory"):
        open_source(tmp_path)


def test_instances_and_unknown_blobs_are_not_there(archive, open_source):
    source = open_source(f"{archive}:@0")
    with pytest.raises(UnsupportedError):
        source.get_manifest(digest_of(b""))
    with pytest.raises(BlobNotFoundError):
        source.get_blob(Descriptor("", digest_of(b"other")))
    with pytest.raises(BlobNotFoundError):
        source.get_blob(Descriptor("", None))


def test_compressed_layer_inside_is_served_as_it_was_before(open_source, read, write_tar, tmp_path):
    item = {**ITEM, "Layers": ["l"]}
    members = [("l", gzip.compress(LAYER)), ("c.json", CONFIG), ("manifest.json", [item])]
    source = open_source(write_tar(tmp_path / "a", *members))
    [layer] = parse_manifest(*source.get_manifest()).layers
    assert (layer.descriptor.digest, layer.descriptor.size) == (digest_of(LAYER), len(LAYER))
    assert read(source, digest_of(LAYER)) == LAYER
    assert read(source, digest_of(LAYER)) == LAYER


@pytest.mark.parametrize(
    "members",
    [
        [("l/layer.tar", SYMLINK, "../other.tar"), ("other.tar", LAYER)],
        [("l/layer.tar", SYMLINK, "other.tar"), ("l/other.tar", LAYER)],
        [("other.tar", LAYER), ("l/layer.tar", HARDLINK, "other.tar")],
        [("./l/layer.tar", LAYER)],
        [("l/layer.tar", LAYER), ("l/layer.tar", b"a later duplicate")],
    ],
)
def test_layer_is_found(members, open_source, read, write_tar, tmp_path):
    path = write_tar(tmp_path / "a", *members, ("c.json", CONFIG), ("./manifest.json", [ITEM]))
    assert read(open_source(path), digest_of(LAYER)) == LAYER


@pytest.mark.parametrize(
    "members",
    [
        [],
        [("l/layer.tar", SYMLINK, "../../other.tar")],
        [("l/layer.tar", SYMLINK, "/etc/passwd")],
        [("l/layer.tar", SYMLINK, "layer.tar")],
        [("l/layer.tar", HARDLINK, "/etc/passwd")],
        [("l/layer.tar", tarfile.DIRTYPE, "")],
        [("l/layer.tar", tarfile.FIFOTYPE, "")],
    ],
)
def test_layer_that_is_not_inside_is_missing(members, open_source, write_tar, tmp_path):
    path = write_tar(tmp_path / "a", *members, ("c.json", CONFIG), ("manifest.json", [ITEM]))
    with pytest.raises(TransportError, match="Some layer tarfiles are missing in the tarball"):
        open_source(path)


def test_first_of_two_manifests_counts(open_source, write_tar, tmp_path):
    members = [("l/layer.tar", LAYER), ("c.json", CONFIG), ("manifest.json", [ITEM]), ("manifest.json", [])]
    assert open_source(write_tar(tmp_path / "a", *members)).get_manifest()


def test_same_content_twice_is_one_blob(open_source, write_tar, tmp_path):
    config = {"rootfs": {"diff_ids": [str(digest_of(LAYER))] * 2}}
    item = {**ITEM, "Layers": ["a", "b"]}
    members = [("a", LAYER), ("b", SYMLINK, "a"), ("c.json", config), ("manifest.json", [item])]
    assert len(parse_manifest(*open_source(write_tar(tmp_path / "a", *members)).get_manifest()).layers) == 2


def test_image_without_layers_is_read(open_source, write_tar, tmp_path):
    item = {"Config": "c.json", "RepoTags": None, "Layers": None}
    path = write_tar(tmp_path / "a", ("c.json", {}), ("manifest.json", [item]))
    assert json.loads(open_source(path).get_manifest().data)["layers"] == []


@pytest.mark.parametrize(
    "manifest",
    [
        {},
        None,
        [1],
        [None],
        [{**ITEM, "RepoTags": "busybox"}],
        [{**ITEM, "RepoTags": [1]}],
        [{**ITEM, "Layers": {"a": 1}}],
        [{**ITEM, "Config": 7}],
        [{**ITEM, "Config": "missing"}],
        [{**ITEM, "Config": "../c.json"}],
        [{**ITEM, "Layers": []}],
        [{**ITEM, "Layers": ["a", "b"]}],
        b"[" * 100_000,
        b"[" + b"9" * 10_000 + b"]",
        b"\xff",
        b"",
        b" " * (1 << 20) + b"[]",
    ],
)
def test_broken_manifest_is_one_line(manifest, open_source, write_tar, tmp_path):
    path = write_tar(tmp_path / "a", ("l/layer.tar", LAYER), ("c.json", CONFIG), ("manifest.json", manifest))
    with pytest.raises(TransshipError) as caught:
        open_source(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "config",
    [
        [],
        {"rootfs": []},
        {"rootfs": {"diff_ids": ["sha256:../../x"]}},
        {"rootfs": {"diff_ids": [7]}},
        {"rootfs": {"diff_ids": []}},
        {},
        b"{" * 100_000,
        b" " * (4 << 20) + b"{}",
    ],
)
def test_broken_config_is_one_line(config, open_source, write_tar, tmp_path):
    path = write_tar(tmp_path / "a", ("l/layer.tar", LAYER), ("c.json", config), ("manifest.json", [ITEM]))
    with pytest.raises(TransshipError) as caught:
        open_source(path)
    assert "\n" not in str(caught.value)


def test_one_file_for_two_diff_ids_is_refused(open_source, write_tar, tmp_path):
    config = {"rootfs": {"diff_ids": [str(digest_of(LAYER)), str(digest_of(b"other"))]}}
    item = {**ITEM, "Layers": ["a", "./a"]}
    path = write_tar(tmp_path / "a", ("a", LAYER), ("c.json", config), ("manifest.json", [item]))
    with pytest.raises(TransportError, match="used for two different DiffID values"):
        open_source(path)


def test_name_that_is_none_is_told(open_source, write_tar, tmp_path):
    item = {**ITEM, "RepoTags": ["NOT VALID"]}
    path = write_tar(tmp_path / "a", ("l/layer.tar", LAYER), ("c.json", CONFIG), ("manifest.json", [item]))
    with pytest.raises(InvalidManifestError, match=r"in manifest\.json item @0"):
        open_source(f"{path}:busybox")


def test_archive_without_manifest_is_told(open_source, write_tar, tmp_path):
    path = write_tar(tmp_path / "a", ("repositories", {}))
    with pytest.raises(TransportError, match=r"file manifest\.json not found in tar"):
        open_source(path)


def test_tags_are_listed_as_they_are_stored(archive, transport, context):
    for text in (archive, f"{archive}:busybox:1"):
        tags = transport.list_tags(transport.parse_place(str(text)), context())
        assert tags == ("", ["busybox:1", "@1", "host.tld/x:2"])
