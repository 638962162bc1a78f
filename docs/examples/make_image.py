"""Makes the example image in ``docs/examples/image``, byte for byte the same wherever it runs.

    python3 docs/examples/make_image.py [FOLDER]

The layout holds ``hello``, an image for linux/amd64, and ``hello-multi``, an index of that one and its twin for
linux/arm64. Both say one line and exit: the program is a complete executable of about 200 bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import sys
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CREATED = "2026-01-01T00:00:00Z"
CREATED_SECONDS = 1767225600
GREETING = b"Hello from a very small image.\n"
BASE_FILES = {
    "etc/os-release": b'NAME="transship example"\nID=transship-example\nVERSION_ID=1.0\n',
    "etc/passwd": b"nobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": b"nogroup:x:65534:\n",
    "usr/share/doc/hello/README": b"An image to try transship with. It says hello, and nothing more.\n",
}

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

Descriptor = dict[str, Any]

_LOAD_ADDRESS = 0x400000
_ELF_HEADERS = 64 + 56  # the file header, and one program header
_MACHINES = {"amd64": 62, "arm64": 183}


def program(architecture: str) -> bytes:
    """An executable for Linux that writes the greeting and exits with 0."""
    code = {"amd64": _amd64_code, "arm64": _arm64_code}[architecture](len(GREETING))
    size = _ELF_HEADERS + len(code) + len(GREETING)
    identity = b"\x7fELF\x02\x01\x01" + bytes(9)
    entry = _LOAD_ADDRESS + _ELF_HEADERS
    header = struct.pack("<HHIQQQIHHHHHH", 2, _MACHINES[architecture], 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _LOAD_ADDRESS, _LOAD_ADDRESS, size, size, 0x10000)
    return identity + header + segment + code + GREETING


def _amd64_code(length: int) -> bytes:
    after_lea = (
        b"\xba" + struct.pack("<I", length)  # mov edx, length
        + b"\x0f\x05"  # syscall: write
        + b"\xb8\x3c\0\0\0\x31\xff\x0f\x05"  # mov eax, 60; xor edi, edi; syscall: exit
    )  # fmt: skip
    return (
        b"\xb8\x01\0\0\0\xbf\x01\0\0\0"  # mov eax, 1; mov edi, 1
        + b"\x48\x8d\x35" + struct.pack("<I", len(after_lea))  # lea rsi, [rip + to the greeting]
        + after_lea
    )  # fmt: skip


def _arm64_code(length: int) -> bytes:
    from_adr_to_greeting = 6 * 4
    return struct.pack(
        "<8I",
        0xD2800808,  # mov x8, #64: write
        0xD2800020,  # mov x0, #1
        0x10000001 | from_adr_to_greeting >> 2 << 5,  # adr x1, greeting
        0xD2800002 | length << 5,  # mov x2, length
        0xD4000001,  # svc #0
        0xD2800BA8,  # mov x8, #93: exit
        0xD2800000,  # mov x0, #0
        0xD4000001,  # svc #0
    )


def layer_tar(files: Mapping[str, bytes], mode: int = 0o644) -> bytes:
    """A tar archive of ``files`` and the folders above them, owned by root."""
    folders = {str(parent) for name in files for parent in Path(name).parents if parent.name}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(folders | set(files)):
            member = tarfile.TarInfo(name)
            member.mtime = CREATED_SECONDS
            if name in folders:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(member)
            else:
                member.mode, member.size = mode, len(files[name])
                archive.addfile(member, io.BytesIO(files[name]))
    return stream.getvalue()


def gzip_stored(data: bytes) -> bytes:
    """``data`` as gzip without any compression, so that no version of any library matters."""
    pieces = [data[start : start + 0xFFFF] for start in range(0, len(data), 0xFFFF)] or [b""]
    blocks = b"".join(
        struct.pack("<BHH", piece is pieces[-1], len(piece), len(piece) ^ 0xFFFF) + piece for piece in pieces
    )
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + blocks + struct.pack("<II", zlib.crc32(data), len(data))


class Layout:
    """An OCI image layout in the making: what is put in is written at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)

    def put(self, data: bytes, media_type: str) -> Descriptor:
        """Write a blob."""
        digest = hashlib.sha256(data).hexdigest()
        (self.folder / "blobs" / "sha256" / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def put_json(self, document: Mapping[str, Any]) -> Descriptor:
        """Write a manifest or an index."""
        return self.put(_json(document), document["mediaType"])

    def finish(self, images: Mapping[str, Descriptor]) -> None:
        """Give images their names."""
        entries = [
            {**descriptor, "annotations": {"org.opencontainers.image.ref.name": name}}
            for name, descriptor in images.items()
        ]
        (self.folder / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
        (self.folder / "index.json").write_bytes(
            _json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
        )


def put_image(layout: Layout, architecture: str) -> Descriptor:
    """Write the image for one architecture; the answer is an entry for an index."""
    layers = [
        (layer_tar(BASE_FILES), "copy the base files"),
        (layer_tar({"bin/hello": program(architecture)}, 0o755), "copy bin/hello"),
    ]
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": layout.put(_json(_config(architecture, layers)), OCI_CONFIG),
        "layers": [layout.put(gzip_stored(tar), OCI_LAYER) for tar, _ in layers],
        "annotations": {"org.opencontainers.image.created": CREATED},
    }
    return {**layout.put_json(manifest), "platform": {"architecture": architecture, "os": "linux"}}


def _config(architecture: str, layers: Sequence[tuple[bytes, str]]) -> dict[str, Any]:
    steps = [{"created": CREATED, "created_by": step} for _, step in layers]
    return {
        "created": CREATED,
        "author": "The authors of transship",
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": "65534:65534",
            "Env": ["PATH=/bin"],
            "Entrypoint": ["/bin/hello"],
            "Labels": {
                "org.opencontainers.image.title": "hello",
                "org.opencontainers.image.version": "1.0",
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        },
        "rootfs": {
            "type": "layers",
            "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar, _ in layers],
        },
        "history": [*steps, {"created": CREATED, "created_by": "set the entrypoint", "empty_layer": True}],
    }


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def make_image(folder: Path) -> None:
    """Write the whole layout into ``folder``."""
    layout = Layout(folder)
    instances = [put_image(layout, architecture) for architecture in ("amd64", "arm64")]
    index = layout.put_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": instances})
    layout.finish({"hello": instances[0], "hello-multi": index})


if __name__ == "__main__":
    make_image(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "image")
