"""Plain writers of the four file media, for tests that must not trust the transports they test."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from transship.image.digest import Digest, digest_of
from transship.image.media_types import OCI_INDEX
from transship.testing.images import Image

REF_NAME = "org.opencontainers.image.ref.name"


def write_dir(image: Image, path: Path, signatures: Sequence[bytes] = ()) -> None:
    """Write ``image`` as a ``dir:`` folder; ``signatures`` are stored as they are given."""
    path.mkdir(parents=True, exist_ok=True)
    for digest, data in image.all_blobs.items():
        (path / digest.encoded).write_bytes(data)
    for instance in image.instances:
        (path / f"{instance.digest.encoded}.manifest.json").write_bytes(instance.manifest)
    for number, signature in enumerate(signatures, start=1):
        (path / f"signature-{number}").write_bytes(signature)
    (path / "manifest.json").write_bytes(image.manifest)
    (path / "version").write_bytes(b"Directory Transport Version: 1.1\n")


def write_oci_layout(images: Mapping[str, Image], path: Path) -> None:
    """Write ``images``, by reference name, as an OCI layout; the name ``""`` is left out."""
    for name, data in _layout_files(images):
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def write_oci_archive(images: Mapping[str, Image], path: Path) -> None:
    """Write ``images``, by reference name, as an archive of an OCI layout."""
    _write_tar(path, _layout_files(images))


def write_docker_archive(images: Mapping[str, Image], path: Path) -> None:
    """Write ``images``, by docker reference, as ``docker save`` does; each must have a config and all its layers.

    The name ``""`` makes an image without tags.
    """
    members: dict[str, bytes] = {}
    items = []
    for name, image in images.items():
        if image.config is None or not image.tars:
            raise ValueError("a docker archive holds only images with a config and layers")
        layers = {f"{digest_of(tar).encoded}.tar": tar for tar in image.tars}
        config = f"{digest_of(image.config).encoded}.json"
        members |= {**layers, config: image.config}
        items.append({"Config": config, "RepoTags": [name] if name else [], "Layers": list(layers)})
    _write_tar(path, [*members.items(), ("manifest.json", json.dumps(items).encode())])


def _layout_files(images: Mapping[str, Image]) -> Iterator[tuple[str, bytes]]:
    blobs: dict[Digest, bytes] = {}
    for image in images.values():
        blobs |= image.all_blobs
        for each in (image, *image.instances):
            blobs[digest_of(each.manifest)] = each.manifest
    for digest, data in blobs.items():
        yield f"blobs/{digest.algorithm}/{digest.encoded}", data
    entries = [_index_entry(name, image) for name, image in images.items()]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    yield "oci-layout", b'{"imageLayoutVersion":"1.0.0"}'
    yield "index.json", json.dumps(index).encode()


def _index_entry(name: str, image: Image) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "mediaType": image.media_type,
        "digest": str(digest_of(image.manifest)),
        "size": len(image.manifest),
    }
    return entry | ({"annotations": {REF_NAME: name}} if name else {})


def _write_tar(path: Path, files: Sequence[tuple[str, bytes]] | Iterator[tuple[str, bytes]]) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
