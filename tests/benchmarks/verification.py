"""Whether what was written is right: digests, and what another program makes of it."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_HEXADECIMAL = re.compile(r"([0-9a-f]{64})(\.tar|\.json|\.manifest\.json)?")


class WrongError(Exception):
    """What was written is not what it says it is."""


def check_digests(written: Path) -> None:
    """Every file, or member of an archive, whose name is a digest has that digest."""
    for name, file in _content(written):
        found = _HEXADECIMAL.fullmatch(name)
        if found and hashlib.file_digest(file, "sha256").hexdigest() != found[1]:
            raise WrongError(f"{name} has another digest")


def check_image_count(written: Path, images: int) -> None:
    """There are as many image folders as ``images``."""
    found = sum(1 for _ in written.rglob("manifest.json"))
    if found != images:
        raise WrongError(f"{found} of {images} images are there")


def check_readable(
    peer: Sequence[str], reference: str, scratch: Path, environment: Mapping[str, str], *, all_instances: bool
) -> None:
    """The peer reads ``reference``, and the layers are, without compression, what the config says."""
    shutil.rmtree(scratch, ignore_errors=True)
    flags = ["--all"] if all_instances else ["--dest-decompress"]
    command = [*peer, "--insecure-policy", "copy", "-q", "--src-tls-verify=false", *flags, reference, f"dir:{scratch}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(environment))
    if done.returncode:
        raise WrongError(f"the peer cannot read it: {done.stderr.strip()[-200:]}")
    check_digests(scratch)
    for manifest in _image_manifests(scratch):
        _check_layers(scratch, manifest)
    shutil.rmtree(scratch)


def _content(written: Path) -> Iterator[tuple[str, Any]]:
    """Names and open files."""
    if written.is_dir():
        for path in sorted(path for path in written.rglob("*") if path.is_file()):
            with path.open("rb") as file:
                yield path.name, file
    elif written.is_file():
        with tarfile.open(written) as archive:
            for member in archive:
                if content := archive.extractfile(member):
                    yield Path(member.name).name, content


def _image_manifests(folder: Path) -> Iterable[dict[str, Any]]:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    if "manifests" not in manifest:
        return [manifest]
    names = (item["digest"].partition(":")[2] for item in manifest["manifests"])
    return [json.loads((folder / f"{name}.manifest.json").read_bytes()) for name in names]


def _check_layers(folder: Path, manifest: Mapping[str, Any]) -> None:
    config = json.loads((folder / _hexadecimal(manifest["config"]["digest"])).read_bytes())
    layers = [folder / _hexadecimal(layer["digest"]) for layer in manifest["layers"]]
    digests = [f"sha256:{_uncompressed_digest(layer)}" for layer in layers]
    if digests != config["rootfs"]["diff_ids"]:
        raise WrongError("the layers are not those of the config")


def _uncompressed_digest(layer: Path) -> str:
    with layer.open("rb") as file:
        is_gzip = file.peek(2)[:2] == b"\x1f\x8b"
        content: Any = gzip.GzipFile(fileobj=file) if is_gzip else file
        digester = hashlib.sha256()
        while piece := content.read(1 << 20):
            digester.update(piece)
        return digester.hexdigest()


def _hexadecimal(digest: str) -> str:
    return digest.partition(":")[2]
