"""Telling data that is attached to an image from what could be run as an image of its own."""

from __future__ import annotations

import codecs
import contextlib
import re

from transship.image.descriptor import Descriptor
from transship.image.manifest import OciManifest, parse_manifest
from transship.image.media_types import DOCKER_CONFIG, OCI_CONFIG
from transship.plugin.blob import verified
from transship.plugin.tar import is_header
from transship.plugin.transport import RawManifest, Source

_TEXT_LIMIT = 64 << 20
_LAYER_LIMIT = 1000
_TAR_HEADER = 512
_RUNNABLE = (
    OCI_CONFIG,
    DOCKER_CONFIG,
    # Docker takes images whose registry once got the type of the config wrong.
    "",
    "application/json",
    "application/octet-stream",
    "text/html",
    # Plugins of Docker, charts, modules and images of other kinds
    "application/vnd.docker.plugin.v1+json",
    "application/vnd.cncf.helm.config.v1+json",
    "application/vnd.wasm.config.v0+json",
    "application/vnd.sylabs.sif.config.v1+json",
)
_BZIP2 = b"BZh"  # the one compression in use whose beginning could stand in a text
_NOT_IN_TEXTS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def is_attached_data(source: Source, raw: RawManifest) -> bool:
    """Whether nothing could run this manifest: its config is nothing that runs, or all its layers are plain texts.

    The latter is how cosign stores signatures. What the layers call themselves does not count: there are programs
    that unpack whatever an image has.
    """
    manifest = parse_manifest(raw.data, raw.media_type)
    if not isinstance(manifest, OciManifest):
        return False
    if manifest.config.media_type.partition(";")[0].strip().lower() not in _RUNNABLE:
        return True
    layers = [layer.descriptor for layer in manifest.layers]
    if len(layers) > _LAYER_LIMIT or sum(layer.size for layer in layers) > _TEXT_LIMIT:
        return False
    return all(_is_text(source, layer) for layer in layers)


def _is_text(source: Source, layer: Descriptor) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    beginning = b""
    with contextlib.closing(source.get_blob(layer)) as content:
        try:
            for chunk in verified(content, layer):
                beginning = beginning if len(beginning) >= _TAR_HEADER else beginning + bytes(chunk)
                if _NOT_IN_TEXTS.search(decoder.decode(bytes(chunk))):
                    return False
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return not is_header(beginning[:_TAR_HEADER]) and not beginning.startswith(_BZIP2)
