"""Two images are compared as far as manifests and configs tell."""

from __future__ import annotations

import pytest

from transship.anatomy.difference import Change, Side
from transship.anatomy.parts import Kind
from transship.api import diff, tree
from transship.errors import UnsupportedError
from transship.image.digest import digest_of
from transship.image.platform import Platform
from transship.testing.images import docker_list, oci_image, oci_index, schema2_image
from transship.testing.writers import write_dir, write_oci_layout

pytestmark = pytest.mark.uses("oci")

AMD64 = {"os": "linux", "architecture": "amd64"}
ARM64 = {"os": "linux", "architecture": "arm64"}


def only(difference):
    (part,) = difference.parts
    return part


def changes_of(difference):
    return {change.name: (change.first, change.second) for change in only(difference).changes}


@pytest.fixture
def compared(store):
    """The difference of two images with these configs and layers."""

    def compare(first, second, first_layers=(b"base",), second_layers=(b"base",)):
        names = [
            store.name(store.image("amd64", layers, **config), f"v{number}")
            for number, (config, layers) in enumerate(((first, first_layers), (second, second_layers)))
        ]
        return diff(*names)

    return compare


def test_image_is_equal_to_itself(store):
    reference = store.name(store.image(), "v1")
    difference = diff(reference, reference)
    assert difference.is_equal
    assert difference.sizes == (tree(reference).size, 0, 0)
    assert only(difference).is_equal
    assert only(difference).changes == ()


def test_layers_are_shared_or_in_one_image_only(compared):
    difference = compared({}, {}, (b"base", b"old one", b"last"), (b"base", b"newer", b"last"))
    pairs = [
        (change.first and change.first.digest, change.second and change.second.digest)
        for change in only(difference).layers
    ]
    base, old, last, new = map(digest_of, (b"base", b"old one", b"last", b"newer"))
    assert pairs == [(base, base), (old, None), (last, last), (None, new)]
    assert [change.is_shared for change in only(difference).layers] == [True, False, True, False]


def test_bytes_that_would_move_are_those_that_the_first_has_not(compared):
    difference = compared({}, {}, (b"base", b"old"), (b"base", b"a new layer"))
    first, second = difference.first.blobs(), difference.second.blobs()
    assert difference.sizes.only_second == sum(size for digest, size in second.items() if digest not in first)
    assert difference.sizes.shared + difference.sizes.only_second == difference.second.size
    assert difference.sizes.shared + difference.sizes.only_first == difference.first.size


def test_layer_that_occurs_twice_is_matched_twice(compared):
    difference = compared({}, {}, (b"base", b"base"), (b"base",))
    assert [change.second is not None for change in only(difference).layers] == [True, False]
    assert difference.first.layers_size == len(b"base")


def test_layer_compressed_otherwise_is_the_same_content(tmp_path):
    write_oci_layout({"gzip": oci_image(), "zstd": oci_image(compression="zstd")}, tmp_path / "layout")
    difference = diff(f"oci:{tmp_path}/layout:gzip", f"oci:{tmp_path}/layout:zstd")
    assert not difference.is_equal
    assert all(change.first and change.second and not change.is_shared for change in only(difference).layers)
    assert only(difference).changes == ()


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"Env": ["A=1", "B=2"]}, {"Env": ["A=1", "B=3"]}, {"config.Env.B": ("2", "3")}),
        ({"Env": ["A=1"]}, {}, {"config.Env.A": ("1", None)}),
        (
            {"Env": ["A=1", "A=2"]},
            {"Env": ["A=2"]},
            {"config.Env": (["A=1", "A=2"], None), "config.Env.A": (None, "2")},
        ),
        ({"Cmd": ["a"]}, {"Cmd": ["a", "b"]}, {"config.Cmd": (["a"], ["a", "b"])}),
        ({"Entrypoint": ["a"]}, {"Entrypoint": None}, {"config.Entrypoint": (["a"], None)}),
        ({"User": "0"}, {"User": "1000"}, {"config.User": ("0", "1000")}),
        ({"WorkingDir": "/a"}, {"WorkingDir": "/b"}, {"config.WorkingDir": ("/a", "/b")}),
        ({"Labels": {"a.b": "1"}}, {"Labels": {"a.b": "2"}}, {"config.Labels.a.b": ("1", "2")}),
        ({"ExposedPorts": {"80/tcp": {}}}, {"ExposedPorts": {}}, {"config.ExposedPorts.80/tcp": ({}, None)}),
        (
            {"Volumes": {"/a": {}}},
            {"Volumes": {"/b": {}}},
            {"config.Volumes./a": ({}, None), "config.Volumes./b": (None, {})},
        ),
        (
            {"Healthcheck": {"Retries": 1}},
            {"Healthcheck": {"Retries": True}},
            {"config.Healthcheck.Retries": (1, True)},
        ),
    ],
)
def test_changes_of_settings_are_named(compared, first, second, expected):
    assert changes_of(compared({"config": first}, {"config": second})) == expected


def test_changes_beside_the_settings_are_named(compared):
    found = changes_of(compared({"created": "2024-01-01T00:00:00Z"}, {"author": "Ann", "variant": "v2"}))
    assert found == {"created": ("2024-01-01T00:00:00Z", None), "author": (None, "Ann"), "variant": (None, "v2")}


@pytest.mark.uses("dir")
def test_annotations_and_type_of_a_manifest_are_compared(store, tmp_path):
    first = store.manifest({"os": "linux"}, [], annotations={"a": "1"})
    second = store.manifest({"os": "linux"}, [], annotations={"a": "2"})
    assert changes_of(diff(store.name(first, "v1"), store.name(second, "v2"))) == {"annotation a": ("1", "2")}
    write_dir(schema2_image(), tmp_path / "folder")
    write_dir(oci_image(), tmp_path / "other")
    assert "media type" in changes_of(diff(f"dir:{tmp_path}/folder", f"dir:{tmp_path}/other"))


class TestHistory:
    def steps(self, difference):
        return [(change.side, change.entry.created_by) for change in only(difference).history]

    def test_steps_that_one_image_has_are_told(self, compared):
        first = [{"created_by": name} for name in ("a", "b", "c")]
        second = [{"created_by": name} for name in ("a", "x", "c")]
        found = self.steps(compared({"history": first}, {"history": second}))
        assert found == [(Side.FIRST, "b"), (Side.SECOND, "x")]

    def test_time_of_a_step_makes_no_difference(self, compared):
        steps = [[{"created_by": "a", "created": f"2024-01-0{day}T00:00:00Z"}] for day in (1, 2)]
        assert self.steps(compared({"history": steps[0]}, {"history": steps[1]})) == []

    def test_other_order_is_told(self, compared):
        first, second = ([{"created_by": name} for name in names] for names in ("abc", "acb"))
        found = self.steps(compared({"history": first}, {"history": second}))
        assert found == [(Side.FIRST, "b"), (Side.FIRST, "c"), (Side.SECOND, "c"), (Side.SECOND, "b")]


class TestIndexes:
    def test_members_are_compared_by_platform(self, store):
        amd64, arm64, changed = store.image("amd64"), store.image("arm64"), store.image("arm64", (b"other",))
        first = store.index({**amd64, "platform": AMD64}, {**arm64, "platform": ARM64})
        second = store.index({**changed, "platform": ARM64}, {**amd64, "platform": AMD64})
        difference = diff(store.name(first, "v1"), store.name(second, "v2"))
        assert [(str(part.part.platform), part.is_equal) for part in difference.parts] == [
            ("linux/amd64", True),
            ("linux/arm64", False),
        ]
        assert not difference.is_equal

    def test_platform_that_one_has_is_told(self, store):
        amd64, arm64 = store.image("amd64"), store.image("arm64")
        first = store.index({**amd64, "platform": AMD64})
        second = store.index({**arm64, "platform": ARM64})
        difference = diff(store.name(first, "v1"), store.name(second, "v2"))
        assert [(part.first is None, part.second is None) for part in difference.parts] == [
            (False, True),
            (True, False),
        ]

    def test_chosen_platform_alone_decides(self, store):
        amd64, arm64, changed = store.image("amd64"), store.image("arm64"), store.image("arm64", (b"other",))
        first = store.index({**amd64, "platform": AMD64}, {**arm64, "platform": ARM64})
        second = store.index({**amd64, "platform": AMD64}, {**changed, "platform": ARM64})
        references = store.name(first, "v1"), store.name(second, "v2")
        assert diff(*references, platforms=[Platform.parse("linux/amd64")]).is_equal
        assert not diff(*references, platforms=[Platform.parse("linux/arm64")]).is_equal

    def test_annotations_of_the_indexes_are_compared(self, store):
        image = {**store.image(), "platform": AMD64}
        names = [store.name(store.index(image, annotations={"a": text}), text) for text in ("one", "two")]
        difference = diff(*names)
        assert difference.changes == (Change("annotation a", "one", "two"),)
        assert not difference.is_equal

    def test_attestation_is_compared_with_that_of_the_same_platform(self, store):
        names = []
        for number in (1, 2):
            entries = []
            for platform in (AMD64, ARM64):
                image = store.image(platform["architecture"], (b"%d" % number,))
                said = store.manifest({}, [store.blob("application/vnd.in-toto+json", str(image["digest"]).encode())])
                marks = {
                    "vnd.docker.reference.type": "attestation-manifest",
                    "vnd.docker.reference.digest": image["digest"],
                }
                entries = [{**image, "platform": platform}, {**said, "annotations": marks}, *entries][:: (-1) ** number]
            names.append(store.name(store.index(*entries), f"v{number}"))
        parts = diff(*names).parts
        assert [part.part.kind for part in parts].count(Kind.ATTESTATION) == 2
        for part in parts:
            if part.part.kind is Kind.ATTESTATION:
                attested = [
                    side.descriptor.annotations["vnd.docker.reference.digest"] for side in (part.first, part.second)
                ]
                pairs = [(str(other.first.digest), str(other.second.digest)) for other in parts]
                assert tuple(attested) in pairs

    @pytest.mark.uses("dir")
    def test_image_is_compared_with_the_member_for_its_platform(self, tmp_path):
        write_oci_layout(
            {"index": oci_index(), "v1": oci_image(architecture="arm64", variant="v8")}, tmp_path / "layout"
        )
        write_dir(docker_list(), tmp_path / "list")
        assert diff(f"oci:{tmp_path}/layout:index", f"oci:{tmp_path}/layout:v1").is_equal
        assert diff(f"oci:{tmp_path}/layout:v1", f"oci:{tmp_path}/layout:index").is_equal
        assert not diff(f"oci:{tmp_path}/layout:v1", f"dir:{tmp_path}/list").is_equal

    @pytest.mark.parametrize(
        ("entry", "config", "fits"),
        [
            ({"architecture": "arm64", "variant": "v8"}, {"architecture": "arm64"}, True),
            ({"architecture": "arm", "variant": "v7"}, {"architecture": "arm"}, True),
            ({"architecture": "arm", "variant": "v7"}, {"architecture": "arm", "variant": "v6"}, False),
            ({"architecture": "amd64", "os.version": "10.1"}, {"architecture": "amd64"}, True),
            ({"architecture": "amd64", "os.version": "10.1"}, {"architecture": "amd64", "os.version": "10.2"}, False),
        ],
    )
    def test_variant_that_one_does_not_name_is_any(self, store, entry, config, fits):
        index = store.index({**store.image("other"), "platform": {"os": "linux", **entry}})
        image = store.manifest({"os": "linux", **config}, [b"layer"])
        names = store.name(index, "v1"), store.name(image, "v2")
        if fits:
            assert not diff(*names).is_equal
        else:
            with pytest.raises(UnsupportedError):
                diff(*names)

    def test_arm64_is_the_same_platform_with_and_without_its_only_variant(self, store):
        image, other = store.image("arm64"), store.image("arm64", (b"other",))
        first = store.index({**image, "platform": {**ARM64, "variant": "v8"}})
        second = store.index({**other, "platform": ARM64})
        (part,) = diff(store.name(first, "v1"), store.name(second, "v2")).parts
        assert part.first is not None
        assert part.second is not None

    def test_image_that_serves_two_platforms_is_compared_for_each(self, store):
        platforms = [{"os": "linux", "architecture": "arm", "variant": variant} for variant in ("v6", "v7")]
        both, six, seven = (store.image("arm", (name,)) for name in (b"both", b"six", b"seven"))
        first = store.index(*({**both, "platform": platform} for platform in platforms))
        second = store.index({**six, "platform": platforms[0]}, {**seven, "platform": platforms[1]})
        parts = diff(store.name(first, "v1"), store.name(second, "v2")).parts
        assert [(str(part.first.platform), str(part.second.platform)) for part in parts] == [
            ("linux/arm/v6", "linux/arm/v6"),
            ("linux/arm/v7", "linux/arm/v7"),
        ]

    def test_members_that_were_not_read_are_not_called_different(self, store):
        images = [{**store.image(f"a{number}"), "platform": {**AMD64, "variant": f"v{number}"}} for number in range(5)]
        names = store.name(store.index(*images), "v1"), store.name(store.index(*reversed(images)), "v2")
        assert all(part.is_equal for part in diff(*names).parts)
        with pytest.raises(UnsupportedError):
            diff(*names, limit=3)
        assert diff(names[0], names[0], limit=3).is_equal

    def test_image_whose_platform_the_index_has_not_is_not_compared(self, store):
        index = store.index({**store.image("arm64"), "platform": ARM64})
        with pytest.raises(UnsupportedError):
            diff(store.name(index, "v1"), store.name(store.image("amd64"), "v2"))
