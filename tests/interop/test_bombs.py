"""What is a few kilobytes long and unpacks to hundreds of megabytes: every command reads it in little memory."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import itertools
import json
import os
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path

import pytest
from processes import Nursery
from registries import TestingRegistry, quick_folder

from transship.image.digest import Digest, digest_of
from transship.image.media_types import OCI_CONFIG, OCI_LAYER_GZIP, OCI_LAYER_ZSTD, OCI_MANIFEST
from transship.testing.images import Image
from transship.testing.writers import write_dir, write_oci_archive, write_oci_layout

pytestmark = pytest.mark.interop

FULL = bool(os.environ.get("TRANSSHIP_FULL_MEASURES"))
MIB = 1 << 20
SIZE = (2048 if FULL else 272) * MIB
MEMORY = 256 * MIB
SOON = 120 if FULL else 30
TRANSPORTS = ("dir", "oci", "oci-archive", "docker-archive", "docker")
COMPRESSIONS = {"gzip": OCI_LAYER_GZIP, "zstd": OCI_LAYER_ZSTD}
ARCHIVES = ("oci-archive", "docker-archive")
SLOW_PAIRS = [(ARCHIVES[1], "dir"), (ARCHIVES[1], "oci-archive"), ("oci", ARCHIVES[1]), ("oci-archive", ARCHIVES[1])]
"""Left out where time is short: others unpack in the same way."""
PAIRS = [pair for pair in itertools.product(TRANSPORTS, TRANSPORTS) if FULL or pair not in SLOW_PAIRS]
ROWS = [
    (*pair, compression)
    for number, pair in enumerate(PAIRS)
    for compression in (COMPRESSIONS if FULL else [list(COMPRESSIONS)[number % 2]])
]
WARM_UP = """
import transship.cli.copy, transship.cli.inspect, transship.cli.layers, transship.cli.list_tags, transship.cli.verify
import transship.cli.sync, transship.copy.run, transship_gzip.compression, transship_zstd.compression
import transship_dir.transport, transship_oci.transport, transship_oci_archive.transport, transship_docker.transport
import transship_docker_archive.transport
"""


def pieces():
    """A tar of one file of zeros."""
    member = tarfile.TarInfo("zeros")
    member.size = SIZE
    yield member.tobuf(tarfile.USTAR_FORMAT)
    yield from itertools.repeat(bytes(MIB), SIZE // MIB)
    yield bytes(1024)


def in_gzip():
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(map(packer.compress, pieces())) + packer.flush()


def in_zstd():
    """One frame whose blocks repeat one byte (RFC 8878 section 3.1.1.2)."""
    length = 128 << 10

    def block(kind, size, data, last=0):
        return (size << 3 | kind << 1 | last).to_bytes(3, "little") + data

    head, *_ = pieces()
    zeros = block(1, length, b"\0") * (SIZE // length) + block(1, 1024, b"\0", last=1)
    return b"\x28\xb5\x2f\xfd\x00\x38" + block(0, len(head), head) + zeros


def described(media_type, data):
    return {"mediaType": media_type, "digest": str(digest_of(data)), "size": len(data)}


def bomb(compression):
    layer = {"gzip": in_gzip, "zstd": in_zstd}[compression]()
    diff_id = hashlib.sha256()
    for piece in pieces():
        diff_id.update(piece)
    rootfs = {"type": "layers", "diff_ids": [str(Digest("sha256", diff_id.hexdigest()))]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    members = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": described(OCI_CONFIG, config),
        "layers": [described(COMPRESSIONS[compression], layer)],
    }
    blobs = {digest_of(data): data for data in (config, layer)}
    return Image(json.dumps(members).encode(), OCI_MANIFEST, blobs, config, ())


def write_tar(path, members):
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def write(transport, image, path, registry):
    """Store ``image``; the reference to it."""
    if transport == "docker":
        registry.put_image(path.name, "latest", image)
        return f"docker://{registry.host}/{path.name}:latest"
    if transport == "dir":
        write_dir(image, path)
    elif transport == "docker-archive":  # as docker never writes it, and reads it
        layer = next(data for data in image.blobs.values() if data != image.config)
        listing = [{"Config": "config.json", "RepoTags": ["docker.io/library/app:latest"], "Layers": ["layer.tar"]}]
        members = {"manifest.json": json.dumps(listing).encode(), "config.json": image.config, "layer.tar": layer}
        write_tar(path, members)
    else:
        {"oci": write_oci_layout, "oci-archive": write_oci_archive}[transport]({"app": image}, path)
    return f"{transport}:{path}"


class Lab:
    """Bombs in every transport."""

    def __init__(self, folder, registry, nursery):
        self.folder, self.registry, self._nursery = folder, registry, nursery
        self._numbers = itertools.count()
        self._images = {compression: bomb(compression) for compression in COMPRESSIONS}
        self.sources = {
            (transport, compression): write(transport, image, folder / f"{transport}-{compression}", registry)
            for transport in TRANSPORTS
            for compression, image in self._images.items()
        }

    @contextlib.contextmanager
    def room(self):
        """A folder that is gone at the end, with the hundreds of megabytes in it."""
        room = self.folder / f"room-{next(self._numbers)}"
        room.mkdir()
        yield room
        shutil.rmtree(room)

    def destination(self, transport, room):
        return f"docker://{self.registry.host}/{room.name}" if transport == "docker" else f"{transport}:{room}/image"

    def run(self, room, *arguments):
        """Run transship, which must do its work in little memory."""
        done = self._nursery.transship(room, *arguments, TMPDIR=str(room))
        assert done.code == 0, done
        assert done.peak <= MEMORY, done.peak
        assert done.seconds <= SOON
        return done


@pytest.fixture(scope="module")
def lab():
    folder = Path(tempfile.mkdtemp(prefix="transship-bombs-", dir=quick_folder()))
    with TestingRegistry() as registry, contextlib.closing(Nursery(WARM_UP, timeout=SOON)) as nursery:
        yield Lab(folder, registry, nursery)
    shutil.rmtree(folder)


ANYWHERE = ("--src-tls-verify=false", "--dest-tls-verify=false")


@pytest.mark.parametrize(("source", "destination", "compression"), ROWS, ids=map(" ".join, ROWS))
def test_bomb_is_copied(lab, source, destination, compression):
    with lab.room() as room:
        lab.run(room, "copy", *ANYWHERE, lab.sources[source, compression], lab.destination(destination, room))
        if destination == "docker-archive":
            assert (room / "image").stat().st_size > SIZE


CHANGED = {
    "unpacked": ("--dest-decompress",),
    "packed otherwise": ("--dest-compress", "--dest-compress-format=zstd", "--dest-force-compress-format"),
}


@pytest.mark.parametrize("options", CHANGED.values(), ids=CHANGED)
def test_bomb_is_changed_on_its_way(lab, options):
    with lab.room() as room:
        lab.run(room, "copy", *options, lab.sources["dir", "gzip"], f"dir:{room}/image")


@pytest.fixture(scope="module")
def packed(lab):
    """Archives that are compressed as a whole, with a member of zeros before all others."""
    return {kind: packed_archive(lab.sources[kind, "gzip"].partition(":")[2]) for kind in ARCHIVES}


def packed_archive(path):
    zeros = tarfile.TarInfo("padding")
    zeros.size = SIZE
    with gzip.open(f"{path}.packed", "wb", 1) as packed:
        packed.write(zeros.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(SIZE // MIB):
            packed.write(bytes(MIB))
        packed.write(Path(path).read_bytes())
    return f"{path}.packed"


@pytest.mark.parametrize("kind", ARCHIVES)
@pytest.mark.parametrize("command", ["inspect", "list-tags", "verify", "copy"] if FULL else ["inspect", "copy"])
def test_archive_that_is_a_bomb_is_read(lab, packed, kind, command):
    with lab.room() as room:
        target = [f"dir:{room}/image"] if command == "copy" else []
        lab.run(room, command, f"{kind}:{packed[kind]}", *target)
        assert [path.name for path in room.iterdir() if not path.name.startswith("std")] == ["image"] * bool(target)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_image_with_a_bomb_is_looked_at(lab, transport, command):
    with lab.room() as room:
        insecure = ["--tls-verify=false"] if transport == "docker" else []
        lab.run(room, command, *insecure, lab.sources[transport, "zstd"])


def test_repository_with_bombs_is_synced(lab):
    with lab.room() as room:
        source = f"{lab.registry.host}/docker-gzip"
        lab.run(room, "sync", "--src-tls-verify=false", "--src=docker", "--dest=dir", source, str(room))
