"""Folders of ``dir:``."""

from __future__ import annotations

import tempfile
from pathlib import Path

from harnesses.json_texts import WORDS as JSON_WORDS
from harnesses.target import Target, refusing
from transship.image.manifest import parse_manifest
from transship.plugin.context import Context
from transship.testing.images import oci_image, oci_index, schema2_image
from transship_dir.inventory import complete_image
from transship_dir.transport import DirTransport

_TRANSPORT = DirTransport()
_FILES = ("version", "manifest.json", "signature-1", "signature-2")


def _check(data: bytes) -> None:
    """Two zero bytes divide what the files hold; what is not there is missing."""
    with tempfile.TemporaryDirectory() as folder, refusing():
        for name, content in zip(_FILES, data.split(b"\0\0"), strict=False):
            Path(folder, name).write_bytes(content)
        complete_image(folder)
        source = _TRANSPORT.open_source(_TRANSPORT.parse_reference(folder), Context())
        with refusing():
            source.get_signatures()
        manifest = parse_manifest(*source.get_manifest())
        for layer in manifest.layers:
            with refusing():
                source.get_blob(layer.descriptor)


_VERSION = b"Directory Transport Version: 1.1\n"
_SEEDS = (
    *(b"\0\0".join((_VERSION, image.manifest)) for image in (oci_image(), schema2_image(), oci_index())),
    b"\0\0".join((_VERSION, b"{}", b"\x95payload", b"\0sigstore-json\n{}")),
    b"Directory Transport Version: 9.9\n",
)

TARGETS = (Target("dir", _check, _SEEDS, (*JSON_WORDS, _VERSION, b"\0\0", b'"layers"', b'"config"')),)
