from __future__ import annotations

import json

import pytest

from transship.errors import InvalidManifestError, InvalidReferenceError, NotFoundError, TransshipError
from transship.image.digest import digest_of
from transship.image.media_types import OCI_MANIFEST
from transship_oci.layout import REF_NAME, LayoutIndex, new_entry
from transship_oci.transport import OciTransport

A, B, C = (digest_of(letter.encode()) for letter in "abc")


def reference(suffix):
    return OciTransport().parse_reference(f"x:{suffix}")


def index_of(*entries, **members):
    data = {"schemaVersion": 2, "manifests": [*entries], **members}
    return LayoutIndex.parse(json.dumps(data).encode(), "index.json")


def raw(digest, name="", media_type=OCI_MANIFEST, **others):
    entry = {"mediaType": media_type, "digest": str(digest), "size": 1, **others}
    if name:
        entry.setdefault("annotations", {})[REF_NAME] = name
    return entry


def entry(digest, name=""):
    return new_entry(OCI_MANIFEST, digest, 1, name)


def merged(index, *new):
    for one in new:
        index.add(one)
    return [(one.digest_text, one.name) for one in index.entries]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([], [(A, "v1")], [(A, "v1")]),
        ([], [(A, "")], [(A, "")]),
        ([(A, "v1")], [(B, "v2")], [(A, "v1"), (B, "v2")]),
        ([(A, "v1")], [(B, "v1")], [(A, ""), (B, "v1")]),
        ([(A, "v1")], [(A, "v1")], [(A, "v1")]),
        ([(A, "v1")], [(A, "v2")], [(A, "v1"), (A, "v2")]),
        ([(A, "v1")], [(A, "")], [(A, "v1"), (A, "")]),
        ([(A, "")], [(A, "v1")], [(A, "v1")]),
        ([(A, ""), (B, "")], [(B, "")], [(A, ""), (B, "")]),
        ([(A, "v1"), (B, "v1")], [(C, "v1")], [(A, ""), (B, ""), (C, "v1")]),
    ],
)
def test_new_image_is_merged(old, new, expected):
    index = index_of(*(raw(digest, name) for digest, name in old))
    assert merged(index, *(entry(*one) for one in new)) == [(str(digest), name) for digest, name in expected]


def test_unknown_members_survive_a_merge():
    index = index_of(
        raw(A, "v1", platform={"os": "plan9"}, annotations={"k": "v"}), futureMember=[1], annotations={"x": "y"}
    )
    index.add(entry(A, "v1"))
    index.add(entry(B, "v1"))
    written = json.loads(index.to_bytes())
    assert written["futureMember"] == [1]
    assert written["annotations"] == {"x": "y"}
    assert written["manifests"][0] == {**raw(A), "platform": {"os": "plan9"}, "annotations": {"k": "v"}}


def test_new_index_is_compact_with_members_in_order():
    index = LayoutIndex.empty()
    assert index.to_bytes() == (
        b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
    )


@pytest.mark.parametrize(("suffix", "position"), [("v1", 0), ("v2", 2), ("@0", 0), ("@2", 2)])
def test_reference_chooses_an_entry(suffix, position):
    index = index_of(raw(A, "v1"), raw(B), raw(C, "v2"))
    assert index.position(reference(suffix)) == position


def test_only_image_needs_no_name():
    assert index_of(raw(A, "v1")).position(reference("")) == 0


def test_readable_entry_wins_over_another_type_of_the_same_name():
    index = index_of(raw(A, "v1", "text/plain"), raw(B, "v1"))
    assert index.position(reference("v1")) == 1


@pytest.mark.parametrize(
    ("suffix", "error", "phrase"),
    [
        ("nope", NotFoundError, 'no descriptor found for reference "nope"'),
        ("", InvalidReferenceError, "more than one image in oci, choose an image"),
        ("@2", InvalidReferenceError, "index 2 is too large, only 2 entries available"),
        ("odd", TransshipError, 'reference "odd" matches unsupported manifest MIME types'),
    ],
)
def test_reference_to_nothing_is_told(suffix, error, phrase):
    index = index_of(raw(A, "v1"), raw(B, "odd", "text/plain"))
    with pytest.raises(error, match=phrase):
        index.position(reference(suffix))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b'{"manifests":{}}',
        b'{"manifests":[1]}',
        b'{"manifests":[],"layers":[]}',
        b'{"manifests":[],"manifests":[]}',
        b'{"manifests":[]} x',
        b'{"manifests":' + b"[" * 100_000,
        b'{"x":' + b"1" * 5000 + b"}",
        b"\xff",
    ],
)
def test_broken_index_is_an_error_of_one_line(data):
    with pytest.raises(InvalidManifestError) as caught:
        LayoutIndex.parse(data, "index.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "members",
    [
        {"digest": "sha256:../../../etc/passwd", "size": 1},
        {"digest": 7, "size": 1},
        {"size": 1},
        {"digest": str(A).upper(), "size": 1},
        {"digest": str(A), "size": -1},
        {"digest": str(A), "size": True},
        {"digest": str(A), "size": 1.5},
        {"digest": str(A)},
    ],
)
def test_descriptor_is_checked_when_it_is_used(members):
    broken = index_of({"mediaType": OCI_MANIFEST, **members}).entries[0]
    with pytest.raises(TransshipError):
        (broken.digest(), broken.size())


@pytest.mark.parametrize("annotations", [None, [], "x", {REF_NAME: 1}])
def test_annotations_of_the_wrong_type_give_no_name(annotations):
    index = index_of({"digest": str(A), "size": 1, "annotations": annotations})
    assert index.names() == []
