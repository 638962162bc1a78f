from __future__ import annotations

import json
import os

import pytest

from transship.errors import NotFoundError, TransshipError
from transship.image.digest import digest_of
from transship.image.media_types import OCI_INDEX, OCI_MANIFEST
from transship.plugin.context import Context
from transship.plugin.transport import Deleter, TagLister
from transship_oci.transport import OciTransport

TRANSPORT = OciTransport()


def write(image, path, suffix, **options):
    reference = TRANSPORT.parse_reference(f"{path}:{suffix}")
    image.write_to(TRANSPORT.open_destination(reference, Context(options=options)))


def delete(path, suffix="", **options):
    TRANSPORT.delete(TRANSPORT.parse_reference(f"{path}:{suffix}"), Context(options=options))


def blobs(path):
    return set(os.listdir(path / "blobs" / "sha256"))


def names(path):
    return list(TRANSPORT.list_tags(TRANSPORT.parse_place(str(path)), Context()).tags)


def hexes(image):
    return {image.digest.encoded, *(descriptor.digest.encoded for descriptor, _ in image.blobs)}


def index_bytes(*images, **extra):
    manifests = [{"mediaType": OCI_MANIFEST, "digest": str(one.digest), "size": len(one.manifest)} for one in images]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests, **extra}).encode()


def write_index(path, name, data, *images):
    destination = TRANSPORT.open_destination(TRANSPORT.parse_reference(f"{path}:{name}"), Context())
    for image in images:
        destination.put_manifest(image.manifest, OCI_MANIFEST, image.digest)
    destination.put_manifest(data, OCI_INDEX)
    destination.commit()


def test_transport_offers_deletion_and_lists():
    assert isinstance(TRANSPORT, Deleter)
    assert isinstance(TRANSPORT, TagLister)


def test_image_goes_with_its_blobs_and_others_stay(tmp_path, make_image):
    one, two = make_image("one"), make_image("two")
    write(one, tmp_path, "v1")
    write(two, tmp_path, "v2")
    os.chmod(tmp_path / "index.json", 0o600)
    delete(tmp_path, "v1")
    assert blobs(tmp_path) == hexes(two)
    assert names(tmp_path) == ["v2"]
    assert (tmp_path / "index.json").read_bytes().endswith(b"}\n")
    assert (tmp_path / "index.json").stat().st_mode & 0o777 == 0o600


def test_second_name_keeps_the_blobs(tmp_path, image):
    write(image, tmp_path, "v1")
    write(image, tmp_path, "v2")
    delete(tmp_path, "@0")
    assert names(tmp_path) == ["v2"]
    assert blobs(tmp_path) == hexes(image)
    delete(tmp_path)
    assert blobs(tmp_path) == set()


def test_blobs_of_a_nested_index_stay(tmp_path, make_image):
    one, two = make_image("one"), make_image("two")
    write(one, tmp_path, "v1")
    write(two, tmp_path, "v2")
    inner = index_bytes(one)
    outer = json.dumps(
        {"manifests": [{"mediaType": OCI_INDEX, "digest": str(digest_of(inner)), "size": len(inner)}]}
    ).encode()
    destination = TRANSPORT.open_destination(TRANSPORT.parse_reference(f"{tmp_path}:all"), Context())
    destination.put_manifest(inner, OCI_INDEX, digest_of(inner))
    destination.put_manifest(outer, OCI_INDEX)
    destination.commit()
    delete(tmp_path, "v1")
    delete(tmp_path, "v2")
    assert blobs(tmp_path) == hexes(one) | {digest_of(inner).encoded, digest_of(outer).encoded}
    delete(tmp_path, "all")
    assert blobs(tmp_path) == set()


def test_index_with_members_that_are_not_there_is_deleted(tmp_path, make_image):
    write_index(tmp_path, "all", index_bytes(make_image("absent")))
    delete(tmp_path, "all")
    assert blobs(tmp_path) == set()


def test_missing_image_is_not_found(tmp_path, image):
    write(image, tmp_path, "v1")
    with pytest.raises(NotFoundError):
        delete(tmp_path, "v2")
    assert blobs(tmp_path) == hexes(image)


def test_missing_layout_stays_missing(tmp_path):
    with pytest.raises(TransshipError):
        delete(tmp_path / "none", "v1")
    assert not (tmp_path / "none").exists()


def test_shared_blobs_are_left_alone(tmp_path, image):
    layout, shared = tmp_path / "layout", tmp_path / "shared"
    write(image, layout, "v1", **{"shared-blob-dir": str(shared)})
    delete(layout, "v1", **{"shared-blob-dir": str(shared)})
    assert set(os.listdir(shared / "sha256")) == hexes(image)
    assert names(layout) == []


@pytest.mark.parametrize("damage", ["type", "digest", "json", "layers", "blob digest"])
def test_nothing_is_deleted_while_another_image_cannot_be_understood(tmp_path, image, make_image, damage):
    write(image, tmp_path, "v1")
    bad = {
        "json": b"{",
        "layers": b'{"layers":7}',
        "blob digest": b'{"layers":[{"digest":"sha256:../../../x"}]}',
    }.get(damage, b"{}")
    other = make_image("other")
    other.manifest = bad
    write(other, tmp_path, "v2")
    index = json.loads((tmp_path / "index.json").read_bytes())
    if damage == "type":
        index["manifests"][1]["mediaType"] = "text/plain"
    if damage == "digest":
        index["manifests"][1]["digest"] = "sha256:zz"
    (tmp_path / "index.json").write_text(json.dumps(index))
    before = blobs(tmp_path)
    with pytest.raises(TransshipError):
        delete(tmp_path, "v1")
    assert blobs(tmp_path) == before
    assert json.loads((tmp_path / "index.json").read_bytes()) == index


def test_indexes_nested_without_end_are_refused(tmp_path, image):
    data = index_bytes(image)
    for number in range(40):
        destination = TRANSPORT.open_destination(TRANSPORT.parse_reference(f"{tmp_path}:deep"), Context())
        destination.put_manifest(data, OCI_INDEX)
        destination.commit()
        inner = {"mediaType": OCI_INDEX, "digest": str(digest_of(data)), "size": len(data)}
        data = json.dumps({"number": number, "manifests": [inner]}).encode()
    with pytest.raises(TransshipError, match="deeply"):
        delete(tmp_path, "deep")
