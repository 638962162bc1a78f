from __future__ import annotations

import http.server
import json
import os
import threading

import pytest

from transship.errors import BlobNotFoundError, ContentMismatchError, NotFoundError, TransportError, TransshipError
from transship.image.descriptor import Descriptor
from transship.image.digest import digest_of
from transship.image.media_types import OCI_LAYER_GZIP, OCI_MANIFEST, OCI_NONDISTRIBUTABLE_LAYER
from transship.plugin.blob import FileContent, holds
from transship.plugin.context import Context
from transship_oci.transport import OciTransport

TRANSPORT = OciTransport()


def opened(path, suffix="v1", **options):
    return TRANSPORT.open_source(TRANSPORT.parse_reference(f"{path}:{suffix}"), Context(options=options))


@pytest.fixture
def layout(tmp_path, image):
    path = tmp_path / "layout"
    image.write_to(TRANSPORT.open_destination(TRANSPORT.parse_reference(f"{path}:v1"), Context()))
    return path


def blob_file(layout, digest):
    return layout / "blobs" / digest.algorithm / digest.encoded


def test_image_is_read(layout, image):
    source = opened(layout)
    assert source.get_manifest() == (image.manifest, OCI_MANIFEST)
    assert source.get_manifest(image.digest) == (image.manifest, OCI_MANIFEST)
    for descriptor, _ in image.blobs:
        content = source.get_blob(descriptor)
        assert isinstance(content, FileContent)
        assert holds(content, descriptor)
        content.close()
    assert source.get_signatures() == ()
    source.close()
    source.close()


def test_member_that_no_top_entry_names_has_no_declared_type(layout, image):
    config = image.blobs[1][0].digest
    assert opened(layout).get_manifest(config).media_type == ""


def test_missing_name_is_not_found(layout):
    with pytest.raises(NotFoundError, match="no descriptor found for reference"):
        opened(layout, "nope")


def test_missing_layout_is_told_in_one_line(tmp_path):
    with pytest.raises(TransportError, match=r"open .*/none/index.json: no such file or directory"):
        opened(tmp_path / "none")


def test_missing_blob_is_told(layout, image):
    descriptor = Descriptor(OCI_LAYER_GZIP, digest_of(b"other"), 5)
    with pytest.raises(BlobNotFoundError):
        opened(layout).get_blob(descriptor)


def test_missing_manifest_is_an_error_of_the_transport(layout, image):
    blob_file(layout, image.digest).unlink()
    with pytest.raises(TransportError):
        opened(layout).get_manifest()


@pytest.mark.parametrize("change", [lambda data: data + b" ", lambda data: data[:-1] + b" ", lambda data: b""])
def test_changed_manifest_is_refused(layout, image, change):
    blob_file(layout, image.digest).write_bytes(change(image.manifest))
    with pytest.raises(ContentMismatchError):
        opened(layout).get_manifest()


def test_huge_manifest_is_refused_unread(layout, image):
    os.truncate(blob_file(layout, image.digest), 1 << 40)
    with pytest.raises(TransportError, match="exceeded maximum allowed size"):
        opened(layout).get_manifest()


def test_huge_index_is_refused(layout):
    os.truncate(layout / "index.json", 1 << 40)
    with pytest.raises(TransportError, match="exceeded maximum allowed size"):
        opened(layout)


@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory", "symlinked folder"])
def test_blob_that_is_no_file_of_the_layout_is_refused(layout, image, tmp_path, kind):
    descriptor, data = image.blobs[0]
    path = blob_file(layout, descriptor.digest)
    outside = tmp_path / "outside"
    if kind == "symlinked folder":
        path.parent.rename(outside)
        path.parent.symlink_to(outside)
    else:
        path.unlink()
        outside.write_bytes(data)
        {
            "symlink": lambda: path.symlink_to(outside),
            "fifo": lambda: os.mkfifo(path),
            "directory": path.mkdir,
        }[kind]()
    with pytest.raises(TransportError):
        opened(layout).get_blob(descriptor)


def test_link_inside_the_layout_is_followed(layout, image):
    descriptor, _ = image.blobs[0]
    path = blob_file(layout, descriptor.digest)
    path.rename(layout / "elsewhere")
    path.symlink_to("../../elsewhere")
    content = opened(layout).get_blob(descriptor)
    assert holds(content, descriptor)
    content.close()


def test_index_that_leads_out_is_refused(layout, tmp_path):
    (layout / "index.json").rename(tmp_path / "index.json")
    (layout / "index.json").symlink_to(tmp_path / "index.json")
    with pytest.raises(TransportError):
        opened(layout)


def test_shared_folder_holds_blobs_and_manifests(layout, image, tmp_path):
    shared = tmp_path / "shared"
    (layout / "blobs").rename(shared)
    source = opened(layout, **{"shared-blob-dir": str(shared)})
    assert source.get_manifest().data == image.manifest
    source.get_blob(image.blobs[0][0]).close()
    with pytest.raises(TransportError):
        opened(layout).get_manifest()


def test_hostile_digest_in_the_index_never_becomes_a_path(layout):
    index = json.loads((layout / "index.json").read_bytes())
    index["manifests"][0]["digest"] = "sha256:../../index.json"
    (layout / "index.json").write_text(json.dumps(index))
    with pytest.raises(TransshipError):
        opened(layout)


def test_names_are_listed_once_in_order(layout, make_image):
    for name in ("zz", "aa", "v1"):
        reference = TRANSPORT.parse_reference(f"{layout}:{name}")
        make_image("other").write_to(TRANSPORT.open_destination(reference, Context()))
    place = TRANSPORT.parse_place(str(layout))
    assert TRANSPORT.list_tags(place, Context()) == ("", ["zz", "aa", "v1"])


class Elsewhere(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        if self.path == "/loop":
            self.reply(302, b"", "/loop")
        elif self.path == "/moved":
            self.reply(302, b"", "/layer")
        elif self.path == "/to-file":
            self.reply(302, b"", "file:///etc/passwd")
        elif self.path == "/private":
            self.reply(401, b"")
        elif self.path == "/layer":
            self.reply(200, b"foreign bytes")
        else:
            self.reply(404, b"")

    def reply(self, status, body, location=None):
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def elsewhere():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    server.seen = []
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def foreign(*urls, media_type=OCI_NONDISTRIBUTABLE_LAYER):
    return Descriptor(media_type, digest_of(b"foreign bytes"), 13, urls)


def at(server, path):
    return f"http://127.0.0.1:{server.server_port}{path}"


@pytest.mark.parametrize("paths", [["/layer"], ["/none", "/layer"], ["/moved"], ["/loop", "/to-file", "/layer"]])
def test_foreign_layer_is_fetched_from_its_addresses(layout, elsewhere, paths):
    descriptor = foreign("ftp://example.com/x", *(at(elsewhere, path) for path in paths))
    content = opened(layout).get_blob(descriptor)
    assert holds(content, descriptor)
    content.close()


@pytest.mark.parametrize("path", ["/none", "/loop", "/to-file", "/private"])
def test_foreign_layer_that_no_address_gives_is_told(layout, elsewhere, path):
    with pytest.raises(TransportError, match="failed fetching external blob from all urls"):
        opened(layout).get_blob(foreign(at(elsewhere, path)))
    assert all(authorization is None for _, authorization in elsewhere.seen)
    assert len(elsewhere.seen) <= 12


def test_secrets_of_an_address_are_not_shown(layout, elsewhere):
    with pytest.raises(TransportError) as caught:
        opened(layout).get_blob(foreign(at(elsewhere, "/none?token=secret")))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "descriptor",
    [
        foreign("http://127.0.0.1:1/x", media_type=OCI_LAYER_GZIP),
        foreign(),
        foreign("file:///etc/passwd"),
        foreign("http://user:secret@127.0.0.1/x"),
        foreign("http://[bad"),
    ],
)
def test_layer_without_usable_address_is_not_there(layout, descriptor):
    with pytest.raises(BlobNotFoundError):
        opened(layout).get_blob(descriptor)


def test_local_copy_of_a_foreign_layer_is_preferred(layout, elsewhere):
    descriptor = foreign(at(elsewhere, "/layer"))
    blob_file(layout, descriptor.digest).write_bytes(b"foreign bytes")
    opened(layout).get_blob(descriptor).close()
    assert elsewhere.seen == []
