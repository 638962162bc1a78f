"""What refers to an image travels along: by subject, and by the tags that cosign uses."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from dataclasses import replace

import pytest
from registries import docker_registry

from transship.api import CopyOptions, MultiArch, copy, make_context
from transship.discovery import PluginManager
from transship.errors import TransshipError
from transship.image.digest import Digest, digest_of
from transship.image.media_types import DOCKER_CONFIG, OCI_CONFIG, OCI_EMPTY, OCI_INDEX, OCI_MANIFEST
from transship.plugin.events import ReferrerStarted, Warned
from transship.plugin.mechanism import Requirement, RequirementVerdict
from transship.policy.document import Policy
from transship.testing.images import Image, gzipped, oci_image, oci_index, tar_of
from transship.testing.registry import Registry
from transship.testing.writers import write_oci_layout

NAME = "library/app"
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"


def made(config_type, config, layers, **members):
    """An OCI manifest with such a config and layers of (media type, bytes)."""
    blobs = [config, *(data for _, data in layers)]
    descriptors = [
        {"mediaType": kind, "digest": str(digest_of(data)), "size": len(data)}
        for kind, data in [(config_type, config), *layers]
    ]
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptors[0], "layers": descriptors[1:]}
    return Image(json.dumps(document | members).encode(), OCI_MANIFEST, {digest_of(blob): blob for blob in blobs})


def subject(image):
    return {"mediaType": image.media_type, "digest": str(image.digest), "size": len(image.manifest)}


def artifact(image, text="an artifact", kind="application/vnd.example.sbom"):
    """An artifact with the empty config that refers to ``image``."""
    return made(OCI_EMPTY, b"{}", [("text/plain", text.encode())], artifactType=kind, subject=subject(image))


def attached(*texts, kind=SIMPLE_SIGNING):
    """What cosign puts at a tag: an image whose layers are texts."""
    layers = [(kind, text if isinstance(text, bytes) else text.encode()) for text in texts]
    config = {
        "architecture": "",
        "os": "",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [str(digest_of(data)) for _, data in layers]},
    }
    return made(OCI_CONFIG, json.dumps(config).encode(), layers)


def runnable(image):
    """A real image that refers to ``image``."""
    found = oci_image(architecture="s390x")
    document = json.loads(found.manifest) | {"subject": subject(image)}
    return replace(found, manifest=json.dumps(document).encode())


def tag(image, suffix):
    return f"{image.digest.algorithm}-{image.digest.encoded}{suffix}"


def answer(host, path):
    with closing(http.client.HTTPConnection(host, timeout=10)) as connection:
        connection.request("GET", path, headers={"Accept": f"{OCI_INDEX}, {OCI_MANIFEST}"})
        response = connection.getresponse()
        return response.status, response.read()


def referrers_at(host, image):
    """The digests of what refers to ``image``, as the registry says, or the fallback tag."""
    status, data = answer(host, f"/v2/{NAME}/referrers/{image.digest}")
    if status == 404:
        status, data = answer(host, f"/v2/{NAME}/manifests/{tag(image, '')}")
    return {entry["digest"] for entry in json.loads(data)["manifests"]} if status == 200 else set()


def manifest_at(host, reference):
    status, data = answer(host, f"/v2/{NAME}/manifests/{reference}")
    assert status == 200
    return data


def enter(registry, image, *referrers):
    """Put artifacts into the testing registry, and where it keeps no account of them, into the fallback tag."""
    entries = [{"mediaType": OCI_MANIFEST, "digest": str(r.digest), "size": len(r.manifest)} for r in referrers]
    for referrer in referrers:
        registry.put_image(NAME, "", referrer)
    if referrers and answer(registry.host, f"/v2/{NAME}/referrers/{image.digest}")[0] == 404:
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        registry.put_manifest(NAME, tag(image, ""), json.dumps(index).encode(), OCI_INDEX)


def copied(source, destination, *, policy=None, name="v1", referrers=True, settings=None, **options):
    """Copy ``name`` with what refers to it, from and to registries or what is named; the answer are the events."""
    events = []
    manager = PluginManager()
    places = [
        place if isinstance(place, str) else f"docker://{place.host}/{NAME}:{name}" for place in (source, destination)
    ]
    contexts = [
        make_context(
            manager, options={"tls-verify": "false", **(settings or {})} if place.startswith("docker:") else {}
        )
        for place in places
    ]
    copy(
        *places,
        options=CopyOptions(referrers=referrers, **options),
        policy=policy,
        insecure_policy=policy is None,
        source_context=contexts[0],
        destination_context=contexts[1],
        manager=manager,
        on_event=events.append,
    )
    return events


@pytest.fixture
def make_registry():
    opened = []

    def make(**behaviour):
        opened.append(Registry(**behaviour))
        return opened[-1]

    yield make
    for registry in opened:
        registry.close()


@pytest.fixture
def image(request):
    return oci_image()


@pytest.fixture
def source(make_registry, image):
    registry = make_registry()
    registry.put_image(NAME, "v1", image)
    return registry


@pytest.fixture
def target(make_registry):
    return make_registry()


class Only(Requirement):
    """Accepts the one image that somebody signed, so to speak."""

    type = "only"

    def __init__(self, digest):
        self.digest = digest

    def evaluate(self, image):
        return RequirementVerdict(self.type, image.has_digest(self.digest), "it is not the one")


def policy_for(image):
    return Policy((Only(image.digest),), {})


@pytest.mark.parametrize("source_api", [True, False], ids=["api", "tag"])
@pytest.mark.parametrize("target_api", [True, False], ids=["to-api", "to-tag"])
def test_all_kinds_travel(make_registry, image, source_api, target_api):
    source, target = make_registry(referrers=source_api), make_registry(referrers=target_api)
    sbom = artifact(image)
    signature = artifact(sbom, "signature of the sbom")
    source.put_image(NAME, "v1", image)
    enter(source, image, sbom)
    enter(source, sbom, signature)
    for suffix in (".sig", ".att", ".sbom"):
        source.put_image(NAME, tag(image, suffix), attached(f'{{"what": "{suffix}"}}'))
    copied(source, target)
    assert referrers_at(target.host, image) == {str(sbom.digest)}
    assert referrers_at(target.host, sbom) == {str(signature.digest)}
    for suffix in (".sig", ".att", ".sbom"):
        there = target.tags[NAME][tag(image, suffix)]
        assert there == source.tags[NAME][tag(image, suffix)]
        assert source.blobs[NAME].keys() >= {digest_of(f'{{"what": "{suffix}"}}'.encode())}
    assert target.blobs[NAME].keys() == source.blobs[NAME].keys()


@pytest.mark.parametrize("place", ["oci:{}/layout:v1", "oci-archive:{}/layout.tar:v1"])
def test_they_go_through_a_layout(source, target, image, tmp_path, place):
    sbom = artifact(image)
    enter(source, image, sbom)
    enter(source, sbom, artifact(sbom))
    source.put_image(NAME, tag(image, ".sig"), attached("{}"))
    place = place.replace("{}", str(tmp_path))
    copied(source, place)
    copied(source, place)
    copied(place, target)
    assert referrers_at(target.host, image) == {str(sbom.digest)}
    assert referrers_at(target.host, sbom) == {str(artifact(sbom).digest)}
    assert target.tags[NAME] == {"v1": image.digest, tag(image, ".sig"): attached("{}").digest}


def test_a_second_copy_to_a_layout_adds_nothing(source, image, tmp_path):
    enter(source, image, artifact(image))
    source.put_image(NAME, tag(image, ".sig"), attached("{}"))
    for _ in range(3):
        copied(source, f"oci:{tmp_path / 'layout'}:v1")
    entries = json.loads((tmp_path / "layout" / "index.json").read_bytes())["manifests"]
    assert len(entries) == 3


@pytest.mark.parametrize("in_index", [False, True], ids=["entries", "fallback index"])
def test_layouts_of_other_programs_are_understood(target, image, tmp_path, in_index):
    sbom = artifact(image)
    write_oci_layout({"v1": image, "sbom": sbom}, tmp_path / "layout")
    if in_index:
        found = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [subject(sbom)]}).encode()
        listed = Image(found, OCI_INDEX, instances=(sbom,))
        write_oci_layout({"v1": image, tag(image, ""): listed}, tmp_path / "layout")
    copied(f"oci:{tmp_path / 'layout'}:v1", target)
    assert referrers_at(target.host, image) == {str(sbom.digest)}


@pytest.mark.interop
def test_real_registry_gets_and_gives_them(tmp_path, make_registry, image, source, target):
    sbom = artifact(image)
    enter(source, image, sbom)
    source.put_image(NAME, tag(image, ".sig"), attached('{"critical": {}}'))
    with docker_registry(tmp_path) as real:
        copied(source, real)
        assert referrers_at(real.host, image) == {str(sbom.digest)}
        assert manifest_at(real.host, tag(image, ".sig")) == attached('{"critical": {}}').manifest
        copied(real, target)
    assert referrers_at(target.host, image) == {str(sbom.digest)}
    assert target.tags[NAME][tag(image, ".sig")] == attached('{"critical": {}}').digest


def test_nothing_travels_unasked(source, target, image):
    enter(source, image, artifact(image))
    source.put_image(NAME, tag(image, ".sig"), attached("{}"))
    copied(source, target, referrers=False)
    assert referrers_at(target.host, image) == set()
    assert set(target.tags[NAME]) == {"v1"}


def test_an_index_brings_what_refers_to_its_members(source, target):
    index = oci_index()
    member = index.instances[0]
    source.put_image(NAME, "multi", index)
    enter(source, index, artifact(index))
    enter(source, member, artifact(member))
    enter(source, index.instances[1], artifact(index.instances[1]))
    copied(source, target, name="multi", multi_arch=MultiArch.ALL)
    for image in (index, member, index.instances[1]):
        assert referrers_at(target.host, image) == {str(artifact(image).digest)}


def test_an_index_may_refer_to_an_image(source, target, image):
    parts = [made(OCI_EMPTY, b"{}", [("text/plain", text)]) for text in (b"one", b"two")]
    entries = [subject(part) for part in parts]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries, "subject": subject(image)}
    index = Image(json.dumps(document).encode(), OCI_INDEX, instances=tuple(parts))
    enter(source, image, index)
    copied(source, target)
    assert referrers_at(target.host, image) == {str(index.digest)}
    assert {part.digest for part in parts} <= set(target.manifests[NAME])


def test_a_second_copy_moves_nothing(source, target, image):
    enter(source, image, artifact(image))
    source.put_image(NAME, tag(image, ".sig"), attached("{}"))
    copied(source, target)
    target.forget_requests()
    copied(source, target)
    assert not any(request.method in ("PATCH", "POST") for request in target.requests)


@pytest.mark.parametrize("suffix", [".sig", ".att"])
def test_what_the_destination_has_at_a_tag_stays(source, target, image, suffix):
    source.put_image(NAME, tag(image, suffix), attached('{"by": "them"}', '{"by": "both"}'))
    target.put_image(NAME, tag(image, suffix), attached('{"by": "us"}', '{"by": "both"}'))
    copied(source, target)
    manifest = target.manifests[NAME][target.tags[NAME][tag(image, suffix)]]
    document = json.loads(manifest.data)
    wanted = [str(digest_of(f'{{"by": "{who}"}}'.encode())) for who in ("us", "both", "them")]
    assert [layer["digest"] for layer in document["layers"]] == wanted
    config = target.blobs[NAME][Digest.parse(document["config"]["digest"])].read()
    assert json.loads(config)["rootfs"]["diff_ids"] == wanted


def test_signatures_that_are_kept_anyway_are_there_once(source, target, image, tmp_path):
    (tmp_path / "default.yaml").write_text("default-docker: {use-sigstore-attachments: true}")
    source.put_image(NAME, tag(image, ".sig"), attached('{"by": "them"}', '{"by": "both"}'))
    target.put_image(NAME, tag(image, ".sig"), attached('{"by": "us"}', '{"by": "both"}'))
    copied(source, target, settings={"registries.d": str(tmp_path)})
    manifest = target.manifests[NAME][target.tags[NAME][tag(image, ".sig")]]
    wanted = [str(digest_of(f'{{"by": "{who}"}}'.encode())) for who in ("us", "both", "them")]
    assert [layer["digest"] for layer in json.loads(manifest.data)["layers"]] == wanted


def test_a_bill_of_materials_is_replaced(source, target, image):
    source.put_image(NAME, tag(image, ".sbom"), attached("theirs"))
    target.put_image(NAME, tag(image, ".sbom"), attached("ours"))
    copied(source, target)
    assert target.tags[NAME][tag(image, ".sbom")] == attached("theirs").digest


def test_a_dry_run_changes_nothing(source, target, image):
    enter(source, image, artifact(image))
    source.put_image(NAME, tag(image, ".sig"), attached("{}"))
    events = copied(source, target, dry_run=True)
    assert len([event for event in events if isinstance(event, ReferrerStarted)]) == 2
    assert not target.manifests[NAME]


def test_what_does_not_refer_to_the_image_is_left_out(make_registry, target, image):
    source = make_registry(referrers=False)
    source.put_image(NAME, "v1", image)
    other, absent = artifact(oci_image(architecture="arm")), artifact(image, "absent")
    listed = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [subject(other), subject(absent)]}
    source.put_image(NAME, "", other)
    source.put_manifest(NAME, tag(image, ""), json.dumps(listed).encode(), OCI_INDEX)
    events = copied(source, target)
    told = [event.message for event in events if isinstance(event, Warned)]
    assert [str(other.digest) in told[0], str(absent.digest) in told[1]] == [True, True]
    assert set(target.manifests[NAME]) == {image.digest}


@pytest.mark.parametrize("chain", [5, 6])
def test_chains_have_an_end(source, target, image, chain):
    last = image
    for number in range(chain):
        following = artifact(last, str(number))
        enter(source, last, following)
        last = following
    if chain == 5:
        copied(source, target)
        assert last.digest in target.manifests[NAME]
    else:
        with pytest.raises(TransshipError, match="in a row"):
            copied(source, target)
        assert "v1" not in target.tags[NAME]


class TestPolicy:
    """A policy that wants signatures cannot want them of signatures, but lets nothing in that could be run."""

    def test_data_comes_along(self, source, target, image):
        enter(source, image, artifact(image))
        source.put_image(NAME, tag(image, ".sig"), attached('{"critical": "ü"}'))
        copied(source, target, policy=policy_for(image))
        assert referrers_at(target.host, image) == {str(artifact(image).digest)}
        assert tag(image, ".sig") in target.tags[NAME]

    @pytest.mark.parametrize(
        "layer",
        [
            tar_of({"bin/sh": b"#!"}),
            gzipped(tar_of({"bin/sh": b"#!"})),
            b"text\x00",
            b"\xff",
            "é".encode()[:1],
            b"BZh9 looks like a text",
        ],
        ids=["tar", "gzip", "zero", "no text", "half a character", "bzip2"],
    )
    def test_an_image_under_a_false_flag_does_not(self, source, target, image, layer):
        source.put_image(NAME, tag(image, ".sig"), attached(layer))
        with pytest.raises(TransshipError, match="Source image rejected"):
            copied(source, target, policy=policy_for(image))
        assert "v1" not in target.tags[NAME]

    @pytest.mark.parametrize(
        "config_type",
        [
            OCI_CONFIG.upper(),
            f"{OCI_CONFIG}; charset=utf-8",
            DOCKER_CONFIG,
            "application/octet-stream",
            "application/json",
            "text/html",
            "application/vnd.docker.plugin.v1+json",
            "application/vnd.cncf.helm.config.v1+json",
        ],
    )
    def test_an_image_whose_config_has_another_name_does_not(self, source, target, image, config_type):
        """There are programs that run it all the same."""
        layers = [("application/octet-stream", gzipped(tar_of({"bin/sh": b"#!"})))]
        found = made(config_type, image.config, layers, subject=subject(image))
        enter(source, image, found)
        with pytest.raises(TransshipError, match="Source image rejected"):
            copied(source, target, policy=policy_for(image))
        assert found.digest not in target.manifests.get(NAME, {})

    def test_a_tar_without_any_zero_does_not(self, source, target, image):
        name = '{"a": "'.ljust(100).encode()
        header = name + b"0000644 " + b"0000000 " * 2 + b"00000000002 00000000000 " + b" " * 8 + b"0"
        header = header.ljust(512)
        block = header[:148] + f"{sum(header):06o}  ".encode() + header[156:]
        source.put_image(NAME, tag(image, ".sig"), attached(block + b'"}'.ljust(512)))
        with pytest.raises(TransshipError, match="Source image rejected"):
            copied(source, target, policy=policy_for(image))

    @pytest.mark.parametrize("by_index", [False, True], ids=["image", "index"])
    def test_an_image_that_refers_to_the_image_does_not(self, source, target, image, by_index):
        found = runnable(image)
        if by_index:
            document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "subject": subject(image)}
            found = Image(json.dumps(document).encode(), OCI_INDEX)
        enter(source, image, found)
        with pytest.raises(TransshipError, match="Source image rejected"):
            copied(source, target, policy=policy_for(image))
        assert found.digest not in target.manifests[NAME]

    def test_an_image_that_it_accepts_does(self, source, target, image):
        enter(source, image, runnable(image))
        copied(source, target)
        assert runnable(image).digest in target.manifests[NAME]


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        ({"manifest_type": OCI_MANIFEST}, "--format"),
        ({"annotations": {"a": "b"}}, "--annotation"),
        ({"compress_format": "zstd"}, "--dest-compress-format"),
        ({"strip_sparse_index": True}, "--strip-removed-platforms"),
    ],
)
def test_what_would_change_the_image_is_refused(source, target, options, flag):
    with pytest.raises(TransshipError, match=flag):
        copied(source, target, **options)


def test_uncompressed_layers_stay(make_registry, target):
    source = make_registry()
    image = oci_image(compression="")
    source.put_image(NAME, "v1", image)
    enter(source, image, artifact(image))
    copied(source, target)
    assert target.tags[NAME]["v1"] == image.digest
    assert referrers_at(target.host, image) == {str(artifact(image).digest)}


def test_a_destination_that_cannot_hold_them_is_refused(source, tmp_path):
    with pytest.raises(TransshipError, match="dir: cannot hold"):
        copied(source, f"dir:{tmp_path / 'copy'}")
    assert not (tmp_path / "copy").exists()
