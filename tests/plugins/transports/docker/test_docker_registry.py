"""Writing to a real registry, with skopeo on the other side."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import threading

import peers
import pytest

from transship.image.descriptor import Descriptor
from transship.image.digest import digest_of
from transship.plugin.blob import BlobReader, Expectation
from transship.plugin.sigstore_signature import SigstoreSignature
from transship.testing.images import (
    artifact_with_empty_config,
    docker_list,
    image_with_foreign_layer,
    oci_image,
    oci_index,
    schema2_image,
)
from transship.testing.writers import write_dir

pytestmark = pytest.mark.interop

TRANSSHIP = [sys.executable, "-m", "transship", "--insecure-policy"]
SKOPEO = [peers.SKOPEO, "--insecure-policy"]
SIMPLE = b"\x90a simple signature"
ATTACHED = SigstoreSignature(
    "application/vnd.dev.cosign.simplesigning.v1+json", b"{}", {"dev.cosignproject.cosign/signature": "AAAA"}
).encode()


def run(command, *arguments):
    done = subprocess.run([*command, *map(str, arguments)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def repository(distribution, request):
    return f"{distribution.host}/{request.node.name.lower().partition('[')[0].replace('_', '-')}"


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "version"}


@pytest.mark.uses("dir")
@pytest.mark.parametrize(
    "image",
    [
        schema2_image(),
        oci_image(),
        oci_image(compression="zstd"),
        oci_index(),
        docker_list(),
        artifact_with_empty_config(),
    ],
    ids=["schema2", "oci", "zstd", "index", "list", "artifact"],
)
def test_what_we_push_skopeo_pulls(repository, tmp_path, image):
    write_dir(image, tmp_path / "pushed")
    run(TRANSSHIP, "copy", "--all", "--dest-tls-verify=false", f"dir:{tmp_path}/pushed", f"docker://{repository}:v1")
    run(SKOPEO, "copy", "--all", "--src-tls-verify=false", f"docker://{repository}:v1", f"dir:{tmp_path}/pulled")
    assert files(tmp_path / "pulled") == files(tmp_path / "pushed")


@pytest.mark.uses("dir")
@pytest.mark.parametrize("options", [["--dest-precompute-digests"], ["--dest-opt", "chunk-size=1k"], ["--no-cache"]])
def test_forms_of_uploads(repository, tmp_path, options):
    write_dir(oci_image(compression=""), tmp_path / "pushed")
    target = f"docker://{repository}:v1"
    for _ in range(2):
        run(TRANSSHIP, "copy", *options, "--dest-tls-verify=false", f"dir:{tmp_path}/pushed", target)
    run(SKOPEO, "copy", "--src-tls-verify=false", target, f"dir:{tmp_path}/pulled")


def test_copies_within_the_registry_are_mounted(distribution, repository, tmp_path):
    write_dir(oci_image(), tmp_path / "pushed")
    flags = ["--src-tls-verify=false", "--dest-tls-verify=false"]
    run(SKOPEO, "copy", "--dest-tls-verify=false", f"dir:{tmp_path}/pushed", f"docker://{repository}/a:v1")
    report = tmp_path / "report"
    run(TRANSSHIP, "copy", *flags, "--digestfile", report, f"docker://{repository}/a:v1", f"docker://{repository}/b:v1")
    run(SKOPEO, "copy", "--src-tls-verify=false", f"docker://{repository}/b:v1", f"dir:{tmp_path}/pulled")
    assert files(tmp_path / "pulled") == files(tmp_path / "pushed")
    assert report.read_text() == str(oci_image().digest)


@pytest.mark.uses("dir")
@pytest.mark.parametrize(("writer", "reader"), [(TRANSSHIP, SKOPEO), (SKOPEO, TRANSSHIP)], ids=["ours", "theirs"])
def test_signatures_of_one_are_those_of_the_other(repository, tmp_path, lookaside, writer, reader):
    write_dir(oci_image(), tmp_path / "pushed", [SIMPLE, ATTACHED.to_bytes()])
    place = ["--registries.d", lookaside.parent / "registries.d"]
    target = f"docker://{repository}-{'ours' if writer is TRANSSHIP else 'theirs'}:v1"
    run(writer, *place, "copy", "--dest-tls-verify=false", f"dir:{tmp_path}/pushed", target)
    run(reader, *place, "copy", "--src-tls-verify=false", target, f"dir:{tmp_path}/pulled")
    assert (tmp_path / "pulled" / "signature-1").read_bytes() == SIMPLE
    header, _, ours = ATTACHED.to_bytes().partition(b"\n")
    theirs = (tmp_path / "pulled" / "signature-2").read_bytes().partition(b"\n")
    assert theirs[0] == header
    assert json.loads(theirs[2]) == json.loads(ours)


@pytest.mark.uses("dir")
def test_layers_that_are_elsewhere_want_leave(run_registry, tmp_path):
    image = image_with_foreign_layer()
    write_dir(image, tmp_path / "pushed")
    for name, more in (("strict", ""), ("free", 'validation: {manifests: {urls: {allow: ["^http://"]}}}\n')):
        folder = tmp_path / name
        folder.mkdir()
        with run_registry(folder, more) as registry:
            target = f"docker://{registry.host}/library/app:v1"
            copy = ["copy", "--dest-tls-verify=false", f"dir:{tmp_path / 'pushed'}", target]
            outcomes = [
                subprocess.run([*command, *copy], check=False, capture_output=True, text=True)
                for command in (TRANSSHIP, SKOPEO)
            ]
            assert [done.returncode for done in outcomes] == [0 if more else 1] * 2
            if not more:
                assert "layers with URLs" in outcomes[0].stderr
                continue
            raw = run(SKOPEO, "inspect", "--raw", "--tls-verify=false", target)
            assert digest_of(raw.encode()) == image.digest


class CuttingProxy:
    """Passes everything on to ``host``, and ends each connection of ``cuts`` after so many bytes towards it."""

    def __init__(self, host, cuts):
        self._to = host.partition(":")[0], int(host.rpartition(":")[2])
        self._left = list(cuts)
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.passed = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def cuts_left(self):
        return len(self._left)

    def close(self):
        self._socket.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            server = socket.create_connection(self._to)
            threading.Thread(target=self._pass_up, args=(client, server), daemon=True).start()
            threading.Thread(target=self._pass_down, args=(server, client), daemon=True).start()

    def _pass_up(self, client, server):
        since = 0
        try:
            while data := client.recv(65536):
                server.sendall(data)
                since += len(data)
                with self._lock:
                    self.passed += len(data)
                    is_cut = bool(self._left) and since >= self._left[0]
                    if is_cut:
                        self._left.pop(0)
                if is_cut:
                    break
        except OSError:
            pass
        for end in (client, server):
            self._hang_up(end)

    def _pass_down(self, server, client):
        try:
            while data := server.recv(65536):
                client.sendall(data)
        except OSError:
            pass
        for end in (client, server):
            self._hang_up(end)

    @staticmethod
    def _hang_up(end):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        finally:
            end.close()


@pytest.fixture
def make_proxy():
    opened = []

    def make(host, cuts):
        opened.append(CuttingProxy(host, cuts))
        return opened[-1]

    yield make
    for proxy in opened:
        proxy.close()


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("options", [{}, {"chunk_size": "5M"}], ids=["whole", "chunks"])
def test_an_upload_that_is_cut_begins_anew(distribution, make_proxy, open_destination, known, options):
    data = random.Random(f"{known}{options}").randbytes(12 << 20)
    pieces = (data[at : at + 100_000] for at in range(0, len(data), 100_000))
    proxy = make_proxy(distribution.host, [7_000_000])
    destination = open_destination(proxy, "library/cut:v1", **options)
    expected = Descriptor("", digest_of(data), len(data)) if known else Expectation()
    destination.put_blob(BlobReader(pieces, expected))
    assert proxy.cuts_left == 0
    there = open_destination(distribution.host, "library/cut:v1", no_cache="true")
    assert there.reuse_blob(Descriptor("", digest_of(data), -1)).size == len(data)


def test_an_upload_that_is_cut_goes_on_where_the_offset_is_kept(registry, make_proxy, open_destination):
    data = random.Random(5).randbytes(20 << 20)
    pieces = (data[at : at + 100_000] for at in range(0, len(data), 100_000))
    proxy = make_proxy(registry.host, [1_500_000] * 8)
    open_destination(proxy).put_blob(BlobReader(pieces, Descriptor("", digest_of(data), len(data))))
    assert proxy.cuts_left == 0
    assert registry.blobs["library/app"][digest_of(data)].read() == data
    assert proxy.passed < 1.2 * len(data)
