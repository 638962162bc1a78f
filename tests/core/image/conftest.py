from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import peers
import pytest

from transship.image.manifest import ImageManifest, parse_manifest

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPES = {
    DOCKER: "application/vnd.docker.container.image.v1+json",
    OCI: "application/vnd.oci.image.config.v1+json",
}
_LAYER_TYPES = {
    DOCKER: "application/vnd.docker.image.rootfs.diff.tar.gzip",
    OCI: "application/vnd.oci.image.layer.v1.tar+gzip",
}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def archive(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@dataclass
class DirImage:
    """An image in a ``dir:`` of skopeo."""

    path: Path

    @property
    def manifest_bytes(self) -> bytes:
        return (self.path / "manifest.json").read_bytes()

    @property
    def manifest(self) -> ImageManifest:
        return parse_manifest(self.manifest_bytes, "")

    @property
    def config_bytes(self) -> bytes:
        assert self.manifest.config is not None
        return (self.path / self.manifest.config.digest.encoded).read_bytes()

    def converted_by_skopeo(self, form: str) -> DirImage:
        target = self.path.parent / f"{self.path.name}-{form}"
        command = [peers.SKOPEO, "--insecure-policy", "copy", "--quiet", "--format", form]
        subprocess.run([*command, f"dir:{self.path}", f"dir:{target}"], check=True, capture_output=True)
        return DirImage(target)


@pytest.fixture
def dir_image(tmp_path):
    """Makes a two-layer image: ``dir_image(media_type, config=..., **manifest_members)``."""

    def make(media_type=DOCKER, config=None, history=None, **members) -> DirImage:
        path = tmp_path / f"image{len(list(tmp_path.iterdir()))}"
        path.mkdir()
        archives = [archive("x", b"1"), archive("y", b"2")]
        layers = [gzip.compress(data, mtime=0) for data in archives]
        document = {
            "architecture": "amd64",
            "os": "linux",
            **(config or {}),
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(data)}" for data in archives]},
            "history": [{"created_by": "a"}, {"created_by": "b"}] if history is None else history,
        }
        config_bytes = json.dumps(document, ensure_ascii=False, indent=1).encode()
        for blob in (config_bytes, *layers):
            (path / sha256(blob)).write_bytes(blob)
        manifest = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": _descriptor(_CONFIG_TYPES[media_type], config_bytes),
            "layers": [_descriptor(_LAYER_TYPES[media_type], layer) for layer in layers],
            **members,
        }
        (path / "manifest.json").write_text(json.dumps(manifest, indent=3))
        (path / "version").write_text("Directory Transport Version: 1.1\n")
        return DirImage(path)

    return make


def _descriptor(media_type: str, blob: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "size": len(blob), "digest": f"sha256:{sha256(blob)}"}
