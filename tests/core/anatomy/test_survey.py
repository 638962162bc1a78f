"""What an image is made of is found out, within bounds, whatever the image says."""

from __future__ import annotations

import json

import pytest

from transship.anatomy.parts import Kind
from transship.anatomy.survey import BYTES_LIMIT, DEPTH_LIMIT
from transship.api import tree
from transship.errors import InvalidManifestError, NotFoundError, TransportError, TransshipError, UnsupportedError
from transship.image.digest import digest_of
from transship.image.media_types import OCI_EMPTY, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST
from transship.image.platform import Platform
from transship.plugin.signature import SIMPLE_SIGNING
from transship.testing.images import (
    artifact_with_empty_config,
    artifact_with_own_config,
    docker_list,
    image_with_empty_layers,
    image_with_foreign_layer,
    oci_image,
    oci_index,
    schema1_image,
    schema2_image,
)
from transship.testing.registry import Fault, Registry
from transship.testing.writers import write_dir, write_docker_archive, write_oci_archive, write_oci_layout

AMD64 = {"os": "linux", "architecture": "amd64"}
ARM64 = {"os": "linux", "architecture": "arm64"}
UNKNOWN = {"os": "unknown", "architecture": "unknown"}


def stored_bytes(image):
    """What a copy of ``image`` takes, counted from its bytes."""
    manifests = {each.digest: each.manifest for each in (image, *image.instances)}
    return sum(map(len, {**image.all_blobs, **manifests}.values()))


@pytest.fixture
def places(tmp_path):
    """References of one image or index in every kind of place."""
    write_oci_layout({"v1": oci_image(), "index": oci_index()}, tmp_path / "layout")
    write_oci_archive({"v1": oci_image()}, tmp_path / "layout.tar")
    write_dir(schema2_image(), tmp_path / "folder")
    write_dir(docker_list(), tmp_path / "list")
    return tmp_path


@pytest.mark.parametrize(
    ("reference", "image"),
    [
        pytest.param("oci:{}/layout:v1", oci_image(), marks=pytest.mark.uses("oci")),
        pytest.param("oci:{}/layout:index", oci_index(), marks=pytest.mark.uses("oci")),
        pytest.param("oci-archive:{}/layout.tar:v1", oci_image(), marks=pytest.mark.uses("oci-archive")),
        pytest.param("dir:{}/folder", schema2_image(), marks=pytest.mark.uses("dir")),
        pytest.param("dir:{}/list", docker_list(), marks=pytest.mark.uses("dir")),
    ],
)
def test_size_is_that_of_all_that_is_stored_each_once(places, reference, image):
    part = tree(reference.format(places))
    assert part.size == stored_bytes(image)
    assert part.digest == image.digest
    assert part.is_complete
    assert [member.digest for member in part.members] == [instance.digest for instance in image.instances]


@pytest.mark.uses("docker-archive")
def test_archive_of_docker_is_shown_with_its_uncompressed_layers(tmp_path):
    image = schema2_image()
    write_docker_archive({"example.com/app:1.0": image}, tmp_path / "archive.tar")
    part = tree(f"docker-archive:{tmp_path}/archive.tar")
    assert [layer.size for layer in part.layers] == list(map(len, image.tars))
    assert [layer.diff_id for layer in part.layers] == list(map(str, image.diff_ids))


@pytest.mark.uses("docker")
def test_registry_is_read_as_files_are(tmp_path):
    with Registry() as registry:
        registry.put_image("app", "v1", oci_index())
        part = tree(f"docker://{registry.host}/app:v1", context=_insecure())
    assert part.size == stored_bytes(oci_index())
    assert [str(member.platform) for member in part.members][:2] == ["linux/amd64", "linux/arm64/v8"]


def _insecure():
    from transship.api import PluginManager, make_context

    return make_context(PluginManager(), options={"tls-verify": "false", "no-cache": "true"})


@pytest.mark.uses("oci")
def test_layer_that_members_share_counts_once(store):
    base, first, second = b"base" * 1000, b"one" * 500, b"other" * 500
    one = store.image("amd64", (base, first))
    other = store.image("arm64", (base, second))
    index = store.index({**one, "platform": AMD64}, {**other, "platform": ARM64})
    part = tree(store.name(index, "v1"))
    assert part.shared_size == len(base)
    assert part.size == index["size"] + sum(member.size for member in part.members) - len(base)
    assert [member.layers_size for member in part.members] == [len(base) + len(first), len(base) + len(second)]


@pytest.mark.uses("oci")
def test_layer_has_the_step_that_made_it(tmp_path):
    write_oci_layout({"v1": image_with_empty_layers()}, tmp_path / "layout")
    part = tree(f"oci:{tmp_path}/layout:v1")
    assert [layer.created_by for layer in part.layers] == ["ADD layer-0 /", "ADD layer-1 /"]
    assert [entry.empty_layer for entry in part.history] == [False, True, False, True]


@pytest.mark.uses("oci")
def test_history_of_other_length_is_not_ascribed_to_layers(store):
    steps = [{"created_by": "the only step"}]
    part = tree(store.name(store.image(history=steps), "v1"))
    assert [layer.created_by for layer in part.layers] == ["", ""]
    assert [entry.created_by for entry in part.history] == ["the only step"]


@pytest.mark.uses("dir")
def test_schema_1_has_steps_but_no_sizes(tmp_path):
    write_dir(schema1_image(), tmp_path / "old", [b"\x88 no real signature"])
    part = tree(f"dir:{tmp_path}/old")
    assert part.size == part.layers_size == -1
    assert [layer.created_by for layer in part.layers] == ["ADD layer-0 /", "", "ADD layer-2 /"]
    assert [layer.is_empty for layer in part.layers] == [False, True, False]
    assert [signature.format for signature in part.signatures] == [SIMPLE_SIGNING]
    assert str(part.platform) == "linux/amd64"


@pytest.mark.uses("oci")
@pytest.mark.parametrize(
    ("image", "kind", "artifact_type"),
    [
        (artifact_with_empty_config(), Kind.ARTIFACT, "application/vnd.example"),
        (artifact_with_own_config(), Kind.ARTIFACT, "application/vnd.example.config.v1+json"),
        (image_with_foreign_layer(OCI_MANIFEST), Kind.IMAGE, ""),
        (oci_index(), Kind.INDEX, ""),
    ],
)
def test_kinds_of_manifests_are_told_apart(tmp_path, image, kind, artifact_type):
    write_oci_layout({"v1": image}, tmp_path / "layout")
    part = tree(f"oci:{tmp_path}/layout:v1")
    assert (part.kind, part.artifact_type, part.problem) == (kind, artifact_type, "")


@pytest.mark.uses("oci")
def test_helm_chart_is_shown(store):
    chart_type = "application/vnd.cncf.helm.config.v1+json"
    layer = store.blob("application/vnd.cncf.helm.chart.content.v1.tar+gzip", b"chart")
    part = tree(store.name(store.manifest({"name": "chart"}, [layer], config_type=chart_type), "v1"))
    assert (part.kind, part.artifact_type, part.problem) == (Kind.ARTIFACT, chart_type, "")


def attested(store, image):
    """An index of ``image`` and of what BuildKit says of it."""
    layer = store.blob("application/vnd.in-toto+json", b"{}", annotations={"in-toto.io/predicate-type": "a"})
    said = store.manifest({"architecture": "unknown", "os": "unknown"}, [layer])
    marks = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image["digest"]}
    other = store.image("arm64")
    return store.index(
        {**other, "platform": ARM64},
        {**image, "platform": AMD64},
        {**said, "platform": UNKNOWN, "annotations": marks},
    )


@pytest.mark.uses("oci")
def test_attestation_is_no_image(store):
    part = tree(store.name(attested(store, store.image()), "v1"))
    assert [member.kind for member in part.members] == [Kind.IMAGE, Kind.IMAGE, Kind.ATTESTATION]


@pytest.mark.uses("oci")
def test_chosen_platform_brings_what_is_said_of_it(store):
    reference = store.name(attested(store, store.image()), "v1")
    part = tree(reference, platforms=[Platform.parse("linux/amd64")])
    assert [member.kind for member in part.members] == [Kind.IMAGE, Kind.ATTESTATION]
    assert part.members_left_out == 1
    part = tree(reference, platforms=[Platform.parse("linux/arm64")])
    assert [str(member.platform) for member in part.members] == ["linux/arm64"]
    with pytest.raises(UnsupportedError):
        tree(reference, platforms=[Platform.parse("linux/s390x")])


@pytest.mark.uses("oci")
def test_what_refers_to_an_image_is_found(store):
    image = store.image()
    empty = store.blob(OCI_EMPTY, b"{}")
    bill = store.blob(
        OCI_MANIFEST,
        {"schemaVersion": 2, "artifactType": "text/spdx", "config": empty, "layers": [], "subject": image},
    )
    signature_layer = store.blob("application/vnd.dev.cosign.simplesigning.v1+json", b"{}")
    attached = store.manifest({"architecture": "", "os": ""}, [signature_layer])
    tag = image["digest"].replace(":", "-") + ".sig"
    store.name(bill)
    store.name(attached, tag)
    reference = store.name(image, "v1")
    part = tree(reference)
    found = {(referrer.tag, referrer.part.artifact_type) for referrer in part.referrers}
    assert found == {("", "text/spdx"), (tag, "application/vnd.dev.cosign.simplesigning.v1+json")}
    assert {referrer.part.kind for referrer in part.referrers} == {Kind.ARTIFACT}
    assert str(part.referrers[0].part.subject) == image["digest"]
    assert tree(reference, referrers=False).referrers == ()
    assert part.size == tree(reference, referrers=False).size


@pytest.mark.uses("docker")
def test_manifest_that_is_listed_as_referrer_and_is_none_is_told(store):
    with Registry(referrers=False) as registry:
        image = oci_image()
        registry.put_image("app", "v1", image)
        registry.put_image("app", "other", schema2_image())
        entry = {"mediaType": OCI_MANIFEST, "digest": str(schema2_image().digest), "size": 1}
        listing = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).encode()
        registry.put_manifest("app", str(image.digest).replace(":", "-"), listing, OCI_INDEX)
        part = tree(f"docker://{registry.host}/app:v1", context=_insecure())
    ((_, referrer),) = part.referrers
    assert "does not" in referrer.problem
    assert referrer.subject is None
    assert referrer.layers == ()
    assert part.is_complete


@pytest.mark.uses("docker")
def test_registry_that_does_not_tell_referrers_leaves_the_rest_to_be_seen():
    with Registry() as registry:
        registry.put_image("app", "v1", oci_image())
        registry.add_fault(Fault("/v2/app/referrers/*", "GET", status=403))
        part = tree(f"docker://{registry.host}/app:v1", context=_insecure())
        assert not registry.idle_faults
    assert part.referrers_problem
    assert part.size == stored_bytes(oci_image())
    assert part.is_complete


@pytest.mark.uses("docker")
def test_error_that_may_pass_is_no_picture():
    with Registry() as registry:
        registry.put_image("app", "v1", oci_index())
        instance = oci_index().instances[1].digest
        registry.add_fault(Fault(f"/v2/app/manifests/{instance}", "GET", status=503))
        with pytest.raises(TransportError):
            tree(f"docker://{registry.host}/app:v1", context=_insecure())


@pytest.mark.uses("oci")
class TestBrokenMember:
    def test_that_is_missing_is_told_in_its_place(self, store):
        missing = {"mediaType": OCI_MANIFEST, "digest": str(digest_of(b"nowhere")), "size": 7}
        index = store.index({**store.image(), "platform": AMD64}, {**missing, "platform": ARM64})
        part = tree(store.name(index, "v1"))
        assert [bool(member.problem) for member in part.members] == [False, True]
        assert not part.is_complete

    def test_with_other_bytes_than_its_digest_says_is_not_shown(self, store):
        image, other = store.image("amd64"), store.image("arm64", (b"something else",))
        blobs = store.folder / "blobs" / "sha256"
        wrong = (blobs / other["digest"][7:]).read_bytes()
        (blobs / image["digest"][7:]).write_bytes(wrong.ljust(image["size"]))
        part = tree(store.name(store.index({**image, "platform": AMD64}), "v1"))
        assert part.members[0].problem
        assert part.members[0].layers == ()

    def test_of_another_size_than_the_index_says_is_not_shown(self, store):
        image = store.image()
        part = tree(store.name(store.index({**image, "size": image["size"] + 1}), "v1"))
        assert part.members[0].problem
        assert part.members[0].layers == ()

    def test_with_a_wrong_config_is_shown_without_it(self, store):
        image = store.image()
        manifest = json.loads((store.folder / "blobs" / "sha256" / image["digest"][7:]).read_bytes())
        config = store.folder / "blobs" / "sha256" / manifest["config"]["digest"][7:]
        config.write_bytes(config.read_bytes().replace(b"linux", b"plan9"))
        part = tree(store.name(image, "v1"))
        assert part.problem
        assert part.platform is None
        assert part.config_members == {}
        assert len(part.layers) == 2

    @pytest.mark.parametrize("nest", ['{"a":' * 40 + "1" + "}" * 40, "[" * 900 + "]" * 900, "[" * 9000 + "]" * 9000])
    def test_with_a_config_that_is_nested_too_deeply_is_shown_without_it(self, store, nest):
        config = f'{{"os":"linux","config":{{"x":{nest}}}}}'.encode()
        part = tree(store.name(store.manifest(config, [b"layer"]), "v1"))
        assert part.problem
        assert part.config_members == {}
        assert len(part.layers) == 1

    def test_that_is_no_manifest_is_not_read(self, store):
        text = store.blob("text/plain", b"not JSON")
        part = tree(store.name(store.index(text), "v1"))
        assert [(member.kind, member.artifact_type, member.problem) for member in part.members] == [
            (Kind.ARTIFACT, "text/plain", "")
        ]


@pytest.mark.uses("oci")
def test_top_that_is_broken_or_missing_is_an_error(store):
    reference = store.name(store.blob(OCI_MANIFEST, b"{}"), "broken")
    with pytest.raises(InvalidManifestError):
        tree(reference)
    with pytest.raises(TransshipError) as caught:
        tree(reference.removesuffix("broken") + "missing")
    assert isinstance(caught.value.__cause__, NotFoundError)


@pytest.mark.uses("oci")
class TestBounds:
    def test_only_so_many_members_are_read(self, store):
        image = store.image()
        platforms = [{**AMD64, "variant": f"v{number}"} for number in range(1000)]
        index = store.index(*({**image, "platform": platform} for platform in platforms))
        part = tree(store.name(index, "v1"), limit=10)
        assert len(part.members) == 9
        assert part.members_left_out == 991
        assert not part.is_complete

    def test_only_so_many_referrers_are_read(self, store):
        image = store.image()
        for number in range(30):
            store.name(store.manifest({}, [], config_type=OCI_EMPTY, subject=image, annotations={"n": str(number)}))
        part = tree(store.name(image, "v1"), limit=10)
        assert len(part.referrers) == 9
        assert part.referrers_left_out == 21
        assert part.is_complete

    def test_indexes_in_indexes_end(self, store):
        inner = store.image()
        for _ in range(DEPTH_LIMIT + 3):
            inner = store.index(inner)
        part, depth = tree(store.name(inner, "v1")), 0
        while part.members:
            part, depth = part.members[0], depth + 1
        assert depth == DEPTH_LIMIT
        assert part.members_left_out == 1

    def test_index_whose_members_are_all_the_same_is_not_multiplied(self, store):
        inner = store.image()
        for _ in range(4):
            inner = store.index(*[inner] * 50)

        def count(part):
            return 1 + sum(map(count, part.members))

        assert count(tree(store.name(inner, "v1"))) == 200

    def test_only_so_many_bytes_are_held(self, store):
        layers = [{"mediaType": OCI_LAYER_GZIP, "digest": f"sha256:{number:064x}", "size": 1} for number in range(9000)]
        image = store.manifest({"os": "linux", "history": [{"created_by": "x" * 1_000_000}] * 2}, layers)
        part = tree(store.name(store.index(*[image] * 100), "v1"))
        read = [member for member in part.members if member.layers]
        assert 0 < len(read) * image["size"] < BYTES_LIMIT + image["size"]
        assert all(member.problem for member in part.members[len(read) :])
        assert sum(len(member.history) > 0 for member in part.members) < len(read)
