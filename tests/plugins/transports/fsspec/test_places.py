"""What commands do on every file system that is tested, and what is in the layout afterwards."""

from __future__ import annotations

import json

import pytest

from transship.testing.images import oci_image, oci_index

pytestmark = pytest.mark.uses("oci")


def _blobs(*images):
    return {str(digest).replace(":", "/") for image in images for digest in _digests(image)}


def _digests(image):
    yield image.digest
    yield from image.blobs
    for instance in image.instances:
        yield from _digests(instance)


def _names(place):
    return {name.removeprefix("blobs/") for name in place.list() if name.startswith("blobs/")}


@pytest.fixture
def copy(transship_cli):
    def copy(*arguments):
        return transship_cli("--insecure-policy", "copy", "--quiet", "--all", *arguments)

    return copy


def test_layout_holds_the_image_and_nothing_else(place, images, copy):
    assert copy(f"{images}:index", f"fsspec:{place.url}:v1").code == 0
    blobs = {f"blobs/{name}" for name in _blobs(oci_index())}
    assert set(place.list()) == {"oci-layout", "index.json", *blobs}
    (entry,) = json.loads(place.read("index.json"))["manifests"]
    assert entry["digest"] == str(oci_index().digest)
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": "v1"}


def test_tags_are_listed_with_what_they_name(place, images, copy, transship_cli):
    copy(f"{images}:one", f"fsspec:{place.url}:b")
    copy(f"{images}:index", f"fsspec:{place.url}:a")
    copy(f"{images}:index", f"fsspec:{place.url}:b")
    listed = json.loads(transship_cli("list-tags", "--digests", f"fsspec:{place.url}").out)
    assert listed["Tags"] == ["a", "b"]
    assert set(listed["Digests"].values()) == {str(oci_index().digest)}


def test_images_are_synced_there_and_back(place, images, transship_cli, tmp_path):
    sync = ("--insecure-policy", "sync", "--all", "--report", "report")
    there = transship_cli(*sync, "--src", "oci", "--dest", "fsspec", images.removeprefix("oci:"), place.url)
    assert there.code == 0, there.err
    again = transship_cli(*sync, "--src", "oci", "--dest", "fsspec", images.removeprefix("oci:"), place.url)
    assert again.code == 0, again.err
    lines = [json.loads(line) for line in (tmp_path / "report").read_text().splitlines()]
    assert [line["status"] for line in lines] == ["skipped", "skipped"]
    back = transship_cli(*sync, "--src", "fsspec", "--dest", "oci", place.url, "back")
    assert back.code == 0, back.err
    tags = json.loads(transship_cli("list-tags", "--digests", "oci:back").out)
    assert {str(oci_image().digest), str(oci_index().digest)} == set(tags["Digests"].values())


def test_what_the_source_no_longer_has_is_pruned(place, images, copy, transship_cli):
    sync = ("--insecure-policy", "sync", "--all", "--src", "oci", "--dest", "fsspec")
    assert transship_cli(*sync, images.removeprefix("oci:"), place.url).code == 0
    copy(f"{images}:one", f"fsspec:{place.url}:mine")
    transship_cli("delete", f"{images}:index")
    pruned = transship_cli(*sync, "--prune", "--yes", images.removeprefix("oci:"), place.url)
    assert pruned.code == 0, pruned.err
    assert json.loads(transship_cli("list-tags", f"fsspec:{place.url}").out)["Tags"] == ["images:one", "mine"]


def test_sync_repairs_an_image_of_which_a_blob_is_missing(place, images, copy, transship_cli, tmp_path):
    copy(f"{images}:one", f"fsspec:{place.url}:one")
    transship_cli("--insecure-policy", "sync", "--src", "fsspec", "--dest", "oci", place.url, "back")
    layer = next(iter(oci_image().blobs))
    (tmp_path / "back" / "blobs" / "sha256" / layer.encoded).unlink()
    back = f"file://{tmp_path}/back"
    assert transship_cli("--insecure-policy", "sync", "--src", "fsspec", "--dest", "fsspec", place.url, back).code == 0
    assert (tmp_path / "back" / "blobs" / "sha256" / layer.encoded).exists()


def test_deleted_image_takes_along_what_only_it_had(place, images, copy, transship_cli):
    copy(f"{images}:one", f"fsspec:{place.url}:one")
    copy(f"{images}:index", f"fsspec:{place.url}:index")
    assert transship_cli("delete", f"fsspec:{place.url}:index").code == 0
    assert _names(place) == _blobs(oci_image())
    assert copy(f"fsspec:{place.url}:one", "oci:back:one").code == 0
    assert transship_cli("delete", f"fsspec:{place.url}:one").code == 0
    assert _names(place) == set()


def test_deleted_tag_leaves_the_image(place, images, copy, transship_cli):
    copy(f"{images}:one", f"fsspec:{place.url}:one")
    assert transship_cli("delete", "--tag-only", f"fsspec:{place.url}:one").code == 0
    assert _names(place) == _blobs(oci_image())
    assert copy(f"fsspec:{place.url}", "oci:back:one").code == 0


def test_image_that_is_not_there_is_an_error_of_its_own(place, images, copy, transship_cli):
    copy(f"{images}:one", f"fsspec:{place.url}:one")
    assert transship_cli("inspect", f"fsspec:{place.url}:two").code == 2
    assert transship_cli("inspect", f"fsspec:{place.url}:@1").code == 2
    assert transship_cli("delete", f"fsspec:{place.url}:two").code == 2


def test_place_that_is_not_there_is_not_made_by_asking(place, transship_cli):
    for command in ("inspect", "list-tags", "delete"):
        assert transship_cli(command, f"fsspec:{place.url}").code == 1
    assert place.list() == []


def test_dry_run_changes_nothing(place, images, copy):
    assert copy("--dry-run", f"{images}:index", f"fsspec:{place.url}:v1").code == 0
    assert place.list() == []


def test_blob_that_somebody_spoiled_is_written_anew(place, images, copy, transship_cli, tmp_path):
    """The bytes behind a name are looked at before an image refers to them."""
    spoiled = next(iter(oci_image().blobs))
    copy(f"{images}:one", "oci:spoiled:one")
    path = tmp_path / "spoiled" / "blobs" / "sha256" / spoiled.encoded
    path.write_bytes(bytes(len(path.read_bytes())))
    url = f"file://{tmp_path}/spoiled"
    assert copy(f"{images}:one", f"fsspec:{url}:two").code == 0
    assert path.read_bytes() == oci_image().blobs[spoiled]


def test_archive_is_written_and_read_on_any_file_system(place, images, copy, transship_cli):
    url = f"zip://::{place.url}/of.zip:v1"
    assert copy(f"{images}:index", f"fsspec:{url}").code == 0
    assert place.list() == ["of.zip"]
    assert copy(f"fsspec:{url}", "oci:back:v1").code == 0
    assert copy(f"{images}:one", f"fsspec:{url}").code == 1


def test_image_that_is_broken_leaves_the_old_one(place, images, copy, tmp_path):
    copy(f"{images}:one", f"fsspec:{place.url}:v1")
    before = place.list(), place.read("index.json")
    for path in (tmp_path / "images" / "blobs" / "sha256").iterdir():
        if path.name not in {digest.encoded for digest in _digests(oci_image())} and path.read_bytes()[:1] != b"{":
            path.write_bytes(bytes(len(path.read_bytes())))
    assert copy(f"{images}:index", f"fsspec:{place.url}:v1").code == 1
    assert place.read("index.json") == before[1]
    assert not [name for name in place.list() if "tmp" in name or "lock" in name]
