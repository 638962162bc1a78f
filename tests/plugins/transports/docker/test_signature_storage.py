"""Signatures in the registry, beside it, and attached to images."""

from __future__ import annotations

import base64
import http.server
import json
import stat
import threading

import pytest

from transship.errors import TransshipError, UnsupportedError
from transship.image.digest import digest_of
from transship.image.media_types import OCI_CONFIG, OCI_MANIFEST
from transship.plugin.signature import SIGSTORE_JSON, SIMPLE_SIGNING, Signature
from transship.plugin.sigstore_signature import SigstoreSignature
from transship.testing.images import oci_image
from transship.testing.registry import Fault
from transship_docker.transport import DockerTransport

IMAGE = oci_image()
REPOSITORY = "library/app"
FIRST, SECOND, THIRD = (Signature(SIMPLE_SIGNING, b"\x90" + text) for text in (b"first", b"second", b"third"))
PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
ATTACHED = SigstoreSignature(PAYLOAD_TYPE, b'{"critical":{}}', {"dev.cosignproject.cosign/signature": "AAAA"}).encode()
OTHER = SigstoreSignature("text/plain", b"anything", {}).encode()
TAG = f"sha256-{IMAGE.digest.encoded}.sig"


@pytest.fixture
def signatures(registry, lookaside, make_context):
    """Reads and writes the signatures of an image in ``registry``, or in another place."""
    return _Signatures(registry, lookaside.parent / "registries.d", make_context)


class _Signatures:
    def __init__(self, registry, configuration, make_context):
        self.registry, self.configuration, self.make_context = registry, configuration, make_context
        registry.put_image(REPOSITORY, "v1", IMAGE)

    def at(self, registry):
        return _Signatures(registry, self.configuration, self.make_context)

    def configure(self, text):
        (self.configuration / "default.yaml").write_text(f"default-docker: {{{text}}}")

    def open(self, kind):
        transport = DockerTransport()
        reference = transport.parse_reference(f"//{self.registry.host}/{REPOSITORY}:v1")
        context = self.make_context(**{"registries.d": str(self.configuration)})
        return getattr(transport, f"open_{kind}")(reference, context)

    def traits(self):
        destination = self.open("destination")
        try:
            return destination.traits
        finally:
            destination.close()

    def refusal(self):
        return self.traits().refuses_signatures

    def read(self, instance=None):
        source = self.open("source")
        try:
            return list(source.get_signatures(instance))
        finally:
            source.close()

    def write(self, *signatures, instance=None):
        destination = self.open("destination")
        try:
            if instance is None:
                destination.put_manifest(IMAGE.manifest, IMAGE.media_type)
            destination.put_signatures(signatures, instance)
        finally:
            destination.close()


def folder_of(lookaside, digest=IMAGE.digest):
    return lookaside / f"{REPOSITORY}@sha256={digest.encoded}"


class TestLookaside:
    """Files beside the registry."""

    def test_signatures_come_back(self, signatures, lookaside):
        signatures.write(FIRST, SECOND)
        assert signatures.read() == [FIRST, SECOND]
        files = {path.name: path.read_bytes() for path in folder_of(lookaside).iterdir()}
        assert files == {"signature-1": FIRST.payload, "signature-2": SECOND.payload}
        assert stat.S_IMODE((folder_of(lookaside) / "signature-1").stat().st_mode) == 0o644

    def test_fewer_replace_more(self, signatures, lookaside):
        signatures.write(FIRST, SECOND, THIRD)
        signatures.write(THIRD)
        assert signatures.read() == [THIRD]
        assert [path.name for path in folder_of(lookaside).iterdir()] == ["signature-1"]

    def test_instances_have_their_own(self, signatures, lookaside):
        other = digest_of(b"instance")
        signatures.write(FIRST, instance=other)
        assert signatures.read() == []
        assert signatures.read(other) == [FIRST]
        assert folder_of(lookaside, other).is_dir()

    def test_reading_ends_at_a_gap(self, signatures, lookaside):
        signatures.write(FIRST, SECOND, THIRD)
        (folder_of(lookaside) / "signature-2").unlink()
        assert signatures.read() == [FIRST]

    @pytest.mark.parametrize("count", [127, 128])
    def test_too_many_are_a_mistake(self, signatures, lookaside, count):
        folder_of(lookaside).mkdir(parents=True)
        for number in range(1, count + 1):
            (folder_of(lookaside) / f"signature-{number}").write_bytes(FIRST.payload)
        if count == 127:
            assert len(signatures.read()) == 127
            return
        with pytest.raises(TransshipError, match="server provided 128 signatures"):
            signatures.read()

    @pytest.mark.parametrize("content", [b"", b"\x01what is this", b"\x90" * ((4 << 20) + 1), "folder", "link"])
    def test_odd_files_are_errors(self, signatures, lookaside, tmp_path, content):
        folder_of(lookaside).mkdir(parents=True)
        file = folder_of(lookaside) / "signature-1"
        if content == "folder":
            file.mkdir()
        elif content == "link":
            (tmp_path / "secret").write_bytes(b"\x90")
            file.symlink_to(tmp_path / "secret")
        else:
            file.write_bytes(content)
        with pytest.raises(TransshipError):
            signatures.read()

    def test_names_in_urls_may_be_escaped(self, signatures, tmp_path):
        signatures.configure(f"lookaside: 'file://{tmp_path}/with%20blank'")
        signatures.write(FIRST)
        assert (folder_of(tmp_path / "with blank") / "signature-1").exists()

    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_web_servers_are_not_written_to(self, signatures, scheme):
        signatures.configure(f"lookaside: '{scheme}://127.0.0.1:9/sigs'")
        refusal = f"Writing directly to a {scheme} lookaside URL is not supported"
        assert refusal in signatures.refusal()
        with pytest.raises(TransshipError, match=refusal):
            signatures.write(FIRST)

    def test_a_refusal_is_known_only_where_no_kind_can_be_stored(self, signatures, make_registry):
        signatures.configure("lookaside: 'http://127.0.0.1:9/sigs', use-sigstore-attachments: true")
        assert signatures.refusal() == ""
        signatures.configure("lookaside: 'http://127.0.0.1:9/sigs'")
        assert signatures.at(make_registry(signatures_extension=True)).refusal() == ""
        assert signatures.refusal()

    @pytest.mark.parametrize(
        ("configuration", "refused"),
        [
            ("lookaside: 'file:///sigs', use-sigstore-attachments: true", set()),
            ("lookaside: 'file:///sigs'", {SIGSTORE_JSON}),
            ("lookaside: 'http://127.0.0.1:9/sigs', use-sigstore-attachments: true", {SIMPLE_SIGNING}),
            ("lookaside: 'http://127.0.0.1:9/sigs'", {SIGSTORE_JSON, SIMPLE_SIGNING}),
        ],
    )
    def test_formats_that_cannot_be_stored_are_known(self, signatures, configuration, refused):
        signatures.configure(configuration)
        assert set(signatures.traits().refuses_formats) == refused

    def test_broken_configuration_stops(self, signatures):
        (signatures.configuration / "broken.yaml").write_text("docker: [")
        for attempt in (signatures.read, lambda: signatures.write(FIRST)):
            with pytest.raises(TransshipError, match=r"parsing .*broken\.yaml"):
                attempt()


class _Files(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self)
        answers = self.server.answers.get(self.path) or [(404, b"", "text/plain")]
        status, body, kind = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def web():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Files)
    server.daemon_threads = True
    server.answers, server.asked = {}, []
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


class TestWebLookaside:
    """Signatures from a web server."""

    @pytest.fixture
    def path(self, signatures, web):
        signatures.configure(f"lookaside: 'http://127.0.0.1:{web.server_port}/sigs'")
        return f"/sigs/{REPOSITORY}@sha256={IMAGE.digest.encoded}/signature-"

    def test_signatures_come(self, signatures, web, path):
        kind = "application/octet-stream"
        web.answers |= {f"{path}1": [(200, FIRST.payload, kind)], f"{path}2": [(200, SECOND.payload, kind)]}
        assert signatures.read() == [FIRST, SECOND]
        assert all("Authorization" not in request.headers for request in web.asked)

    def test_pages_for_humans_are_warned_of(self, signatures, web, path, warnings_shown):
        web.answers[f"{path}1"] = [(200, FIRST.payload, "text/html; charset=utf-8")]
        assert signatures.read() == [FIRST]
        assert any("text/html" in warning for warning in warnings_shown)

    def test_other_statuses_are_errors(self, signatures, web, path):
        web.answers[f"{path}1"] = [(403, b"", "text/plain")]
        with pytest.raises(TransshipError, match=r"reading signature from .*: status 403"):
            signatures.read()

    def test_what_passes_is_tried_again(self, signatures, web, path):
        web.answers[f"{path}1"] = [(503, b"", "text/plain"), (200, FIRST.payload, "text/plain")]
        assert signatures.read() == [FIRST]

    def test_big_answers_are_errors(self, signatures, web, path):
        web.answers[f"{path}1"] = [(200, b"\x90" * ((4 << 20) + 1), "text/plain")]
        with pytest.raises(TransshipError, match="exceeded maximum allowed size"):
            signatures.read()


class TestExtension:
    """Signatures in a registry that has a place for them."""

    @pytest.fixture
    def extended(self, signatures, make_registry):
        return signatures.at(make_registry(signatures_extension=True))

    def test_signatures_come_back(self, extended, lookaside):
        extended.write(FIRST, SECOND)
        assert extended.read() == [FIRST, SECOND]
        assert not lookaside.exists()

    def test_nothing_is_stored_twice(self, extended):
        extended.write(FIRST)
        extended.write(FIRST, FIRST, SECOND)
        assert extended.read() == [FIRST, SECOND]

    def test_other_kinds_are_passed_over(self, extended):
        entry = {"schemaVersion": 2, "type": "atomic", "name": "x", "content": base64.b64encode(b"\x90a").decode()}
        body = {"signatures": [{**entry, "type": "other"}, {**entry, "schemaVersion": 3}, 5, entry]}
        extended.registry.add_fault(Fault("/extensions/*", body=json.dumps(body).encode()))
        assert extended.read() == [Signature(SIMPLE_SIGNING, b"\x90a")]

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"[]",
            b"nonsense",
            b'{"signatures":5}',
            b'{"signatures":[{"schemaVersion":2,"type":"atomic","content":"?"}]}',
            b"[" * 100_000,
            json.dumps({"signatures": [{}] * 200}).encode(),
            b" " * ((4 << 20) + 1),
        ],
        ids=["empty", "list", "nonsense", "number", "not base64", "deep", "many", "long"],
    )
    def test_odd_answers_are_errors(self, extended, body):
        extended.registry.add_fault(Fault("/extensions/*", body=body))
        with pytest.raises(TransshipError):
            extended.read()

    def test_refusals_are_told(self, extended):
        extended.registry.add_fault(Fault("/extensions/*", "PUT", status=403))
        with pytest.raises(TransshipError, match="uploading a signature"):
            extended.write(FIRST)


class TestAttachments:
    """Signatures as an image of their own."""

    def manifest(self, registry):
        return json.loads(registry.manifests[REPOSITORY][registry.tags[REPOSITORY][TAG]].data)

    def test_signatures_come_back(self, signatures, registry):
        signatures.write(ATTACHED, OTHER)
        assert signatures.read() == [ATTACHED, OTHER]
        manifest = self.manifest(registry)
        payload = SigstoreSignature.decode(ATTACHED).payload
        assert manifest["mediaType"] == OCI_MANIFEST
        assert manifest["config"]["mediaType"] == OCI_CONFIG
        assert manifest["layers"][0] == {
            "mediaType": PAYLOAD_TYPE,
            "digest": str(digest_of(payload)),
            "size": len(payload),
            "annotations": {"dev.cosignproject.cosign/signature": "AAAA"},
        }
        [config] = [
            content.read()
            for digest, content in registry.blobs[REPOSITORY].items()
            if str(digest) == manifest["config"]["digest"]
        ]
        diff_ids = [layer["digest"] for layer in manifest["layers"]]
        assert json.loads(config) == {
            "architecture": "",
            "os": "",
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }

    def test_more_are_added(self, signatures, registry):
        signatures.write(ATTACHED)
        signatures.write(ATTACHED, OTHER, OTHER)
        assert signatures.read() == [ATTACHED, OTHER]

    def test_nothing_new_changes_nothing(self, signatures, registry):
        signatures.write(ATTACHED)
        before = registry.tags[REPOSITORY][TAG]
        registry.forget_requests()
        signatures.write(ATTACHED)
        assert registry.tags[REPOSITORY][TAG] == before
        assert not [request for request in registry.requests if request.method == "PUT" and TAG in request.path]

    def test_both_kinds_go_where_they_belong(self, signatures, lookaside):
        signatures.write(ATTACHED, FIRST)
        assert signatures.read() == [FIRST, ATTACHED]
        assert (folder_of(lookaside) / "signature-1").exists()

    def test_only_where_configuration_says_so(self, signatures, lookaside):
        signatures.write(ATTACHED)
        signatures.configure(f"lookaside: 'file://{lookaside}'")
        assert signatures.read() == []
        with pytest.raises(UnsupportedError, match="writing sigstore attachments is disabled by configuration"):
            signatures.write(OTHER)

    @pytest.mark.parametrize(
        "fault",
        [
            {"status": 404, "body": b""},
            {"status": 404, "body": b"<html>not here</html>"},
            {"status": 400, "body": b'{"errors":[{"code":"UNKNOWN","message":"Artifact Not Found"}]}'},
        ],
        ids=["bare", "page", "unknown"],
    )
    def test_registries_say_differently_that_there_is_none(self, signatures, registry, fault):
        registry.add_fault(Fault("/v2/*.sig", **fault))
        assert signatures.read() == []

    @pytest.mark.parametrize("status", [403, 400])
    def test_other_refusals_are_errors(self, signatures, registry, status):
        registry.add_fault(Fault("/v2/*.sig", status=status))
        with pytest.raises(TransshipError, match="reading the signatures at"):
            signatures.read()

    def test_an_index_there_is_an_error(self, signatures, registry):
        data = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
        registry.put_manifest(REPOSITORY, TAG, data, "application/vnd.oci.image.index.v1+json")
        with pytest.raises(TransshipError, match="unexpected MIME type"):
            signatures.read()

    @pytest.mark.parametrize(("size", "count"), [(5 << 20, 1), (0, 2000), (4 << 20, 100), (1, 1)])
    def test_absurd_sizes_are_errors(self, signatures, registry, size, count):
        blob = registry.put_blob(REPOSITORY, b"payload")
        layer = {"mediaType": "text/plain", "digest": str(blob), "size": size}
        config = {"mediaType": OCI_CONFIG, "digest": str(blob), "size": 7}
        manifest = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer] * count}
        registry.put_manifest(REPOSITORY, TAG, json.dumps(manifest).encode(), OCI_MANIFEST)
        with pytest.raises(TransshipError):
            signatures.read()

    def test_changed_payloads_are_errors(self, signatures, registry):
        signatures.write(ATTACHED)
        registry.add_fault(Fault("/v2/*/blobs/*", "GET", flipped=3))
        with pytest.raises(TransshipError, match="Digest did not match"):
            signatures.read()

    @pytest.mark.parametrize(
        "payload",
        [b"", b"[]", b"{}", b'{"mimeType":5,"payload":"e30="}', b'{"mimeType":"a/b","payload":"?"}'],
    )
    def test_odd_signatures_are_not_stored(self, signatures, payload):
        with pytest.raises(TransshipError):
            signatures.write(Signature(SIGSTORE_JSON, payload))
