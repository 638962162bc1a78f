"""Registries that tests talk to: Debian's docker-registry, and ways to fill and to read one without any client."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from media import Stored

from transship.testing.images import Image
from transship.testing.registry import Registry

_CONFIGURATION = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {storage}}}
  delete: {{enabled: true}}
  maintenance: {{uploadpurging: {{enabled: false}}}}
compatibility: {{schema1: {{enabled: true}}}}
validation: {{manifests: {{urls: {{allow: ['.*']}}}}}}
http: {{addr: 127.0.0.1:{port}}}
"""
_START_TIMEOUT = 10.0


class RefusedError(Exception):
    """The registry does not take that image."""


@dataclass(frozen=True)
class DockerRegistry:
    """A running docker-registry. ``host`` is ``127.0.0.1:PORT``, ``storage`` the folder of its data."""

    host: str
    storage: Path

    def put_image(self, name: str, tag: str, image: Image) -> None:
        """Upload ``image`` as it is; raises ``RefusedError``."""
        with closing(http.client.HTTPConnection(self.host, timeout=10)) as connection:
            for digest, data in image.all_blobs.items():
                location = _request(connection, "POST", f"/v2/{name}/blobs/uploads/", b"", {})
                location += f"{'&' if '?' in location else '?'}digest={digest}"
                _request(connection, "PUT", location, data, {"Content-Type": "application/octet-stream"})
            for instance in image.instances:
                _put_manifest(connection, name, str(instance.digest), instance)
            _put_manifest(connection, name, tag, image)

    def read(self, name: str, tag: str) -> Stored:
        """What the repository ``name`` holds, read from the disk."""
        repository = self.storage / "docker/registry/v2/repositories" / name
        tags = {path.name: _link(path / "current/link") for path in _entries(repository / "_manifests/tags")}
        manifests = {path.name for path in _entries(repository / "_manifests/revisions/sha256")}
        layers = {path.name for path in _entries(repository / "_layers/sha256")}
        return _stored(tags, {name: self._blob(name) for name in manifests | layers}, tag)

    def _blob(self, name: str) -> bytes:
        return (self.storage / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data").read_bytes()


class TestingRegistry(Registry):
    """The testing registry, read as docker-registry is."""

    __test__ = False

    def read(self, name: str, tag: str) -> Stored:
        """What the repository ``name`` holds."""
        blobs = {digest.encoded: content.read() for digest, content in self.blobs[name].items()}
        manifests = {digest.encoded: stored.data for digest, stored in self.manifests[name].items()}
        tags = {tag: digest.encoded for tag, digest in self.tags[name].items()}
        return _stored(tags, blobs | manifests, tag)


@contextmanager
def docker_registry(folder: Path) -> Iterator[DockerRegistry]:
    """Run docker-registry with its data below ``folder`` as long as the ``with`` lasts."""
    port = _free_port()
    storage = folder / "storage"
    configuration = folder / "config.yml"
    configuration.write_text(_CONFIGURATION.format(storage=storage, port=port))
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", configuration], stdout=log, stderr=log)
    try:
        _wait_until_open(port)
        yield DockerRegistry(f"127.0.0.1:{port}", storage)
    finally:
        process.terminate()
        process.wait(10)


def _put_manifest(connection: http.client.HTTPConnection, name: str, place: str, image: Image) -> None:
    path = f"/v2/{name}/manifests/{place}"
    _request(connection, "PUT", path, image.manifest, {"Content-Type": image.media_type})


def _request(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes, headers: Mapping[str, str]
) -> str:
    connection.request(method, path, body, dict(headers))
    response = connection.getresponse()
    answer = response.read()
    if response.status not in (201, 202):
        raise RefusedError(f"{method} {path}: {response.status} {answer.decode()}")
    location = response.headers.get("Location", "")
    return "/" + location.split("/", 3)[3] if "://" in location else location


def _stored(tags: Mapping[str, str], blobs: Mapping[str, bytes], tag: str) -> Stored:
    digest = tags[tag]
    others = {name: data for name, data in blobs.items() if name != digest}
    return Stored(blobs[digest], others, {"tags": sorted(tags)})


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _link(file: Path) -> str:
    return file.read_text().removeprefix("sha256:")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_open(port: int) -> None:
    end = time.monotonic() + _START_TIMEOUT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


def quick_folder() -> str | None:
    """Where much can be written in no time, None: nowhere in particular."""
    return "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108 - names in there are random
