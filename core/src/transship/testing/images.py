"""Small images of every kind, made anew each time and always the same.

    image = oci_image()
    write_oci_layout({"v1": image}, folder)      # transship.testing.writers

Layers are real archives with a few files; ``files_of`` says which.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from transship.image.digest import Digest, digest_of
from transship.image.identification import manifest_digest
from transship.image.media_types import (
    DOCKER_CONFIG,
    DOCKER_FOREIGN_LAYER_GZIP,
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    DOCKER_SCHEMA1,
    DOCKER_SCHEMA1_SIGNED,
    OCI_CONFIG,
    OCI_EMPTY,
    OCI_INDEX,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
    OCI_NONDISTRIBUTABLE_LAYER_GZIP,
)
from transship.testing.layers import gzipped, tar_of, zstd_framed

CREATED = "2024-01-02T03:04:05Z"
FOREIGN_URL = "http://127.0.0.1:9/layer"
"""Where foreign layers claim to be. Nobody answers there."""

PLATFORMS = (
    ("amd64", ""),
    ("arm64", "v8"),
    ("arm", "v7"),
    ("ppc64le", ""),
    ("s390x", ""),
    ("riscv64", ""),
)
"""Architectures and variants of the instances of ``oci_index`` and ``docker_list``, in their order."""

_LAYER_TYPES: Mapping[str, Mapping[str, str]] = {
    OCI_MANIFEST: {"": OCI_LAYER, "gzip": OCI_LAYER_GZIP, "zstd": OCI_LAYER_ZSTD},
    DOCKER_MANIFEST: {"": DOCKER_LAYER, "gzip": DOCKER_LAYER_GZIP},
}
_COMPRESSED: Mapping[str, Callable[[bytes], bytes]] = {"": bytes, "gzip": gzipped, "zstd": zstd_framed}


@dataclass(frozen=True, slots=True)
class Image:
    """One image, artifact or index.

    ``blobs`` are all blobs that exist, config included; an index has them in its ``instances``. ``config`` are
    the bytes of the config, None where there is none. ``tars`` are the uncompressed layers, base first; none
    in an artifact, an index, and an image whose layers are elsewhere.
    """

    manifest: bytes
    media_type: str
    blobs: Mapping[Digest, bytes] = field(default_factory=dict)
    config: bytes | None = None
    tars: tuple[bytes, ...] = ()
    instances: tuple[Image, ...] = ()

    @property
    def digest(self) -> Digest:
        """The digest that the manifest or index is known by."""
        return manifest_digest(self.manifest, self.media_type)

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        """The digests of the uncompressed layers, base first."""
        return tuple(map(digest_of, self.tars))

    @property
    def all_blobs(self) -> dict[Digest, bytes]:
        """Its own blobs and those of all its instances."""
        blobs = dict(self.blobs)
        for instance in self.instances:
            blobs |= instance.all_blobs
        return blobs


def files_of(architecture: str = "amd64") -> tuple[dict[str, bytes], ...]:
    """The files in the layers of each image, base first; one layer differs between architectures."""
    return (
        {"etc/base": b"the same for all\n", "etc/numbers": bytes(range(256)) * 40},
        {"usr/bin/program": f"for {architecture}\n".encode() * 300},
    )


def schema2_image(*, compression: str = "gzip", architecture: str = "amd64", variant: str = "") -> Image:
    """A Docker image of schema 2; ``compression`` is ``"gzip"``, or ``""`` for none."""
    tars = _tars(architecture)
    config = _docker_config(_config(tars, _history(len(tars)), architecture, variant))
    return _image(DOCKER_MANIFEST, config, tars, compression)


def oci_image(*, compression: str = "gzip", architecture: str = "amd64", variant: str = "") -> Image:
    """An OCI image; ``compression`` is ``"gzip"``, ``"zstd"``, or ``""`` for none."""
    tars = _tars(architecture)
    return _image(OCI_MANIFEST, _config(tars, _history(len(tars)), architecture, variant), tars, compression)


def image_of_layers(tars: Sequence[bytes], *, media_type: str = OCI_MANIFEST, compression: str = "gzip") -> Image:
    """An image of that manifest type with these uncompressed layers, base first, such as ``layers.tar_of`` makes."""
    config = _config(tars, _history(len(tars)))
    config = config if media_type == OCI_MANIFEST else _docker_config(config)
    return _image(media_type, config, tuple(tars), compression)


def image_with_empty_layers(media_type: str = OCI_MANIFEST) -> Image:
    """An image of that manifest type whose history also has steps that changed no file."""
    tars = _tars("amd64")
    config = _config(tars, _history_with_empty_layers())
    return _image(media_type, config if media_type == OCI_MANIFEST else _docker_config(config), tars, "gzip")


def image_with_subject() -> Image:
    """An OCI image with annotations, also on a layer, and with a subject that is not there."""
    image = oci_image()
    members = json.loads(image.manifest)
    members["layers"][0]["annotations"] = {"org.example.layer": "base"}
    subject = oci_image(architecture="arm64", variant="v8")
    members["subject"] = _descriptor(OCI_MANIFEST, subject.manifest)
    members["annotations"] = {"org.example.author": "A & B <ab@example.org>", "org.example.kind": "test"}
    return replace(image, manifest=_compact(members))


def schema1_image(*, signed: bool = True, name: str = "library/app", tag: str = "latest") -> Image:
    """A Docker image of schema 1, one of whose entries is an empty layer."""
    from transship.image.schema1 import EMPTY_LAYER, parse_schema1

    tars = _tars("amd64")
    layers = [gzipped(tars[0]), EMPTY_LAYER, gzipped(tars[1])]
    entries = _schema1_entries([layer == EMPTY_LAYER for layer in layers])
    payload = _compact(
        {
            "name": name,
            "tag": tag,
            "architecture": "amd64",
            "fsLayers": [{"blobSum": str(digest_of(layer))} for layer in reversed(layers)],
            "history": [{"v1Compatibility": _compact(entry).decode()} for entry in reversed(entries)],
            "schemaVersion": 1,
        }
    )
    manifest = parse_schema1(payload).signed() if signed else payload
    media_type = DOCKER_SCHEMA1_SIGNED if signed else DOCKER_SCHEMA1
    return Image(manifest, media_type, _by_digest(layers), tars=tars)


def artifact_with_empty_config() -> Image:
    """An OCI artifact as version 1.1 wants it: ``artifactType`` and the empty config."""
    data = b"not an image\n"
    config = {**_descriptor(OCI_EMPTY, b"{}"), "data": "e30="}
    members = _oci_members(config, [_descriptor("application/vnd.example.data", data)])
    members = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "application/vnd.example", **members}
    return Image(_compact(members), OCI_MANIFEST, _by_digest([b"{}", data]), b"{}")


def artifact_with_own_config() -> Image:
    """An OCI artifact as older tools write it: a config of a type of its own."""
    config, data = b'{"answer": 42}', b"not an image either\n"
    members = _oci_members(
        _descriptor("application/vnd.example.config.v1+json", config),
        [_descriptor("application/vnd.example.layer.v1.tar", data)],
    )
    return Image(_compact(members), OCI_MANIFEST, _by_digest([config, data]), config)


def image_with_foreign_layer(media_type: str = DOCKER_MANIFEST) -> Image:
    """An image of that manifest type whose base layer others distribute: its bytes are nowhere."""
    is_oci = media_type == OCI_MANIFEST
    image = oci_image() if is_oci else schema2_image()
    members = json.loads(image.manifest)
    base = members["layers"][0]
    base["mediaType"] = OCI_NONDISTRIBUTABLE_LAYER_GZIP if is_oci else DOCKER_FOREIGN_LAYER_GZIP
    base["urls"] = [FOREIGN_URL]
    blobs = {digest: data for digest, data in image.blobs.items() if str(digest) != base["digest"]}
    return replace(image, manifest=_encoded(media_type, members), blobs=blobs, tars=())


def oci_index() -> Image:
    """An OCI index of OCI images, one per platform of ``PLATFORMS``."""
    instances = [oci_image(architecture=architecture, variant=variant) for architecture, variant in PLATFORMS]
    return _index(OCI_INDEX, instances)


def docker_list() -> Image:
    """A Docker manifest list of images of schema 2, one per platform of ``PLATFORMS``."""
    instances = [schema2_image(architecture=architecture, variant=variant) for architecture, variant in PLATFORMS]
    return _index(DOCKER_LIST, instances)


def _tars(architecture: str) -> tuple[bytes, ...]:
    return tuple(map(tar_of, files_of(architecture)))


def _image(media_type: str, config: dict[str, Any], tars: tuple[bytes, ...], compression: str) -> Image:
    config_bytes = _compact(config)
    layers = [_COMPRESSED[compression](tar) for tar in tars]
    layer_type = _LAYER_TYPES[media_type][compression]
    config_type = OCI_CONFIG if media_type == OCI_MANIFEST else DOCKER_CONFIG
    members = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": _descriptor(config_type, config_bytes),
        "layers": [_descriptor(layer_type, layer) for layer in layers],
    }
    blobs = _by_digest([config_bytes, *layers])
    return Image(_encoded(media_type, members), media_type, blobs, config_bytes, tars)


def _oci_members(config: dict[str, Any], layers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": list(layers)}


def _index(media_type: str, instances: Sequence[Image]) -> Image:
    entries = [
        {**_descriptor(instance.media_type, instance.manifest), "platform": _platform(*platform)}
        for instance, platform in zip(instances, PLATFORMS, strict=True)
    ]
    members = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
    return Image(_encoded(media_type, members), media_type, instances=tuple(instances))


def _platform(architecture: str, variant: str) -> dict[str, str]:
    return {"architecture": architecture, "os": "linux"} | ({"variant": variant} if variant else {})


def _config(
    tars: Sequence[bytes], history: Sequence[dict[str, Any]], architecture: str = "amd64", variant: str = ""
) -> dict[str, Any]:
    return {
        "created": CREATED,
        **_platform(architecture, variant),
        "config": {
            "Env": ["PATH=/usr/bin", "AMP=a&b"],
            "Cmd": ["/usr/bin/program"],
            "Labels": {"org.example.name": "small <image>"},
        },
        "rootfs": {"type": "layers", "diff_ids": [str(digest_of(tar)) for tar in tars]},
        "history": list(history),
    }


def _docker_config(config: dict[str, Any]) -> dict[str, Any]:
    """The config with members that only Docker knows."""
    execution = {**config["config"], "Healthcheck": {"Test": ["CMD", "true"]}, "OnBuild": None}
    return {**config, "config": execution, "docker_version": "20.10.5", "container": "c0ffee"}


def _history(count: int) -> list[dict[str, Any]]:
    return [{"created": CREATED, "created_by": f"ADD layer-{number} /"} for number in range(count)]


def _history_with_empty_layers() -> list[dict[str, Any]]:
    base, program = _history(2)
    return [
        {**base, "comment": "the base"},
        {"created": CREATED, "created_by": "ENV PATH=/usr/bin", "empty_layer": True},
        program,
        {"created": CREATED, "created_by": 'CMD ["/usr/bin/program"]', "empty_layer": True},
    ]


def _schema1_entries(empty: Sequence[bool]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for number, is_empty in enumerate(empty):
        entry: dict[str, Any] = {"id": f"{number + 1:064x}"}
        entry |= {"parent": entries[-1]["id"]} if entries else {}
        entry |= {"created": CREATED, "container_config": {"Cmd": [f"ADD layer-{number} /"]}}
        entries.append(entry | ({"throwaway": True} if is_empty else {}))
    entries[-1] |= {
        "architecture": "amd64",
        "os": "linux",
        "docker_version": "1.12.0",
        "config": {"Env": ["PATH=/usr/bin"], "Cmd": ["/usr/bin/program"]},
    }
    return entries


def _descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "size": len(data), "digest": str(digest_of(data))}


def _by_digest(blobs: Iterable[bytes]) -> dict[Digest, bytes]:
    return {digest_of(data): data for data in blobs}


def _encoded(media_type: str, members: Mapping[str, Any]) -> bytes:
    """Docker indents its manifests by three: whoever writes one anew instead of passing it on is found out."""
    if media_type in (DOCKER_MANIFEST, DOCKER_LIST):
        return json.dumps(members, indent=3).encode()
    return _compact(members)


def _compact(members: Mapping[str, Any]) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode()
