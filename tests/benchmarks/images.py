"""Images to measure with: of this machine's own files, or of generated ones. One folder of them can be used again.

web       OCI layout: one image with three gzip layers, about 70, 29 and 1 % of the files
web.tar   the same image as a docker-archive, whose layers are not compressed
multi     OCI layout: an index of six platforms that share their base layer
many      OCI layout: tagged images t0, t1, …, each with the base layer they share and a small one of its own
"""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import json
import os
import random
import shutil
import stat
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TYPE = "application/vnd.oci.image."
_DATE = "2024-01-01T00:00:00Z"
_REF_NAME = "org.opencontainers.image.ref.name"
_PLATFORMS = ("amd64", "arm64", "arm", "ppc64le", "s390x", "riscv64")
_FOLDERS = ("/usr/lib", "/usr/bin", sys.base_prefix + "/lib", "/usr/share")


@dataclass(frozen=True, slots=True)
class Layer:
    """A tar in a file, and the file that is to be the blob: the same, compressed or not."""

    tar: Path
    blob: Path
    diff_id: str
    digest: str

    @property
    def media_type(self) -> str:
        """As a manifest says it."""
        return f"{_TYPE}layer.v1.tar{'' if self.tar == self.blob else '+gzip'}"


@dataclass(frozen=True, slots=True)
class Size:
    """``megabytes`` of files in the large image, and how many ``images`` there are of the small ones."""

    megabytes: int
    images: int


def make_images(folder: Path, size: Size) -> None:
    """Fill ``folder``, unless it holds images of that size already; ends this program if it holds anything else."""
    note = folder / "transship-benchmark.json"
    wanted = {"megabytes": size.megabytes, "images": size.images}
    if note.is_file() and json.loads(note.read_text()) == wanted:
        return
    if not note.is_file() and folder.is_dir() and any(folder.iterdir()):
        sys.exit(f"{folder} holds something else than images of this benchmark: name an empty folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    note.write_text("{}")
    with tempfile.TemporaryDirectory(dir=folder) as scratch, ProcessPoolExecutor() as pool:
        shares = [size.megabytes << 20, *(size.megabytes * part << 10 for part in (299, 10))]
        shares[0] -= sum(shares[1:])
        tars = _tars_of_files(Path(scratch), shares)
        _make_web(folder, list(pool.map(compressed_layer, tars)))
        base = compressed_layer(_random_tar(Path(scratch), "base", min(shares[1], 1 << 20)))
        own = [_random_tar(Path(scratch), f"own{n}", 60_000) for n in range(size.images)]
        _make_many(folder / "many", base, list(pool.map(compressed_layer, own, chunksize=16)))
        platforms = [_random_tar(Path(scratch), name, min(shares[1], 5 << 20)) for name in _PLATFORMS]
        _make_multi(folder / "multi", base, list(pool.map(compressed_layer, platforms)))
    note.write_text(json.dumps(wanted))


def _tars_of_files(scratch: Path, sizes: Sequence[int]) -> list[Path]:
    files = itertools.chain(_files_of_machine(), _generated_files(scratch))
    return [_tar(scratch / f"web{number}.tar", files, size) for number, size in enumerate(sizes)]


def _files_of_machine() -> Iterator[Path]:
    for folder in _FOLDERS:
        for base, folders, names in os.walk(folder):
            folders.sort()
            for path in (Path(base, name) for name in sorted(names)):
                if stat.S_ISREG(path.lstat().st_mode) and os.access(path, os.R_OK):
                    yield path


def _generated_files(scratch: Path) -> Iterator[Path]:
    """Files without end, half of each of text and half of it of noise."""
    for number in itertools.count():
        source = random.Random(number)
        words = [source.randbytes(4).hex() for _ in range(500)]
        path = scratch / f"generated{number}"
        path.write_bytes(" ".join(source.choices(words, k=50_000)).encode() + source.randbytes(450_000))
        yield path


def _tar(target: Path, files: Iterator[Path], size: int) -> Path:
    """A tar of the next ``files``, as long as they are not ``size`` bytes; too large ones are left out."""
    left = size
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in files:
            length = path.stat().st_size
            if length > left:
                if left < size // 50 or left < 1 << 20:
                    break
                continue
            member = tarfile.TarInfo(str(path).lstrip("/"))
            member.size, member.mode, member.mtime = length, 0o644, 1_700_000_000
            with path.open("rb") as file:
                archive.addfile(member, file)
            left -= length
    return target


def _random_tar(scratch: Path, name: str, size: int) -> Path:
    source = random.Random(name)
    file = scratch / name
    file.write_bytes(source.randbytes(size // 2) + bytes(source.choices(b"abcdefgh \n", k=size // 2)))
    return _tar(scratch / f"{name}.tar", iter([file]), size + 1)


def compressed_layer(tar: Path) -> Layer:
    """The layer with the blob beside ``tar``."""
    compressed = tar.with_suffix(".gz")
    with tar.open("rb") as source, gzip.GzipFile("", "wb", 6, compressed.open("wb"), mtime=0) as target:
        shutil.copyfileobj(source, target, 1 << 20)
    return Layer(tar, compressed, file_digest(tar), file_digest(compressed))


def plain_layer(tar: Path) -> Layer:
    """The layer that is not compressed."""
    digest = file_digest(tar)
    return Layer(tar, tar, digest, digest)


def file_digest(path: Path) -> str:
    """The digest of what the file holds, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make_web(folder: Path, layers: Sequence[Layer]) -> None:
    manifest = put_image(folder / "web", layers)
    finish_layout(folder / "web", {"latest": manifest})
    write_docker_archive(folder / "web.tar", layers)


def write_docker_archive(target: Path, layers: Sequence[Layer]) -> None:
    """An archive, as ``docker save`` makes them, of one image ``web:latest``."""
    names = [f"{layer.diff_id}.tar" for layer in layers]
    config = config_of(layers)
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    items = [{"Config": name, "RepoTags": ["web:latest"], "Layers": names}]
    with tarfile.open(target, "w") as archive:
        for layer_name, layer in zip(names, layers, strict=True):
            archive.add(layer.tar, layer_name)
        for member_name, data in ((name, config), ("manifest.json", json.dumps(items).encode())):
            member = tarfile.TarInfo(member_name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def _make_many(root: Path, base: Layer, own: Sequence[Layer]) -> None:
    finish_layout(root, {f"t{number}": put_image(root, [base, layer]) for number, layer in enumerate(own)})


def _make_multi(root: Path, base: Layer, own: Sequence[Layer]) -> None:
    instances = []
    for name, layer in zip(_PLATFORMS, own, strict=True):
        manifest = put_image(root, [base, layer], name)
        instances.append({**manifest, "platform": {"architecture": name, "os": "linux"}})
    index = {"schemaVersion": 2, "mediaType": f"{_TYPE}index.v1+json", "manifests": instances}
    finish_layout(root, {"latest": _put(root, f"{_TYPE}index.v1+json", json.dumps(index).encode())})


def config_of(layers: Sequence[Layer], architecture: str = "amd64", label: str = "") -> bytes:
    """The config of an image with these layers; the ``label`` makes it another one."""
    members = {
        "architecture": architecture,
        "os": "linux",
        "created": _DATE,
        "config": {"Env": ["PATH=/usr/bin"], "Labels": {"label": label}},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.diff_id}" for layer in layers]},
        "history": [{"created": _DATE, "created_by": f"layer {number}"} for number in range(len(layers))],
    }
    return json.dumps(members).encode()


def put_image(root: Path, layers: Sequence[Layer], architecture: str = "amd64", label: str = "") -> dict[str, Any]:
    """Put an image into the OCI layout ``root``; its descriptor. Blobs are linked, not copied."""
    blobs = root / "blobs/sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    for layer in layers:
        if not (blobs / layer.digest).exists():
            (blobs / layer.digest).hardlink_to(layer.blob)
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_TYPE}manifest.v1+json",
        "config": _put(root, f"{_TYPE}config.v1+json", config_of(layers, architecture, label)),
        "layers": [_descriptor(layer.media_type, layer.digest, layer.blob.stat().st_size) for layer in layers],
    }
    return _put(root, f"{_TYPE}manifest.v1+json", json.dumps(manifest).encode())


def _put(root: Path, media_type: str, data: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    (root / "blobs/sha256" / digest).write_bytes(data)
    return _descriptor(media_type, digest, len(data))


def _descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}


def finish_layout(root: Path, images: dict[str, dict[str, Any]]) -> None:
    """Make the folder a layout with these ``images``: names, and descriptors of what they name."""
    entries = [{**descriptor, "annotations": {_REF_NAME: name}} for name, descriptor in images.items()]
    (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))


def blobs_of(layout: Path) -> list[Path]:
    """All blobs of an OCI layout, the largest first."""
    return sorted((layout / "blobs/sha256").iterdir(), key=lambda path: -path.stat().st_size)
