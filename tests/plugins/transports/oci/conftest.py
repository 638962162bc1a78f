"""A small image, and how the engine drives a source or destination."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from dataclasses import dataclass

import pytest

from transship.image.descriptor import Descriptor
from transship.image.digest import digest_of
from transship.image.media_types import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST
from transship.plugin.blob import BlobReader, BytesContent


@dataclass
class SmallImage:
    """An image of one layer."""

    config: bytes
    layer: bytes
    manifest: bytes

    @property
    def digest(self):
        return digest_of(self.manifest)

    @property
    def blobs(self):
        return [
            (Descriptor(OCI_LAYER_GZIP, digest_of(self.layer), len(self.layer)), self.layer),
            (Descriptor(OCI_CONFIG, digest_of(self.config), len(self.config)), self.config),
        ]

    def write_to(self, destination, media_type=OCI_MANIFEST):
        for descriptor, data in self.blobs:
            destination.put_blob(BlobReader(BytesContent(data), descriptor))
        destination.put_manifest(self.manifest, media_type)
        destination.commit()
        destination.close()


def build_image(text: str, media_type: str = OCI_MANIFEST) -> SmallImage:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("hello")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text.encode()))
    layer = gzip.compress(buffer.getvalue(), mtime=0)
    rootfs = {"type": "layers", "diff_ids": [str(digest_of(buffer.getvalue()))]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()
    members = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": {"mediaType": OCI_CONFIG, "digest": str(digest_of(config)), "size": len(config)},
        "layers": [{"mediaType": OCI_LAYER_GZIP, "digest": str(digest_of(layer)), "size": len(layer)}],
    }
    return SmallImage(config, layer, json.dumps(members).encode())


@pytest.fixture
def image() -> SmallImage:
    return build_image("one")


@pytest.fixture
def make_image():
    return build_image
