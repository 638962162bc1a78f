"""Writing images to registries."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from transship.errors import (
    ContentMismatchError,
    InvalidReferenceError,
    ManifestRejectedError,
    TransportError,
)
from transship.image.descriptor import Descriptor
from transship.image.digest import digest_of
from transship.image.media_types import DOCKER_MANIFEST, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST
from transship.plugin.blob import BlobReader, BytesContent, Expectation
from transship.plugin.context import Context
from transship.plugin.credentials import Credentials
from transship.plugin.transport import LayerCompression
from transship.testing.images import artifact_with_own_config, oci_image, oci_index, schema2_image
from transship.testing.registry import Fault
from transship_docker.transport import DockerTransport

IMAGE = oci_image()
LAYER = b"some layer"
DESCRIPTOR = Descriptor(OCI_LAYER_GZIP, digest_of(LAYER), len(LAYER))
REPOSITORY = "library/app"


def put_blobs(destination, image):
    for digest, data in image.blobs.items():
        destination.put_blob(BlobReader(BytesContent(data), Descriptor("", digest, len(data))))


def put_image(destination, image, instance=None):
    put_blobs(destination, image)
    destination.put_manifest(image.manifest, image.media_type, instance)


def asked(registry, *, path=""):
    return [f"{request.method} {request.path}" for request in registry.requests if path in request.path]


def note_at(registry, repository, data=LAYER):
    """Have the cache of this test know where a blob is."""
    from transship_docker.blob_cache import open_cache

    open_cache(Context()).note(registry.host, repository, [digest_of(data)])


def test_traits_are_those_of_a_registry(registry, open_destination):
    traits = open_destination(registry).traits
    assert traits.compression is LayerCompression.COMPRESS
    assert traits.manifest_types[:2] == (OCI_MANIFEST, DOCKER_MANIFEST)
    assert traits.accepts_foreign_urls
    assert traits.parallel
    assert registry.requests == []


class TestTags:
    """When an image appears, and under which names."""

    def test_tag_comes_last(self, registry, open_destination):
        destination = open_destination(registry)
        put_image(destination, IMAGE)
        assert registry.tags[REPOSITORY] == {}
        destination.commit()
        assert registry.tags[REPOSITORY] == {"v1": IMAGE.digest}
        assert registry.manifests[REPOSITORY][IMAGE.digest].data == IMAGE.manifest

    def test_latest_is_the_tag_where_none_is_given(self, registry, open_destination):
        destination = open_destination(registry, "library/app")
        put_image(destination, IMAGE)
        destination.commit()
        assert registry.tags[REPOSITORY] == {"latest": IMAGE.digest}

    @pytest.mark.parametrize("name", ["library/app@@unknown-digest@@", f"library/app@{IMAGE.digest}"])
    def test_digests_get_no_tag(self, registry, open_destination, name):
        destination = open_destination(registry, name)
        put_image(destination, IMAGE)
        destination.commit()
        assert list(registry.manifests[REPOSITORY]) == [IMAGE.digest]
        assert registry.tags[REPOSITORY] == {}

    def test_tag_and_digest_go_together(self, registry, open_destination):
        destination = open_destination(registry, f"library/app:v9@{IMAGE.digest}")
        put_image(destination, IMAGE)
        destination.commit()
        assert registry.tags[REPOSITORY] == {"v9": IMAGE.digest}

    def test_another_digest_than_the_named_one_is_refused(self, registry, open_destination):
        destination = open_destination(registry, f"library/app@{digest_of(b'other')}")
        with pytest.raises(TransportError, match="would not match destination reference"):
            put_image(destination, IMAGE)
        assert not registry.manifests[REPOSITORY]

    def test_instances_are_put_by_digest(self, registry, open_destination):
        index = oci_index()
        destination = open_destination(registry)
        for instance in index.instances:
            put_image(destination, instance, instance.digest)
        destination.put_manifest(index.manifest, index.media_type)
        destination.commit()
        assert set(registry.manifests[REPOSITORY]) == {index.digest, *(image.digest for image in index.instances)}
        assert registry.tags[REPOSITORY] == {"v1": index.digest}

    def test_further_tags(self, registry, open_destination):
        name = f"{registry.host}/{REPOSITORY}"
        destination = open_destination(registry, additional_tags=f"{name}:v2,{name}:v1,{name}:v3")
        put_image(destination, IMAGE)
        destination.commit()
        assert registry.tags[REPOSITORY] == dict.fromkeys(["v1", "v2", "v3"], IMAGE.digest)

    def test_further_tags_elsewhere_are_refused(self, registry, open_destination):
        with pytest.raises(InvalidReferenceError, match="is not in the repository"):
            open_destination(registry, additional_tags="elsewhere.example/app:v2")

    @pytest.mark.parametrize(
        "fault",
        [
            {"status": 405},
            {"status": 404},
            {"status": 400, "body": b'{"errors":[{"code":"TAG_INVALID","message":"x"}]}'},
            {"status": 400, "body": b'{"errors":[{"code":"DIGEST_INVALID","message":"x"}]}'},
        ],
        ids=["405", "404", "TAG_INVALID", "DIGEST_INVALID"],
    )
    def test_registries_that_know_tags_only(self, registry, open_destination, fault):
        registry.add_fault(Fault("/v2/*/manifests/sha256:*", "PUT", **fault))
        destination = open_destination(registry)
        put_image(destination, IMAGE)
        destination.commit()
        assert registry.tags[REPOSITORY] == {"v1": IMAGE.digest}


class TestManifests:
    """Answers to a manifest."""

    @pytest.mark.parametrize(
        ("code", "message"),
        [("MANIFEST_INVALID", "x"), ("TAG_INVALID", "x"), ("UNSUPPORTED", "Invalid JSON syntax in it")],
    )
    def test_rejections_let_the_engine_try_another_type(self, registry, open_destination, code, message):
        body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
        registry.add_fault(Fault("/v2/*/manifests/*", "PUT", status=400, body=body))
        with pytest.raises(ManifestRejectedError, match="uploading manifest"):
            put_image(open_destination(registry), IMAGE)

    def test_types_are_rejected_by_the_registry(self, make_registry, open_destination):
        registry = make_registry(manifest_types=[DOCKER_MANIFEST])
        destination = open_destination(registry)
        with pytest.raises(ManifestRejectedError):
            put_image(destination, IMAGE)
        image = schema2_image()
        put_image(destination, image)
        destination.commit()
        assert registry.tags[REPOSITORY] == {"v1": image.digest}

    @pytest.mark.parametrize("status", [403, 409, 413])
    def test_other_refusals_do_not(self, registry, open_destination, status):
        registry.add_fault(Fault("/v2/*/manifests/*", "PUT", status=status))
        with pytest.raises(TransportError, match=r"uploading manifest sha256:.* to 127"):
            put_image(open_destination(registry), IMAGE)

    @pytest.mark.parametrize(
        "fault", [{"drop_response": True}, {"status": 500}, {"status": 503}, {"status": 429}], ids=str
    )
    def test_what_passes_is_tried_again(self, registry, open_destination, fault):
        registry.add_fault(Fault("/v2/*/manifests/*", "PUT", times=2, **fault))
        destination = open_destination(registry)
        put_image(destination, IMAGE)
        destination.commit()
        assert registry.tags[REPOSITORY] == {"v1": IMAGE.digest}

    def test_endless_trouble_ends(self, registry, open_destination):
        registry.add_fault(Fault("/v2/*/manifests/*", "PUT", status=500))
        with pytest.raises(TransportError):
            put_image(open_destination(registry), IMAGE)
        assert len(asked(registry, path="manifests")) < 10

    def test_another_digest_than_ours_is_noticed(self, registry, open_destination):
        headers = {"Docker-Content-Digest": str(digest_of(b"other"))}
        registry.add_fault(Fault("/v2/*/manifests/*", "PUT", headers=headers))
        with pytest.raises(ContentMismatchError):
            put_image(open_destination(registry), IMAGE)

    @pytest.mark.parametrize("value", [None, "", "nonsense", "sha999:00"])
    def test_a_registry_need_not_say_the_digest(self, registry, open_destination, value):
        registry.add_fault(Fault("/v2/*/manifests/*", "PUT", headers={"Docker-Content-Digest": value}))
        put_image(open_destination(registry), IMAGE)

    def test_blocked_registries_get_nothing(self, registry, open_destination, tmp_path):
        configuration = tmp_path / "registries.conf"
        configuration.write_text(f'[[registry]]\nlocation = "{registry.host}"\nblocked = true\n')
        with pytest.raises(TransportError, match="blocked"):
            open_destination(registry, registries_conf=str(configuration))


class TestReuse:
    """Blobs that need not be uploaded."""

    def test_what_is_there_is_reused(self, registry, open_destination):
        registry.put_blob(REPOSITORY, LAYER)
        assert open_destination(registry).reuse_blob(DESCRIPTOR) == DESCRIPTOR

    def test_unknown_sizes_become_known(self, registry, open_destination):
        registry.put_blob(REPOSITORY, LAYER)
        found = open_destination(registry).reuse_blob(Descriptor("", DESCRIPTOR.digest))
        assert found.size == len(LAYER)

    def test_what_is_not_there_is_not(self, registry, open_destination):
        assert open_destination(registry).reuse_blob(DESCRIPTOR) is None

    def test_each_is_asked_for_once(self, registry, open_destination):
        destination = open_destination(registry)
        assert destination.reuse_blob(DESCRIPTOR) is None
        destination.put_blob(BlobReader(BytesContent(LAYER), DESCRIPTOR))
        assert destination.reuse_blob(DESCRIPTOR) == DESCRIPTOR
        assert len([line for line in asked(registry) if line.startswith("HEAD")]) == 1

    @pytest.mark.parametrize(
        "headers",
        [
            {"Content-Length": "9"},
            {"Content-Length": None},
            {"Docker-Content-Digest": str(digest_of(b"other"))},
        ],
        ids=str,
    )
    def test_another_blob_is_not_taken_for_it(self, registry, open_destination, headers):
        registry.put_blob(REPOSITORY, LAYER)
        registry.add_fault(Fault("/v2/*/blobs/sha256:*", "HEAD", headers=headers))
        assert open_destination(registry).reuse_blob(DESCRIPTOR) is None

    def test_trouble_is_told(self, registry, open_destination):
        registry.add_fault(Fault("/v2/*/blobs/sha256:*", "HEAD", status=403))
        with pytest.raises(TransportError, match=r"checking whether a blob sha256:.* exists in"):
            open_destination(registry).reuse_blob(DESCRIPTOR)

    def test_blobs_that_are_there_are_still_read(self, registry, open_destination):
        registry.put_blob(REPOSITORY, LAYER)
        blob = BlobReader(BytesContent(LAYER), DESCRIPTOR)
        open_destination(registry).put_blob(blob)
        assert blob.descriptor.digest == DESCRIPTOR.digest
        assert "POST" not in {request.method for request in registry.requests}

    @pytest.mark.parametrize("precomputes", [True, False])
    def test_digests_may_be_computed_before(self, registry, open_destination, precomputes):
        registry.put_blob(REPOSITORY, LAYER)
        destination = open_destination(registry, precompute_digests=str(precomputes).lower())
        destination.put_blob(BlobReader(BytesContent(LAYER), Expectation()))
        assert ("POST" in {request.method for request in registry.requests}) is not precomputes


class TestMounts:
    """Blobs that another repository has."""

    def test_a_blob_that_was_uploaded_is_mounted_elsewhere(self, registry, open_destination):
        first = open_destination(registry, "library/first:v1")
        first.put_blob(BlobReader(BytesContent(LAYER), DESCRIPTOR))
        first.close()
        assert open_destination(registry).reuse_blob(DESCRIPTOR) == DESCRIPTOR
        assert DESCRIPTOR.digest in registry.blobs[REPOSITORY]

    def test_a_copy_within_a_registry_uploads_nothing(self, registry, open_destination, make_context):
        registry.put_image("library/first", "v1", IMAGE)
        transport = DockerTransport()
        source = transport.open_source(transport.parse_reference(f"//{registry.host}/library/first:v1"), make_context())
        destination = open_destination(registry)
        for digest, data in IMAGE.blobs.items():
            assert destination.reuse_blob(Descriptor("", digest, len(data))) is not None
        source.close()

    def test_a_blob_that_was_read_is_mounted_without_asking_for_its_size(
        self, registry, open_destination, make_context
    ):
        registry.put_image("library/first", "v1", IMAGE)
        transport = DockerTransport()
        source = transport.open_source(transport.parse_reference(f"//{registry.host}/library/first:v1"), make_context())
        digest = digest_of(IMAGE.config)
        descriptor = Descriptor("", digest, len(IMAGE.config))
        with closing(source), closing(source.get_blob(descriptor)) as content:
            assert b"".join(bytes(chunk) for chunk in content) == IMAGE.config
        destination = open_destination(registry)
        assert destination.reuse_blob(descriptor._replace(size=descriptor.size + 1)) is None
        other = open_destination(registry, "library/other:v1")
        assert other.reuse_blob(descriptor) == descriptor
        assert f"HEAD /v2/library/first/blobs/{digest}" not in asked(registry)
        assert digest in registry.blobs["library/other"]

    def test_not_without_a_cache(self, registry, open_destination):
        registry.put_blob("library/first", LAYER)
        note_at(registry, "library/first")
        assert open_destination(registry, no_cache="true").reuse_blob(DESCRIPTOR) is None

    def test_not_in_a_dry_run(self, registry, open_destination):
        registry.put_blob("library/first", LAYER)
        note_at(registry, "library/first")
        assert open_destination(registry, dry_run=True).reuse_blob(DESCRIPTOR) is None
        assert {request.method for request in registry.requests} <= {"GET", "HEAD"}
        assert open_destination(registry).reuse_blob(DESCRIPTOR) == DESCRIPTOR

    def test_tokens_cover_both_repositories(self, make_registry, open_destination):
        registry = make_registry(auth="bearer", users={"user": "secret"})
        registry.put_blob("library/first", LAYER)
        note_at(registry, "library/first")
        destination = open_destination(registry, credentials=Credentials("user", "secret"))
        assert destination.reuse_blob(DESCRIPTOR) == DESCRIPTOR
        scopes = [request.query.get("scope") for request in registry.requests if request.path == "/token"]
        assert scopes[-1] == [f"repository:{REPOSITORY}:pull,push", "repository:library/first:pull"]

    def test_repositories_that_may_not_be_read_are_no_error(self, make_registry, open_destination):
        registry = make_registry(
            auth="bearer",
            users={"user": "secret"},
            allowed=lambda user, repository, action: repository == REPOSITORY,
        )
        registry.put_blob("library/first", LAYER)
        note_at(registry, "library/first")
        destination = open_destination(registry, credentials=Credentials("user", "secret"))
        assert destination.reuse_blob(DESCRIPTOR) is None

    def test_an_upload_that_is_opened_instead_is_cancelled(self, make_registry, open_destination):
        registry = make_registry(mount=False)
        registry.put_blob("library/first", LAYER)
        note_at(registry, "library/first")
        assert open_destination(registry).reuse_blob(DESCRIPTOR) is None
        assert registry.open_uploads == 0

    def test_places_that_lost_it_are_forgotten(self, registry, open_destination):
        note_at(registry, "library/first")
        destination = open_destination(registry)
        assert destination.reuse_blob(DESCRIPTOR) is None
        asked_before = len(asked(registry, path="library/first"))
        assert destination.reuse_blob(DESCRIPTOR) is None
        assert len(asked(registry, path="library/first")) == asked_before == 1

    def test_five_places_are_enough(self, registry, open_destination):
        for number in range(9):
            note_at(registry, f"library/other-{number}")
        assert open_destination(registry).reuse_blob(DESCRIPTOR) is None
        assert len(asked(registry, path="library/other")) == 5


class TestReferrers:
    """Manifests with a subject."""

    def referrer(self):
        image = artifact_with_own_config()
        members = json.loads(image.manifest)
        subject = {"mediaType": OCI_MANIFEST, "digest": str(IMAGE.digest), "size": len(IMAGE.manifest)}
        return image, json.dumps({**members, "subject": subject, "annotations": {"a": "b"}}).encode()

    def push(self, destination):
        image, data = self.referrer()
        put_blobs(destination, image)
        destination.put_manifest(data, OCI_MANIFEST)
        destination.commit()
        return digest_of(data)

    def test_the_registry_keeps_account(self, registry, open_destination):
        self.push(open_destination(registry))
        assert set(registry.tags[REPOSITORY]) == {"v1"}

    def test_or_a_tag_does(self, make_registry, open_destination):
        registry = make_registry(referrers=False)
        digest = self.push(open_destination(registry))
        tag = f"sha256-{IMAGE.digest.encoded}"
        stored = registry.manifests[REPOSITORY][registry.tags[REPOSITORY][tag]]
        assert stored.media_type == OCI_INDEX
        [entry] = json.loads(stored.data)["manifests"]
        assert entry["digest"] == str(digest)
        assert entry["artifactType"] == json.loads(self.referrer()[1]).get("artifactType", entry["artifactType"])
        assert entry["annotations"] == {"a": "b"}

    def test_which_is_extended_once(self, make_registry, open_destination):
        registry = make_registry(referrers=False, sparse_indexes=True)
        tag = f"sha256-{IMAGE.digest.encoded}"
        other = {"mediaType": OCI_MANIFEST, "digest": str(digest_of(b"other")), "size": 5}
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [other], "annotations": {"c": "d"}}
        registry.put_manifest(REPOSITORY, tag, json.dumps(index).encode(), OCI_INDEX)
        for _ in range(2):
            digest = self.push(open_destination(registry))
        stored = json.loads(registry.manifests[REPOSITORY][registry.tags[REPOSITORY][tag]].data)
        assert [entry["digest"] for entry in stored["manifests"]] == [other["digest"], str(digest)]
        assert stored["annotations"] == {"c": "d"}

    def test_what_is_no_index_stays(self, make_registry, open_destination, warnings_shown):
        registry = make_registry(referrers=False)
        tag = f"sha256-{IMAGE.digest.encoded}"
        registry.put_image(REPOSITORY, tag, IMAGE)
        self.push(open_destination(registry))
        assert registry.tags[REPOSITORY][tag] == IMAGE.digest
        assert any("no index of referrers" in warning for warning in warnings_shown)
