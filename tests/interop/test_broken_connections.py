"""A big layer arrives, both ways, however often the connection breaks.

With TRANSSHIP_FULL_MEASURES=1 the layer has 500 MB.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest
from cutting_proxy import CuttingProxy
from processes import transship
from registries import docker_registry, quick_folder

from transship.image.digest import Digest
from transship.image.media_types import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST
from transship.testing.registry import Registry

pytestmark = pytest.mark.interop

MIB = 1 << 20
SIZE = 500_000_000 if os.environ.get("TRANSSHIP_FULL_MEASURES") else 120_000_000
CUTS = 50
MOST_BYTES = 1.2 * SIZE
MOST_MEMORY = 150 * MIB


def places(count=CUTS):
    return random.Random(7).sample(range(MIB, SIZE - MIB), count)


class BigImage:
    """An image of one uncompressed layer. ``folder`` is where it lies as ``dir:`` has it."""

    def __init__(self, folder, *, is_sparse):
        self.folder = folder
        folder.mkdir()
        self.layer_file = folder / "layer"
        self.layer = write_layer(self.layer_file, is_sparse=is_sparse)
        self.layer_file = self.layer_file.rename(folder / self.layer.encoded)
        self.config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {},
                "rootfs": {"type": "layers", "diff_ids": [str(self.layer)]},
            }
        ).encode()
        config_digest = hashlib.sha256(self.config).hexdigest()
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": {"mediaType": OCI_CONFIG, "digest": f"sha256:{config_digest}", "size": len(self.config)},
                "layers": [{"mediaType": OCI_LAYER, "digest": str(self.layer), "size": SIZE}],
            }
        ).encode()
        (folder / config_digest).write_bytes(self.config)
        (folder / "manifest.json").write_bytes(self.manifest)
        (folder / "version").write_bytes(b"Directory Transport Version: 1.1\n")

    def put_into(self, registry):
        registry.put_blob("app", self.layer_file)
        registry.put_blob("app", self.config)
        registry.put_manifest("app", "v1", self.manifest, OCI_MANIFEST)


def write_layer(path, *, is_sparse):
    """Bytes of which no two MiB are alike, with holes between them or without."""
    generator = random.Random(3)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for start in range(0, SIZE, MIB):
            length = min(MIB, SIZE - start)
            piece = generator.randbytes(length if not is_sparse else min(4096, length))
            file.seek(start)
            file.write(piece)
            digest.update(piece.ljust(length, b"\0"))
        file.truncate(SIZE)
    return Digest("sha256", digest.hexdigest())


@pytest.fixture(scope="module")
def folder():
    path = Path(tempfile.mkdtemp(prefix="transship-broken-", dir=quick_folder()))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def sparse(folder):
    return BigImage(folder / "sparse", is_sparse=True)


@pytest.fixture(scope="module")
def dense(folder):
    return BigImage(folder / "dense", is_sparse=False)


@pytest.fixture
def registry():
    with Registry() as registry:
        yield registry


def copy(folder, *arguments):
    done = transship(folder, "copy", "--src-tls-verify=false", "--dest-tls-verify=false", *arguments)
    assert done.code == 0, done.stderr
    assert done.peak <= MOST_MEMORY
    return done


def tell(what, moved, proxy, done):
    print(
        f"{what}: {SIZE / 1e6:.0f} MB, {proxy.cuts_made} cuts, {moved / SIZE:.3f} times the bytes, "
        f"{done.peak / MIB:.0f} MiB, {done.seconds:.1f} s"
    )


def test_download_survives_cuts(folder, sparse, registry):
    sparse.put_into(registry)
    with contextlib.closing(CuttingProxy(registry.host, down_cuts=places())) as proxy:
        done = copy(folder, f"docker://{proxy.host}/app:v1", f"dir:{folder}/came")
    tell("down", proxy.down, proxy, done)
    assert proxy.cuts_made == CUTS
    assert proxy.down <= MOST_BYTES
    assert (folder / "came" / sparse.layer.encoded).stat().st_size == SIZE
    shutil.rmtree(folder / "came")


def test_download_from_a_real_registry_survives_cuts(folder, sparse):
    home = folder / "real"
    home.mkdir()
    with docker_registry(home) as real:
        copy(folder, "--preserve-digests", f"dir:{sparse.folder}", f"docker://{real.host}/app:v1")
        with contextlib.closing(CuttingProxy(real.host, down_cuts=places())) as proxy:
            done = copy(folder, f"docker://{proxy.host}/app:v1", f"dir:{folder}/came")
    tell("down from docker-registry", proxy.down, proxy, done)
    assert proxy.cuts_made == CUTS
    assert proxy.down <= MOST_BYTES
    shutil.rmtree(folder / "came")
    shutil.rmtree(home)


def test_upload_survives_cuts(folder, sparse, registry):
    with contextlib.closing(CuttingProxy(registry.host, up_cuts=places())) as proxy:
        done = copy(folder, "--preserve-digests", f"dir:{sparse.folder}", f"docker://{proxy.host}/app:v1")
    tell("up", proxy.up, proxy, done)
    assert proxy.cuts_made == CUTS
    assert proxy.up <= MOST_BYTES
    assert registry.blobs["app"][sparse.layer].size == SIZE
    assert registry.open_uploads == 0


def test_upload_that_is_compressed_on_the_way_survives_cuts(folder, dense, registry):
    with contextlib.closing(CuttingProxy(registry.host, up_cuts=places())) as proxy:
        done = copy(folder, f"dir:{dense.folder}", f"docker://{proxy.host}/app:v1")
    tell("up, compressed on the way", proxy.up, proxy, done)
    assert proxy.cuts_made == CUTS
    assert proxy.up <= MOST_BYTES
    assert registry.open_uploads == 0


def test_upload_to_a_registry_that_discards_what_was_cut_begins_anew(folder, sparse):
    home = folder / "discarding"
    home.mkdir()
    with docker_registry(home) as real:
        with contextlib.closing(CuttingProxy(real.host, up_cuts=[SIZE // 2])) as proxy:
            done = copy(folder, "--preserve-digests", f"dir:{sparse.folder}", f"docker://{proxy.host}/app:v1")
        stored = real.read("app", "v1")
    tell("up to docker-registry", proxy.up, proxy, done)
    assert proxy.cuts_made == 1
    assert 1.4 * SIZE < proxy.up < 1.6 * SIZE
    assert len(stored.blobs[sparse.layer.encoded]) == SIZE
    shutil.rmtree(home)
