from __future__ import annotations

import errno
import os
import shutil
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from transship.errors import ContentMismatchError, TransportError, TransshipError
from transship.image.descriptor import Descriptor
from transship.image.digest import digest_of
from transship.plugin.blob import BlobReader, BytesContent, FileContent
from transship.plugin.signature import SIGSTORE_JSON, SIMPLE_SIGNING, Signature
from transship.plugin.transport import LayerCompression
from transship.testing.images import oci_image, oci_index, schema2_image
from transship.testing.writers import write_dir
from transship_dir import staging

SIGNATURES = [Signature(SIMPLE_SIGNING, b"\xc2a"), Signature(SIGSTORE_JSON, b"{}")]
OLD, NEW = oci_image(), schema2_image(architecture="arm64")


def names(folder):
    return sorted(os.listdir(folder))


def inode(path):
    return path.stat().st_ino


@pytest.fixture
def no_exchange(monkeypatch):
    def refuse(one, other):
        raise OSError(errno.EINVAL, "Invalid argument", one)

    monkeypatch.setattr(staging, "exchange", refuse)


def test_image_is_written_with_signatures_and_version(tmp_path, open_destination, store, open_source):
    target = tmp_path / "image"
    store(open_destination(target), oci_index(), SIGNATURES)
    assert (target / "version").read_bytes() == b"Directory Transport Version: 1.1\n"
    assert (target / "signature-2").read_bytes() == b"\0sigstore-json\n{}"
    assert stat.S_IMODE((target / "manifest.json").stat().st_mode) == 0o644
    source = open_source(target)
    assert source.get_signatures() == SIGNATURES
    assert source.get_manifest().data == oci_index().manifest
    assert names(tmp_path) == ["image"]
    assert all(digest.encoded in names(target) for digest in oci_index().all_blobs)


def test_signatures_of_an_instance_have_its_name(tmp_path, open_destination):
    destination = open_destination(tmp_path / "image")
    digest = digest_of(b"instance")
    destination.put_manifest(b"{}", "")
    destination.put_manifest(b"instance", "", digest)
    destination.put_signatures(SIGNATURES, digest)
    destination.commit()
    assert f"{digest.encoded}.signature-1" in names(tmp_path / "image")
    assert f"{digest.encoded}.manifest.json" in names(tmp_path / "image")


def test_other_digests_than_sha256_are_named_in_full_and_raise_the_version(tmp_path, open_destination):
    data, target = b"blob", tmp_path / "image"
    digest = digest_of(data, "sha512")
    destination = open_destination(target)
    destination.put_blob(BlobReader(BytesContent(data), Descriptor("", digest, len(data))))
    destination.put_manifest(b"{}", "")
    destination.commit()
    assert (target / f"sha512-{digest.encoded}").read_bytes() == data
    assert (target / "version").read_bytes() == b"Directory Transport Version: 1.2\n"


def test_nothing_changes_when_a_destination_is_opened(tmp_path, open_destination):
    open_destination(tmp_path / "image").close()
    assert names(tmp_path) == []


def test_nothing_appears_before_commit(tmp_path, open_destination, store_blobs):
    destination = open_destination(tmp_path / "image")
    store_blobs(destination, NEW)
    destination.put_manifest(NEW.manifest, NEW.media_type)
    assert not (tmp_path / "image").exists()
    destination.close()
    destination.close()
    assert names(tmp_path) == []


def test_old_image_survives_a_failed_copy(tmp_path, open_destination, store_blobs, open_source, read):
    write_dir(OLD, tmp_path / "image")
    before = names(tmp_path / "image")
    destination = open_destination(tmp_path / "image")
    store_blobs(destination, NEW)
    destination.close()
    assert names(tmp_path / "image") == before
    assert names(tmp_path) == ["image"]


def assert_replaced(target, before, source, read):
    assert source.get_manifest().data == NEW.manifest
    assert source.get_signatures() == SIGNATURES[:1]
    assert {digest.encoded for digest in NEW.blobs} <= set(names(target))
    left = set(before) & set(names(target))
    assert left - {digest.encoded for digest in NEW.blobs} == {"manifest.json", "signature-1", "version"}
    assert not [name for name in names(target) if name.startswith(".")]
    for digest, data in NEW.blobs.items():
        assert read(source, digest) == data


def test_old_image_is_replaced_with_all_that_was_there(tmp_path, open_destination, store, open_source, read):
    target = tmp_path / "image"
    write_dir(OLD, target, [b"\xc2old", b"\xc2old"])
    (target / "extra").mkdir()
    before, folder = names(target), inode(target)
    store(open_destination(target), NEW, SIGNATURES[:1])
    assert_replaced(target, before, open_source(target), read)
    assert inode(target) != folder
    assert names(tmp_path) == ["image"]


@pytest.mark.usefixtures("no_exchange")
def test_old_image_is_replaced_where_names_cannot_be_exchanged(tmp_path, open_destination, store, open_source, read):
    target = tmp_path / "image"
    write_dir(OLD, target, [b"\xc2old", b"\xc2old"])
    (target / "extra").mkdir()
    before, folder = names(target), inode(target)
    store(open_destination(target), NEW, SIGNATURES[:1])
    assert_replaced(target, before, open_source(target), read)
    assert inode(target) == folder
    assert names(tmp_path) == ["image"]


def test_current_folder_is_filled_in_place(tmp_path, open_destination, store, open_source, read, monkeypatch):
    target = tmp_path / "image"
    write_dir(OLD, target, [b"\xc2old", b"\xc2old"])
    before, folder = names(target), inode(target)
    monkeypatch.chdir(target)
    store(open_destination(""), NEW, SIGNATURES[:1])
    assert_replaced(target, before, open_source("."), read)
    assert inode(target) == folder == os.stat(".").st_ino


def test_failed_copy_into_the_current_folder_leaves_it_as_it_was(tmp_path, open_destination, store_blobs, monkeypatch):
    write_dir(OLD, tmp_path)
    before = names(tmp_path)
    monkeypatch.chdir(tmp_path)
    destination = open_destination(".")
    store_blobs(destination, NEW)
    destination.close()
    assert names(tmp_path) == before


def test_leftovers_of_a_killed_run_do_not_count_as_content(tmp_path, open_destination, store_blobs, store, monkeypatch):
    target = tmp_path / "image"
    target.mkdir()
    monkeypatch.chdir(target)
    store_blobs(open_destination("."), NEW)  # and neither commit nor close
    assert len(names(target)) == 1
    store(open_destination("."), NEW)
    assert "version" in names(target)


def test_empty_folder_is_used(tmp_path, open_destination, store):
    (tmp_path / "image").mkdir(mode=0o700)
    store(open_destination(tmp_path / "image"), NEW)
    assert stat.S_IMODE((tmp_path / "image").stat().st_mode) == 0o700
    assert names(tmp_path) == ["image"]


def test_link_to_a_folder_stays_a_link(tmp_path, open_destination, store):
    write_dir(OLD, tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    store(open_destination(tmp_path / "link"), NEW)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "manifest.json").read_bytes() == NEW.manifest


@pytest.mark.parametrize("version", [None, b"", b"Directory Transport Version: 1.3\n", b"other"])
def test_folder_with_other_data_is_refused(version, tmp_path, open_destination):
    (tmp_path / "precious").write_text("data")
    if version is not None:
        (tmp_path / "version").write_bytes(version)
    with pytest.raises(TransportError, match="not a containers image directory"):
        open_destination(tmp_path)
    assert (tmp_path / "precious").read_text() == "data"


def test_file_in_place_of_a_folder_is_refused(tmp_path, open_destination):
    (tmp_path / "image").touch()
    with pytest.raises(TransportError):
        open_destination(tmp_path / "image")


def test_data_that_appeared_meanwhile_is_not_overwritten(tmp_path, open_destination, store):
    destination = open_destination(tmp_path / "image")
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "precious").touch()
    with pytest.raises(TransportError):
        store(destination, NEW)
    destination.close()
    assert names(tmp_path) == ["image"]
    assert names(tmp_path / "image") == ["precious"]


def test_image_can_be_copied_onto_itself(tmp_path, open_destination, open_source, read):
    write_dir(OLD, tmp_path / "image")
    source, destination = open_source(tmp_path / "image"), open_destination(tmp_path / "image")
    for digest, data in OLD.blobs.items():
        descriptor = Descriptor("", digest, len(data))
        with closing(source.get_blob(descriptor)) as content:
            destination.put_blob(BlobReader(content, descriptor))
    destination.put_manifest(*source.get_manifest())
    destination.commit()
    for digest, data in OLD.blobs.items():
        assert read(open_source(tmp_path / "image"), digest) == data


def test_two_writers_at_once_leave_one_whole_image(tmp_path, open_destination, store_blobs, open_source, read):
    destinations = [open_destination(tmp_path / "image") for _ in range(2)]
    for destination in destinations:
        store_blobs(destination, NEW)
        destination.put_manifest(NEW.manifest, NEW.media_type)
    for destination in destinations:
        destination.commit()
        destination.close()
    assert names(tmp_path) == ["image"]
    assert [read(open_source(tmp_path / "image"), digest) for digest in NEW.blobs] == list(NEW.blobs.values())


def test_wrong_blob_is_refused_and_leaves_nothing(tmp_path, open_destination):
    destination = open_destination(tmp_path / "image")
    with pytest.raises(ContentMismatchError):
        destination.put_blob(BlobReader(BytesContent(b"one"), Descriptor("", digest_of(b"two"), 3)))
    [temporary] = tmp_path.iterdir()
    assert names(temporary) == []
    destination.close()


def test_blob_may_come_again_after_a_wrong_one_and_twice(tmp_path, open_destination):
    destination = open_destination(tmp_path / "image")
    descriptor = Descriptor("", digest_of(b"right"), 5)
    with pytest.raises(ContentMismatchError):
        destination.put_blob(BlobReader(BytesContent(b"wrong"), descriptor))
    for _ in range(2):
        destination.put_blob(BlobReader(BytesContent(b"right"), descriptor))
    destination.put_manifest(b"{}", "")
    destination.put_manifest(b'{"second": "type"}', "")
    destination.commit()
    destination.close()
    assert names(tmp_path / "image") == sorted([descriptor.digest.encoded, "manifest.json", "version"])
    assert (tmp_path / "image" / descriptor.digest.encoded).read_bytes() == b"right"
    assert (tmp_path / "image" / "manifest.json").read_bytes() == b'{"second": "type"}'


def test_blobs_may_come_from_several_threads(tmp_path, open_destination):
    destination = open_destination(tmp_path / "image")
    blobs = [b"%d" % number * 1000 for number in range(40)]

    def put(data):
        destination.put_blob(BlobReader(BytesContent(data), Descriptor("", digest_of(data), len(data))))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, blobs))
    destination.put_manifest(b"{}", "")
    destination.commit()
    assert all((tmp_path / "image" / digest_of(data).encoded).read_bytes() == data for data in blobs)
    assert names(tmp_path) == ["image"]


def test_blob_of_unknown_digest_and_size_is_named_by_what_it_is(tmp_path, open_destination):
    destination = open_destination(tmp_path / "image")
    destination.put_blob(BlobReader(BytesContent(b"blob"), Descriptor("layer", None)))
    found = destination.reuse_blob(Descriptor("layer", digest_of(b"blob")))
    assert found == Descriptor("layer", digest_of(b"blob"), 4)
    assert destination.reuse_blob(Descriptor("layer", digest_of(b"blob"), 5)) is None
    destination.close()


def test_blob_of_the_old_image_is_reused_after_verification(tmp_path, open_destination):
    write_dir(OLD, tmp_path / "image")
    digest, data = next(iter(OLD.blobs.items()))
    destination = open_destination(tmp_path / "image")
    assert destination.reuse_blob(Descriptor("", digest, len(data))) == Descriptor("", digest, len(data))
    destination.put_manifest(b"{}", "")
    destination.commit()
    assert names(tmp_path / "image") == sorted([digest.encoded, "manifest.json", "version"])
    assert (tmp_path / "image" / digest.encoded).read_bytes() == data


@pytest.mark.usefixtures("no_exchange")
def test_reused_blob_stays_where_names_cannot_be_exchanged(tmp_path, open_destination):
    write_dir(OLD, tmp_path / "image")
    digest, data = next(iter(OLD.blobs.items()))
    destination = open_destination(tmp_path / "image")
    assert destination.reuse_blob(Descriptor("", digest, len(data)))
    destination.put_manifest(b"{}", "")
    destination.commit()
    assert names(tmp_path / "image") == sorted([digest.encoded, "manifest.json", "version"])
    assert names(tmp_path) == ["image"]


def test_damaged_blob_of_the_old_image_is_not_reused(tmp_path, open_destination):
    write_dir(OLD, tmp_path / "image")
    digest, data = next(iter(OLD.blobs.items()))
    (tmp_path / "image" / digest.encoded).write_bytes(b"x" * len(data))
    destination = open_destination(tmp_path / "image")
    assert destination.reuse_blob(Descriptor("", digest, len(data))) is None
    assert destination.reuse_blob(Descriptor("", digest, len(data) + 1)) is None
    destination.close()


@pytest.mark.parametrize(("link", "shared"), [("true", True), ("false", False)])
def test_blob_that_is_a_file_is_linked_only_on_request(link, shared, tmp_path, open_destination):
    (tmp_path / "blob").write_bytes(b"blob")
    destination = open_destination(tmp_path / "image", link=link)
    for _ in range(2):
        with open(tmp_path / "blob", "rb", buffering=0) as file:
            destination.put_blob(BlobReader(FileContent(file), Descriptor("", digest_of(b"blob"), 4)))
    destination.put_manifest(b"{}", "")
    destination.commit()
    written = tmp_path / "image" / digest_of(b"blob").encoded
    assert (inode(written) == inode(tmp_path / "blob")) is shared
    assert len(names(tmp_path / "image")) == 3


def test_old_leftovers_are_removed_and_young_ones_stay(tmp_path, open_destination, store):
    for name, age in ((".image.old.tmp", 90_000), (".image.young.tmp", 60), (".other.old.tmp", 90_000)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    store(open_destination(tmp_path / "image"), NEW)
    assert names(tmp_path) == [".image.young.tmp", ".other.old.tmp", "image"]


@pytest.mark.parametrize(
    ("options", "compression"),
    [
        ({}, LayerCompression.KEEP),
        ({"compress": "true"}, LayerCompression.COMPRESS),
        ({"decompress": "true"}, LayerCompression.DECOMPRESS),
    ],
)
def test_options_say_what_is_done_to_layers(options, compression, tmp_path, open_destination):
    traits = open_destination(tmp_path / "image", **options).traits
    assert traits.compression is compression
    assert traits.manifest_types is None
    assert not traits.accepts_foreign_urls


def test_compressing_and_decompressing_exclude_each_other(tmp_path, open_destination):
    with pytest.raises(TransshipError, match="Cannot compress and decompress at the same time"):
        open_destination(tmp_path / "image", compress="true", decompress="true")


def test_folder_that_vanished_is_one_line(tmp_path, open_destination, store):
    (tmp_path / "parent").mkdir()
    destination = open_destination(tmp_path / "parent" / "image")
    (tmp_path / "parent").rmdir()
    with pytest.raises(TransportError, match="no such file or directory"):
        store(destination, NEW)


@pytest.mark.parametrize("option", ["compress", "decompress"])
def test_old_image_does_not_decide_how_layers_are_compressed(option, tmp_path, open_destination, store):
    target = tmp_path / "image"
    store(open_destination(target), OLD)
    destination = open_destination(target, **{option: "true"})
    digest, data = next(iter(OLD.blobs.items()))
    assert destination.reuse_blob(Descriptor("", digest, len(data))) is None
    destination.close()


def test_folder_that_others_replace_all_the_time_is_still_an_image(tmp_path, open_destination):
    write_dir(OLD, tmp_path / "image")
    folder = str(tmp_path / "image")
    others = [str(tmp_path / f"other-{number}") for number in range(1000)]
    for other in others:
        os.mkdir(other)
        shutil.copy(tmp_path / "image/version", other)

    def replace():
        for other in others:
            staging.exchange(other, folder)
            time.sleep(0)

    with ThreadPoolExecutor(1) as pool:
        replacing = pool.submit(replace)
        while not replacing.done():
            open_destination(folder).close()
        replacing.result()
