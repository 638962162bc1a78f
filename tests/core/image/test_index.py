from __future__ import annotations

import json
import subprocess

import peers
import pytest

from transship.errors import InvalidManifestError, UnsupportedError
from transship.image.conversion import ImageUpdate, updated_image
from transship.image.digest import Digest
from transship.image.identification import manifest_digest
from transship.image.index import ZSTD_ANNOTATION, Edit, choose, converted_index, edited, parse_index
from transship.image.media_types import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from transship.image.platform import Platform

AMD64 = Platform("linux", "amd64")
ARM = [Platform("linux", "arm", variant) for variant in ("v7", "v6", "")]


def _digest(number):
    return Digest("sha256", f"{number:064x}")


def _entry(number, platform=None, **members):
    entry = {"mediaType": OCI_MANIFEST, "digest": str(_digest(number)), "size": number, **members}
    if platform is not None:
        os, architecture, *variant = platform.split("/")
        entry["platform"] = {"architecture": architecture, "os": os} | ({"variant": variant[0]} if variant else {})
    return entry


def _index(*entries, media_type=OCI_INDEX, **members):
    document = {"schemaVersion": 2, "mediaType": media_type, "manifests": list(entries), **members}
    return parse_index(json.dumps(document).encode(), "")


def _filled(template, *values):
    for value in values:
        template = template.replace("$", str(value), 1)
    return template.encode()


ZSTD = {ZSTD_ANNOTATION: "true"}


@pytest.mark.parametrize(
    ("entries", "wanted", "chosen"),
    [
        ([_entry(1, "linux/arm64"), _entry(2, "linux/amd64")], [AMD64], 2),
        ([_entry(1, "linux/arm"), _entry(2, "linux/arm/v6"), _entry(3, "linux/arm/v7")], ARM, 3),
        ([_entry(1, "linux/arm/v8"), _entry(2, "linux/arm"), _entry(3, "linux/arm/v6")], ARM, 3),
        ([_entry(1, "linux/amd64"), _entry(2, "linux/amd64", annotations=ZSTD)], [AMD64], 2),
        ([_entry(1, "linux/amd64"), _entry(2, "linux/amd64")], [AMD64], 1),
        ([_entry(1), _entry(2, "linux/amd64")], [AMD64], 2),
        ([_entry(1, "unknown/unknown"), _entry(2), _entry(3)], [AMD64], 2),
        ([_entry(1), _entry(2, annotations=ZSTD)], [AMD64], 2),
        ([_entry(1, "linux/arm/v6", annotations=ZSTD), _entry(2, "linux/arm/v7")], ARM, 2),
    ],
)
def test_the_best_instance_is_chosen(entries, wanted, chosen):
    assert choose(_index(*entries), wanted) == _digest(chosen)


def test_in_docker_lists_the_first_that_fits_is_chosen():
    entries = [_entry(1), _entry(2, "linux/amd64"), _entry(3, "linux/amd64", annotations=ZSTD)]
    assert choose(_index(*entries, media_type=DOCKER_LIST), [AMD64]) == _digest(2)


@pytest.mark.parametrize(
    ("media_type", "entries", "phrase"),
    [
        (OCI_INDEX, [], 'no image found in image index for architecture "amd64", variant "", OS "linux"'),
        (DOCKER_LIST, [_entry(1)], "no image found in manifest list for architecture"),
        (OCI_INDEX, [_entry(1, "linux/x86_64"), _entry(2, "linux/amd64/v2")], "no image found"),
    ],
)
def test_nothing_fits(media_type, entries, phrase):
    with pytest.raises(UnsupportedError, match=phrase):
        choose(_index(*entries, media_type=media_type), [AMD64])


@pytest.mark.parametrize(
    "members",
    [
        {"manifests": {}},
        {"manifests": [1]},
        {"manifests": [_entry(1, size=-1)]},
        {"manifests": [_entry(1, platform=None) | {"platform": []}]},
        {"manifests": [_entry(1) | {"platform": {"os": 1}}]},
        {"manifests": [_entry(1) | {"platform": {"os.features": "x"}}]},
        {"manifests": [_entry(1)] * 10_001},
        {"config": {}},
        {"layers": []},
        {"Manifests": []},
        {"annotations": []},
        {"subject": 1},
        {"artifactType": []},
        {"schemaVersion": 1},
    ],
)
def test_wrong_indexes_are_refused(members):
    with pytest.raises(InvalidManifestError):
        _index(**members)


@pytest.mark.parametrize("media_type", ["", OCI_MANIFEST, DOCKER_LIST, "text/html"])
def test_the_declared_type_must_fit(media_type):
    data = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX if media_type else OCI_MANIFEST}).encode()
    with pytest.raises(InvalidManifestError):
        parse_index(data, media_type)


def test_without_a_difference_the_bytes_stay():
    index = _index(_entry(1), _entry(2, "linux/amd64"), odd=1)
    same = Edit(_digest(1), 1, OCI_MANIFEST)
    assert edited(index, {}) == edited(index, {0: same}, keep=[0, 1]) == index.data


def test_an_instance_is_replaced_and_everything_else_kept():
    index = _index(
        _entry(1, "linux/amd64", annotations={"b": "1", "a": "2"}, odd=1, data="e30="),
        _entry(1, "linux/arm"),
        odd={"x": 1},
        annotations={"z": "", "a": ""},
        subject={"mediaType": "t", "size": 1, "digest": str(_digest(7)), "own": 1},
    )
    data = edited(index, {0: Edit(_digest(5), 50, DOCKER_MANIFEST)})
    assert data == _filled(
        '{"schemaVersion":2,"mediaType":"$","manifests":['
        '{"mediaType":"$","digest":"$","size":50,"annotations":{"a":"2","b":"1"},'
        '"platform":{"architecture":"amd64","os":"linux"},"odd":1},'
        '{"mediaType":"$","digest":"$","size":1,"platform":{"architecture":"arm","os":"linux"}}],'
        '"subject":{"mediaType":"t","digest":"$","size":1,"own":1},"annotations":{"a":"","z":""},"odd":{"x":1}}',
        OCI_INDEX,
        DOCKER_MANIFEST,
        _digest(5),
        OCI_MANIFEST,
        _digest(1),
        _digest(7),
    )


def test_only_some_instances_are_kept():
    index = _index(_entry(1), _entry(2), _entry(3))
    kept = parse_index(edited(index, {2: Edit(_digest(9), 9, OCI_MANIFEST)}, keep={0, 2}), "")
    assert [instance.digest for instance in kept.instances] == [_digest(1), _digest(9)]


@pytest.mark.parametrize(
    ("media_type", "annotate", "marked"),
    [(OCI_INDEX, True, True), (OCI_INDEX, False, False), (DOCKER_LIST, True, False)],
)
def test_instances_that_became_zstd_are_marked(media_type, annotate, marked):
    index = _index(_entry(1, "linux/amd64"), media_type=media_type)
    edit = Edit(_digest(2), 2, OCI_MANIFEST, is_zstd=True)
    changed = parse_index(edited(index, {0: edit}, annotate_zstd=annotate), media_type)
    assert changed.instances[0].is_zstd is marked


def test_a_list_becomes_an_index():
    entry = _entry(1) | {
        "platform": {"architecture": "a", "os": "o", "os.version": "1", "os.features": ["f"], "features": ["g"]},
        "urls": ["https://x"],
    }
    index = converted_index(_index(entry, media_type=DOCKER_LIST, odd=1), OCI_INDEX, AMD64)
    assert index.data == _filled(
        '{"schemaVersion":2,"mediaType":"$","manifests":[{"mediaType":"$","digest":"$","size":1,'
        '"urls":["https://x"],"platform":{"architecture":"a","os":"o","os.version":"1","os.features":["f"]}}]}',
        OCI_INDEX,
        OCI_MANIFEST,
        _digest(1),
    )
    assert parse_index(index.data, OCI_INDEX) == index


def test_an_index_becomes_a_list():
    index = _index(_entry(1, annotations=ZSTD), _entry(2, "linux/arm/v7"), annotations={"a": "b"})
    converted = converted_index(index, DOCKER_LIST, AMD64)
    assert converted.data == _filled(
        '{"schemaVersion":2,"mediaType":"$","manifests":['
        '{"mediaType":"$","size":1,"digest":"$","platform":{"architecture":"amd64","os":"linux"}},'
        '{"mediaType":"$","size":2,"digest":"$","platform":{"architecture":"arm","os":"linux","variant":"v7"}}]}',
        DOCKER_LIST,
        OCI_MANIFEST,
        _digest(1),
        OCI_MANIFEST,
        _digest(2),
    )


def test_an_index_of_the_wanted_type_is_not_touched():
    index = _index(_entry(1))
    assert converted_index(index, OCI_INDEX, AMD64) is index
    with pytest.raises(UnsupportedError, match="not a list type"):
        converted_index(index, OCI_MANIFEST, AMD64)


@pytest.mark.interop
@pytest.mark.parametrize(
    ("source_types", "target_types", "form"),
    [
        ((DOCKER_LIST, DOCKER_MANIFEST), (OCI_INDEX, OCI_MANIFEST), "oci"),
        ((OCI_INDEX, OCI_MANIFEST), (DOCKER_LIST, DOCKER_MANIFEST), "v2s2"),
    ],
)
def test_indexes_are_converted_as_skopeo_does(dir_image, source_types, target_types, form):
    images = [dir_image(source_types[1], {"author": name}) for name in "ab"]
    home = images[0]
    entries = []
    for image, architecture in zip(images, ("amd64", "arm64"), strict=True):
        digest = manifest_digest(image.manifest_bytes)
        (home.path / f"{digest.encoded}.manifest.json").write_bytes(image.manifest_bytes)
        for blob in image.path.iterdir():
            if len(blob.name) == 64:
                (home.path / blob.name).write_bytes(blob.read_bytes())
        entries.append(
            {
                "mediaType": source_types[1],
                "digest": str(digest),
                "size": len(image.manifest_bytes),
                "platform": {"os": "linux", "architecture": architecture, "os.version": "1<"},
            }
        )
    index = _index(*entries, media_type=source_types[0])
    edits = {}
    for position, image in enumerate(images):
        manifest = image.manifest
        result = updated_image(manifest, image.config_bytes, ImageUpdate(target_types[1]))
        edits[position] = Edit(manifest_digest(result.manifest), len(result.manifest), result.media_type)
    (home.path / "manifest.json").write_bytes(index.data)
    target = home.path.parent / "target"
    command = [peers.SKOPEO, "--insecure-policy", "copy", "--quiet", "--all", "--format", form]
    subprocess.run([*command, f"dir:{home.path}", f"dir:{target}"], check=True, capture_output=True)
    changed = parse_index(edited(index, edits), source_types[0])
    assert converted_index(changed, target_types[0], AMD64).data == (target / "manifest.json").read_bytes()
