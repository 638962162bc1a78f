"""Reads what lies in a medium, without any transport, and compares it with what another program wrote there."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import tarfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transship.image.digest import digest_of
from transship.image.media_types import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
)
from transship.testing.writers import REF_NAME

_DIR_VERSION = b"Directory Transport Version: 1.1\n"


class UnreadableError(Exception):
    """The medium is not what its format says."""


@dataclass(frozen=True)
class Stored:
    """What a medium holds. ``manifest`` is None in a docker archive, which has none.

    ``blobs`` are by hexadecimal digest, manifests of instances included; ``others`` are all other files by name.
    """

    manifest: bytes | None
    blobs: Mapping[str, bytes]
    others: Mapping[str, Any] = field(default_factory=dict)


def read(transport: str, path: Path) -> Stored:
    """What a copy to ``transport`` left at ``path``."""
    if transport == "dir":
        return _read_dir(path)
    if transport == "oci":
        return _read_layout({str(file.relative_to(path)): file.read_bytes() for file in _files_below(path)})
    files = _read_tar(path)
    return _read_layout(files) if transport == "oci-archive" else _read_docker_archive(files)


def check(stored: Stored) -> None:
    """Every blob has the digest that its name says, and whatever is referred to is there."""
    for name, data in stored.blobs.items():
        digest = hashlib.sha256(data).hexdigest()
        assert digest == name, f"{name} has the digest {digest}"
    if stored.manifest is None:
        return
    for descriptor in _referred(stored, stored.manifest):
        if descriptor.get("urls"):
            continue
        name = descriptor["digest"].partition(":")[2]
        assert name in stored.blobs, f"{name} is referred to and missing"
        assert len(stored.blobs[name]) == descriptor.get("size", len(stored.blobs[name])), f"{name} has another size"


def compare(ours: Stored, theirs: Stored, *, recompressed: bool) -> None:
    """Both are the same, byte for byte; if layers were ``recompressed``, but for what became of them."""
    for name in sorted({*ours.others, *theirs.others}):
        _same(name, ours.others.get(name), theirs.others.get(name))
    if recompressed and ours.manifest is not None and theirs.manifest is not None:
        _same("manifest", _uncompressed(ours, ours.manifest), _uncompressed(theirs, theirs.manifest))
    else:
        _same("manifest", _nameless(ours.manifest), _nameless(theirs.manifest))
        _same("names of blobs", sorted(ours.blobs), sorted(theirs.blobs))


def payload(manifest: bytes, *, without: Collection[str] = ("signatures",)) -> bytes:
    """A manifest but for the members of schema 1 that docker-registry makes anew at each request."""
    members = json.loads(manifest)
    if members.get("schemaVersion") != 1:
        return manifest
    return json.dumps({name: value for name, value in members.items() if name not in without}).encode()


def _nameless(manifest: bytes | None) -> bytes | None:
    """Schema 1 says where it is stored, which is not the same for both."""
    return manifest and payload(manifest, without=("signatures", "name"))


def _same(what: str, our_value: object, their_value: object) -> None:
    ours, theirs = repr(our_value), repr(their_value)
    agreed = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(ours, theirs, strict=False)))
    start = max(agreed - 40, 0)
    assert ours == theirs, f"{what}: we wrote …{ours[start : start + 200]}…, Skopeo …{theirs[start : start + 200]}…"


def is_plain_oci_image(stored: Stored) -> bool:
    """Whether it is one OCI image that every tool for OCI layouts can unpack."""
    members = json.loads(stored.manifest or b"{}")
    layers = members.get("layers") or ()
    return (
        members.get("mediaType") == OCI_MANIFEST
        and members["config"]["mediaType"] == OCI_CONFIG
        and all(layer["mediaType"] in (OCI_LAYER, OCI_LAYER_GZIP) for layer in layers)
    )


def is_docker_manifest(stored: Stored) -> bool:
    """Whether it is a manifest or list of Docker's schema 2."""
    return json.loads(stored.manifest or b"{}").get("mediaType") in (DOCKER_MANIFEST, DOCKER_LIST)


def refers_elsewhere(stored: Stored) -> bool:
    """Whether some layer is not stored here but where its URLs lead."""
    return stored.manifest is not None and any(item.get("urls") for item in _referred(stored, stored.manifest))


def _files_below(path: Path) -> Iterator[Path]:
    return (file for file in sorted(path.rglob("*")) if file.is_file())


def _read_dir(path: Path) -> Stored:
    files = {file.name: file.read_bytes() for file in _files_below(path)}
    if files.pop("version", b"") != _DIR_VERSION:
        raise UnreadableError("the folder has no version file of version 1.1")
    manifest = files.pop("manifest.json")
    instances = {name.removesuffix(".manifest.json"): data for name, data in files.items() if name.endswith(".json")}
    blobs = {name: data for name, data in files.items() if len(name) == 64}
    others = {name: data for name, data in files.items() if name not in blobs and not name.endswith(".manifest.json")}
    return Stored(manifest, blobs | instances, others)


def _read_tar(path: Path) -> dict[str, bytes]:
    files = {}
    with tarfile.open(path, "r:") as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if member.issym():
                files[name] = b"-> " + member.linkname.encode()
            elif member.isfile():
                file = archive.extractfile(member)
                assert file is not None
                files[name] = file.read()
    return files


def _read_layout(files: dict[str, bytes]) -> Stored:
    blobs = {name.rpartition("/")[2]: data for name, data in files.items() if name.startswith("blobs/")}
    others: dict[str, Any] = {name: data for name, data in files.items() if not name.startswith(("blobs/", "."))}
    others["oci-layout"] = json.loads(others["oci-layout"])  # Skopeo 1.9.3 writes a space in it
    entries = json.loads(others.pop("index.json"))["manifests"]
    if len(entries) != 1:
        raise UnreadableError(f"the layout has {len(entries)} entries")
    entry = entries[0]
    manifest = blobs.pop(entry["digest"].partition(":")[2])
    if entry["size"] != len(manifest) or entry["digest"] != str(digest_of(manifest)):
        raise UnreadableError("the layout's index has another size or digest than the manifest")
    others["entry"] = (entry["mediaType"], (entry.get("annotations") or {}).get(REF_NAME), entry.get("platform"))
    return Stored(manifest, blobs, others)


def _read_docker_archive(files: dict[str, bytes]) -> Stored:
    blobs = {name.partition(".")[0]: data for name, data in files.items() if len(name.partition(".")[0]) == 64}
    blobs = {name: data for name, data in blobs.items() if f"{name}.tar" in files or f"{name}.json" in files}
    # A symbolic link's target stands for its content.
    others = {name: data for name, data in files.items() if name.partition(".")[0] not in blobs}
    for item in json.loads(others["manifest.json"]):
        for name in (item["Config"], *item["Layers"]):
            if name not in files:
                raise UnreadableError(f"{name} is named in manifest.json and missing")
    return Stored(None, blobs, others)


def _referred(stored: Stored, manifest: bytes) -> Iterator[dict[str, Any]]:
    """The descriptors of a manifest, or of an index and of its instances that are here."""
    members = json.loads(manifest)
    for layer in members.get("fsLayers") or ():
        yield {"digest": layer["blobSum"]}
    if members.get("config"):
        yield members["config"]
    yield from members.get("layers") or ()
    for entry in members.get("manifests") or ():
        data = stored.blobs.get(entry["digest"].partition(":")[2])
        if data is not None:
            yield entry
            yield from _referred(stored, data)


def _uncompressed(stored: Stored, manifest: bytes) -> str:
    """The manifest as if its gzip layers were not compressed, whoever has compressed them."""
    members = json.loads(manifest)
    for layer in members.get("layers") or ():
        data = stored.blobs.get(layer["digest"].partition(":")[2])
        if data is not None and data[:2] == b"\x1f\x8b":
            layer["digest"], layer["size"] = str(digest_of(gzip.decompress(data))), -1
    for entry in members.get("manifests") or ():
        data = stored.blobs.get(entry["digest"].partition(":")[2])
        if data is not None:
            entry["digest"], entry["size"] = _uncompressed(stored, data), -1
    return json.dumps(members)
