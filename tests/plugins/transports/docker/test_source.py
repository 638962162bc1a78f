"""Reading images, also from mirrors and in spite of everything."""

from __future__ import annotations

import contextlib
import json
import os

import pytest
import trustme

from transship.errors import (
    BlobNotFoundError,
    ContentMismatchError,
    InvalidReferenceError,
    NotFoundError,
    TransportError,
)
from transship.image.descriptor import Descriptor
from transship.image.digest import digest_of
from transship.image.media_types import (
    DOCKER_FOREIGN_LAYER_GZIP,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA1,
    DOCKER_SCHEMA1_SIGNED,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
)
from transship.plugin.blob import verified
from transship.plugin.credentials import Credentials
from transship.testing.images import oci_image, oci_index, schema1_image, schema2_image
from transship.testing.registry import Fault
from transship_docker import network
from transship_docker.downloads import Download
from transship_docker.transport import DockerTransport

IMAGE = oci_image()
BLOBS = "/v2/library/app/blobs/*"
MANIFESTS = "/v2/library/app/manifests/*"
BIG = os.urandom(6 << 20)
BIG_LAYER = Descriptor(OCI_LAYER_GZIP, digest_of(BIG), len(BIG))


@pytest.fixture
def open_image(make_context):
    with contextlib.ExitStack() as stack:

        def open_image(name, **settings):
            transport = DockerTransport()
            source = transport.open_source(transport.parse_reference(f"//{name}"), make_context(**settings))
            stack.callback(source.close)
            return source

        yield open_image


@pytest.fixture
def filled(registry):
    registry.put_image("library/app", "v1", IMAGE)
    registry.put_blob("library/app", BIG)
    return registry


@pytest.fixture
def source(filled, open_image):
    return open_image(f"{filled.host}/library/app:v1")


def read(source, descriptor):
    with contextlib.closing(source.get_blob(descriptor)) as content:
        return b"".join(bytes(piece) for piece in verified(content, descriptor))


def read_from(source, offset, layer=BIG_LAYER):
    with contextlib.closing(source.get_blob_from(layer, offset)) as content:
        return content.size, b"".join(map(bytes, content))


def sent(registry, path="/blobs/"):
    return sum(request.sent for request in registry.requests if path in request.path)


class TestManifest:
    """The manifest, when the source is opened."""

    def test_all_types_are_accepted_in_order(self, source, filled):
        request = next(request for request in filled.requests if "/manifests/" in request.path)
        assert [value for name, value in request.headers.lines if name.lower() == "accept"] == [
            OCI_MANIFEST,
            DOCKER_MANIFEST,
            DOCKER_SCHEMA1_SIGNED,
            DOCKER_SCHEMA1,
            "application/vnd.docker.distribution.manifest.list.v2+json",
            OCI_INDEX,
        ]

    @pytest.mark.parametrize("image", [oci_image(), schema2_image(), oci_index(), schema1_image()])
    @pytest.mark.parametrize("by_digest", [False, True])
    def test_bytes_come_as_they_are(self, registry, open_image, image, by_digest):
        digest = registry.put_image("library/app", "latest", image)
        name = f"{registry.host}/library/app" + (f"@{digest}" if by_digest else ":latest")
        assert open_image(name).get_manifest() == (image.manifest, image.media_type)

    def test_a_digest_beside_a_tag_decides(self, registry, open_image):
        digest = registry.put_image("library/app", "old", IMAGE)
        registry.put_image("library/app", "v1", schema2_image())
        assert open_image(f"{registry.host}/library/app:v1@{digest}").get_manifest().data == IMAGE.manifest

    def test_instances_are_read_by_digest(self, registry, open_image):
        index = oci_index()
        registry.put_image("library/app", "v1", index)
        source = open_image(f"{registry.host}/library/app:v1")
        instance = index.instances[2]
        assert source.get_manifest(instance.digest).data == instance.manifest

    def test_an_unknown_tag_is_not_found(self, filled, open_image):
        with pytest.raises(NotFoundError, match=f"reading manifest no in {filled.host}/library/app: manifest unknown"):
            open_image(f"{filled.host}/library/app:no")

    def test_a_bare_404_is_another_error(self, filled, open_image):
        filled.add_fault(Fault(MANIFESTS, status=404, body=b"nothing"))
        with pytest.raises(TransportError, match="StatusCode: 404") as caught:
            open_image(f"{filled.host}/library/app:no")
        assert not isinstance(caught.value, NotFoundError)

    @pytest.mark.parametrize("by_digest", [False, True])
    def test_altered_bytes_are_noticed(self, filled, open_image, by_digest):
        filled.add_fault(Fault(MANIFESTS, flipped=20))
        name = f"{filled.host}/library/app" + (f"@{IMAGE.digest}" if by_digest else ":v1")
        if by_digest:
            filled.add_fault(Fault(MANIFESTS, headers={"Docker-Content-Digest": None}))
        with pytest.raises(ContentMismatchError, match="does not match provided manifest digest"):
            open_image(name)

    def test_another_digest_than_asked_for_is_noticed(self, filled, open_image):
        filled.add_fault(Fault(MANIFESTS, body=b"{}", headers={"Docker-Content-Digest": str(digest_of(b"{}"))}))
        with pytest.raises(ContentMismatchError):
            open_image(f"{filled.host}/library/app@{IMAGE.digest}")

    @pytest.mark.parametrize("claim", ["", "nonsense", "md5:" + "a" * 32, "sha256:" + "A" * 64])
    def test_a_claim_that_means_nothing_is_no_obstacle(self, filled, open_image, claim):
        filled.add_fault(Fault(MANIFESTS, headers={"Docker-Content-Digest": claim}))
        assert open_image(f"{filled.host}/library/app:v1").get_manifest().data == IMAGE.manifest

    @pytest.mark.parametrize(
        ("declared", "read_as"),
        [(f"{OCI_MANIFEST}; charset=utf-8", OCI_MANIFEST), ("", ""), ("nonsense", ""), ("a/b c", "")],
    )
    def test_content_type_is_read_leniently(self, filled, open_image, declared, read_as):
        filled.add_fault(Fault(MANIFESTS, headers={"Content-Type": declared}))
        assert open_image(f"{filled.host}/library/app:v1").get_manifest().media_type == read_as

    def test_what_is_too_long_is_refused(self, filled, open_image):
        filled.add_fault(Fault(MANIFESTS, body=b" " * ((4 << 20) + 1)))
        with pytest.raises(TransportError, match="exceeded maximum allowed size of 4194304 bytes"):
            open_image(f"{filled.host}/library/app:v1")

    def test_an_unknown_digest_cannot_be_read(self, filled, open_image):
        with pytest.raises(InvalidReferenceError, match="reading images from docker"):
            open_image(f"{filled.host}/library/app@@unknown-digest@@")


class TestBlob:
    """Blobs, whole or in pieces."""

    def test_bytes_and_size(self, source):
        with contextlib.closing(source.get_blob(BIG_LAYER)) as content:
            assert content.size == len(BIG)
        assert read(source, BIG_LAYER) == BIG

    def test_what_is_not_there_is_told(self, source):
        with pytest.raises(BlobNotFoundError, match="fetching blob: blob unknown"):
            source.get_blob(Descriptor(OCI_LAYER_GZIP, digest_of(b"no"), 2))

    def test_a_bare_404_means_the_same(self, source, filled):
        filled.add_fault(Fault(BLOBS, status=404, body=b""))
        with pytest.raises(BlobNotFoundError):
            source.get_blob(BIG_LAYER)

    @pytest.mark.parametrize("size", [len(BIG), -1])
    def test_a_broken_body_is_continued(self, source, filled, size):
        filled.add_fault(Fault(BLOBS, cut_after=300_000, times=8))
        assert read(source, BIG_LAYER._replace(size=size)) == BIG
        assert sent(filled) < 1.2 * len(BIG)

    def test_even_if_no_length_was_told(self, source, filled):
        filled.add_fault(Fault(BLOBS, cut_after=1_000_000, times=1, headers={"Content-Length": None}))
        assert read(source, BIG_LAYER) == BIG

    def test_redirected_bodies_are_continued_too(self, make_registry, open_image):
        registry = make_registry(blob_redirect=True)
        registry.put_image("library/app", "v1", IMAGE)
        registry.put_blob("library/app", BIG)
        registry.add_fault(Fault("/storage/*", cut_after=500_000, times=5))
        assert read(open_image(f"{registry.host}/library/app:v1"), BIG_LAYER) == BIG

    @pytest.mark.parametrize("cut_after", [1 << 20, 5 << 20])
    def test_broken_bodies_over_tls_are_continued(self, make_registry, open_image, tmp_path, cut_after):
        authority = trustme.CA()
        pem = tmp_path / "server.pem"
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
        authority.cert_pem.write_to_path(tmp_path / "ca.crt")
        registry = make_registry(tls=(pem, pem))
        registry.put_image("library/app", "v1", IMAGE)
        registry.put_blob("library/app", BIG)
        registry.add_fault(Fault(BLOBS, cut_after=cut_after, times=2))
        source = open_image(f"{registry.host}/library/app:v1", tls_verify="true", cert_dir=str(tmp_path))
        assert read(source, BIG_LAYER) == BIG

    def test_a_token_that_expires_meanwhile_is_renewed(self, make_registry, open_image):
        registry = make_registry(auth="bearer", users={"u": "p"})
        registry.put_image("library/app", "v1", IMAGE)
        registry.put_blob("library/app", BIG)
        registry.add_fault(Fault(BLOBS, cut_after=1 << 20, times=1))
        source = open_image(f"{registry.host}/library/app:v1", credentials=Credentials("u", "p"))
        content = source.get_blob(BIG_LAYER)
        registry.expire_tokens()
        with contextlib.closing(content):
            assert b"".join(map(bytes, content)) == BIG

    def test_a_server_that_knows_no_ranges_sends_it_again(self, source, filled):
        filled.add_fault(Fault(BLOBS, cut_after=2 << 20, times=1))
        filled.add_fault(Fault(BLOBS, ignore_range=True))
        assert read(source, BIG_LAYER) == BIG

    @pytest.mark.parametrize(
        "headers",
        [
            {"Content-Range": "bytes 0-9/10"},
            {"Content-Range": None},
            {"Content-Range": "bytes 1048576-3145727/9999999"},
            {"Content-Range": "nonsense"},
        ],
    )
    def test_an_odd_range_is_not_believed(self, source, filled, headers):
        filled.add_fault(Fault(BLOBS, cut_after=1 << 20, times=1))
        filled.add_fault(Fault(BLOBS, headers=headers, times=1))
        assert read(source, BIG_LAYER) == BIG

    def test_other_content_is_noticed(self, source, filled):
        filled.add_fault(Fault(BLOBS, cut_after=1 << 20, times=1, headers={"ETag": '"one"'}))
        filled.add_fault(Fault(BLOBS, headers={"ETag": '"two"'}))
        with pytest.raises(TransportError, match="the content has changed"):
            read(source, BIG_LAYER)

    def test_a_validator_is_sent_along(self, source, filled):
        filled.add_fault(Fault(BLOBS, cut_after=1 << 20, times=1, headers={"ETag": '"one"'}))
        filled.add_fault(Fault(BLOBS, headers={"ETag": '"one"'}))
        read(source, BIG_LAYER)
        assert filled.requests[-1].headers.get("If-Range") == '"one"'

    def test_wrong_bytes_are_noticed(self, source, filled):
        filled.add_fault(Fault(BLOBS, flipped=2_000_000))
        with pytest.raises(ContentMismatchError, match="Digest did not match"):
            read(source, BIG_LAYER)

    def test_it_ends_where_nothing_comes(self, source, filled):
        filled.add_fault(Fault(BLOBS, cut_after=0))
        with pytest.raises(TransportError, match=r"EOF|reset") as caught:
            read(source, BIG_LAYER)
        assert caught.value.retryable
        assert len(filled.requests) < 20

    @pytest.mark.parametrize("times", [1, None])
    def test_a_body_that_is_too_short_is_asked_for_again(self, source, filled, times):
        filled.add_fault(Fault(BLOBS, truncated=1 << 20, times=times))
        assert read(source, BIG_LAYER) == BIG

    def test_a_blob_that_is_too_short_is_told(self, source, filled):
        with pytest.raises(TransportError, match="unexpected EOF"):
            read(source, BIG_LAYER._replace(size=len(BIG) + 10))
        assert len(filled.requests) < 20

    def test_a_stall_is_a_break(self, source, filled, monkeypatch):
        monkeypatch.setattr(network, "STALL_TIMEOUT", 0.3)
        filled.add_fault(Fault(BLOBS, stall_after=1 << 20, times=1))
        assert read(source, BIG_LAYER) == BIG

    def test_a_refusal_in_the_middle_ends_it(self, source, filled):
        filled.add_fault(Fault(BLOBS, cut_after=1 << 20, times=1))
        filled.add_fault(Fault(BLOBS, status=403))
        with pytest.raises(TransportError, match="denied: a fault"):
            read(source, BIG_LAYER)

    @pytest.mark.parametrize("size", [len(BIG), -1])
    @pytest.mark.parametrize("offset", [1, 5 << 20, len(BIG) - 1])
    def test_it_may_begin_later(self, source, filled, offset, size):
        assert read_from(source, offset, BIG_LAYER._replace(size=size)) == (len(BIG) - offset, BIG[offset:])
        assert sent(filled) == len(BIG) - offset

    @pytest.mark.parametrize("cut_after", [None, 1 << 20])
    @pytest.mark.parametrize(
        "effects",
        [
            {"ignore_range": True},
            {"headers": {"Content-Range": "bytes 0-9/10"}},
            {"headers": {"Content-Range": None}},
            {"status": 416, "body": b""},
        ],
        ids=str,
    )
    def test_it_may_begin_later_whatever_the_server_says(self, source, filled, effects, cut_after):
        filled.add_fault(Fault(BLOBS, times=1, cut_after=cut_after, **effects))
        assert read_from(source, 3 << 20) == (3 << 20, BIG[3 << 20 :])
        assert filled.idle_faults == []

    def test_what_begins_later_is_continued_too(self, source, filled):
        filled.add_fault(Fault(BLOBS, cut_after=500_000, times=3))
        assert read_from(source, 2 << 20) == (4 << 20, BIG[2 << 20 :])
        assert sent(filled) < 5 << 20

    def test_it_is_not_there_from_the_middle_on_either(self, source):
        with pytest.raises(BlobNotFoundError):
            source.get_blob_from(Descriptor(OCI_LAYER_GZIP, digest_of(b"no"), 20), 10)

    def test_closing_early_and_twice_is_fine(self, source):
        content = source.get_blob(BIG_LAYER)
        next(iter(content))
        content.close()
        content.close()
        source.close()
        source.close()


class TestForeignLayers:
    """Layers that lie elsewhere."""

    def layer(self, *urls, media_type=DOCKER_FOREIGN_LAYER_GZIP):
        return BIG_LAYER._replace(media_type=media_type, urls=urls)

    @pytest.fixture
    def guarded(self, make_registry):
        registry = make_registry(auth="basic", users={"u": "p"})
        registry.put_image("library/app", "v1", IMAGE)
        return registry

    def test_they_come_from_there_without_credentials(self, filled, guarded, open_image):
        source = open_image(f"{guarded.host}/library/app:v1", credentials=Credentials("u", "p"))
        url = f"{filled.url}{BLOBS[:-1]}{BIG_LAYER.digest}"
        assert read(source, self.layer("ftp://h/x", "http://127.0.0.1:9/nobody", url)) == BIG
        assert filled.requests[-1].headers.get("Authorization") == ""

    def test_not_even_where_credentials_are_known(self, guarded, open_image):
        source = open_image(f"{guarded.host}/library/app:v1", credentials=Credentials("u", "p"))
        guarded.forget_requests()
        with pytest.raises(TransportError, match="failed fetching external blob from all urls"):
            source.get_blob(self.layer(f"{guarded.url}{BLOBS[:-1]}{BIG_LAYER.digest}"))
        assert [request.headers.get("Authorization") for request in guarded.requests] == [""]

    def test_ordinary_layers_have_no_urls(self, filled, source):
        url = "http://127.0.0.1:9/nobody"
        assert read(source, self.layer(url, media_type=DOCKER_LAYER_GZIP)) == BIG

    def test_unusable_urls_are_none(self, filled, source):
        assert read(source, self.layer("ftp://h/x", "http://u:p@h/x", "http://[::1/")) == BIG


class TestMirrors:
    """Other places that have the same image."""

    @pytest.fixture
    def mirror(self, make_registry):
        registry = make_registry()
        registry.put_image("library/app", "v1", IMAGE)
        registry.put_blob("library/app", BIG)
        return registry

    @pytest.fixture
    def open_mirrored(self, open_image, tmp_path):
        def open_mirrored(registry, *mirrors, **settings):
            lines = [f'[[registry]]\nlocation = "{registry.host}"\ninsecure = true']
            lines += [f'[[registry.mirror]]\nlocation = "{mirror}"\ninsecure = true' for mirror in mirrors]
            path = tmp_path / "registries.conf"
            path.write_text("\n".join(lines))
            return open_image(f"{registry.host}/library/app:v1", registries_conf=str(path), tls_verify="", **settings)

        return open_mirrored

    def test_the_first_that_has_it_is_asked(self, registry, mirror, open_mirrored):
        assert read(open_mirrored(registry, mirror.host), BIG_LAYER) == BIG
        assert registry.requests == []

    def test_the_registry_itself_is_the_last(self, filled, make_registry, open_mirrored):
        source = open_mirrored(filled, "127.0.0.1:1", make_registry().host)
        assert source.get_manifest().data == IMAGE.manifest

    def test_all_failures_are_told(self, registry, open_mirrored):
        registry.put_image("library/app", "other", IMAGE)
        with pytest.raises(NotFoundError, match=r"\(Mirrors also failed: \[127.0.0.1:1/library/app:v1: "):
            open_mirrored(registry, "127.0.0.1:1")

    def test_a_blob_that_a_mirror_lacks_comes_from_the_next(self, filled, make_registry, open_mirrored):
        mirror = make_registry()
        mirror.put_image("library/app", "v1", IMAGE)
        assert read(open_mirrored(filled, mirror.host), BIG_LAYER) == BIG

    def test_a_mirror_that_breaks_in_the_middle_is_left(self, filled, mirror, open_mirrored):
        mirror.add_fault(Fault(BLOBS, cut_after=1 << 20, times=1))
        mirror.add_fault(Fault(BLOBS, cut_after=0))
        source = open_mirrored(filled, mirror.host)
        assert read(source, BIG_LAYER) == BIG
        assert sent(filled) == len(BIG) - (1 << 20)
        mirror.forget_requests()
        assert read(source, BIG_LAYER) == BIG
        assert mirror.requests == []

    def test_a_mirror_that_cannot_even_be_asked_is_passed_over_in_the_middle(
        self, filled, mirror, make_registry, open_mirrored
    ):
        mirror.add_fault(Fault(BLOBS, cut_after=1 << 20, times=1))
        mirror.add_fault(Fault(BLOBS, cut_after=0))
        odd = make_registry()
        odd.add_fault(Fault("/v2/", headers={"WWW-Authenticate": 'Bearer realm="ftp://127.0.0.1/"'}))
        assert read(open_mirrored(filled, mirror.host, odd.host), BIG_LAYER) == BIG
        assert sent(filled) == len(BIG) - (1 << 20)
        assert odd.requests

    def test_a_mirror_that_goes_away_is_left(self, filled, mirror, open_mirrored):
        source = open_mirrored(filled, mirror.host)
        content = source.get_blob(BIG_LAYER)
        pieces = iter(content)
        begin = bytes(next(pieces))
        mirror.close()
        assert begin + b"".join(map(bytes, pieces)) == BIG

    def test_given_credentials_are_for_the_registry_alone(self, make_registry, open_mirrored, tmp_path):
        users = {"u": "p"}
        registry, mirror = (make_registry(auth="basic", users=users) for _ in range(2))
        for place in (registry, mirror):
            place.put_image("library/app", "v1", IMAGE)
        open_mirrored(registry, mirror.host, credentials=Credentials("u", "p"))
        assert not any(request.headers.get("Authorization") for request in mirror.requests)


def test_vendors_are_asked_for_credentials_first(make_registry, open_image, tmp_path):
    registry = make_registry(auth="basic", users={"u": "p"})
    registry.put_image("library/app", "v1", IMAGE)
    asked = []

    def find(host, repository):
        asked.append((host, repository))
        return Credentials("u", "p")

    open_image(f"{registry.host}/library/app:v1", find_credentials=find)
    assert asked == [(registry.host, "library/app")]


def test_credential_files_are_read(make_registry, open_image, tmp_path):
    registry = make_registry(auth="basic", users={"u": "p"})
    registry.put_image("library/app", "v1", IMAGE)
    path = tmp_path / "auth.json"
    path.write_text(json.dumps({"auths": {registry.host: {"auth": "dTpw"}}}))
    open_image(f"{registry.host}/library/app:v1", authfile=str(path))
    with pytest.raises(TransportError):
        open_image(f"{registry.host}/library/app:v1", authfile=str(path), anonymous=True)


def test_a_download_says_which_place_it_gave_up(waits):
    abandoned = []

    def nowhere(headers):
        raise TransportError("no")

    with pytest.raises(TransportError, match="no"):
        Download([nowhere, nowhere], waits, on_abandoned=abandoned.append)
    assert abandoned == []
