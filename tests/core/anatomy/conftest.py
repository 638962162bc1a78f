"""Images that are made of whatever a test wants."""

from __future__ import annotations

import json

import pytest

from transship.image.digest import digest_of
from transship.image.media_types import OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST


class Store:
    """An OCI layout that is written piece by piece."""

    def __init__(self, folder):
        self.folder = folder
        self.entries = []
        (folder / "blobs" / "sha256").mkdir(parents=True)
        (folder / "oci-layout").write_bytes(b'{"imageLayoutVersion":"1.0.0"}')

    def blob(self, media_type, data, *, size=None, **members):
        """Store ``data``; the descriptor, which may claim another size."""
        data = data if isinstance(data, bytes) else json.dumps(data).encode()
        digest = digest_of(data)
        (self.folder / "blobs" / "sha256" / digest.encoded).write_bytes(data)
        return {"mediaType": media_type, "digest": str(digest), "size": len(data) if size is None else size, **members}

    def manifest(self, config, layers, *, config_type=OCI_CONFIG, **members):
        """Store a manifest of ``layers``, descriptors or bytes; its descriptor."""
        described = [each if isinstance(each, dict) else self.blob(OCI_LAYER_GZIP, each) for each in layers]
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.blob(config_type, config),
            "layers": described,
            **members,
        }
        return self.blob(OCI_MANIFEST, document)

    def image(self, architecture="amd64", layers=(b"base", b"top"), **config):
        """Store an image; its descriptor."""
        members = {"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}, **config}
        return self.manifest(members, layers)

    def index(self, *members, **others):
        """Store an index; its descriptor."""
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(members), **others}
        return self.blob(OCI_INDEX, document)

    def name(self, descriptor, name=""):
        """Enter what ``descriptor`` points to into the layout; the reference of what got the name."""
        annotations = {"annotations": {"org.opencontainers.image.ref.name": name}} if name else {}
        self.entries.append({**descriptor, **annotations})
        (self.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": self.entries}))
        return f"oci:{self.folder}:{name}"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")
