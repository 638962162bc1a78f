"""How the engine drives a source or destination, and archives that nobody should write."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from contextlib import closing

import pytest

from transship.image.descriptor import Descriptor
from transship.image.digest import digest_of
from transship.image.manifest import docker_manifest
from transship.image.media_types import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST
from transship.plugin.blob import BlobReader, BytesContent
from transship.plugin.context import Context
from transship_docker_archive.transport import DockerArchiveTransport


def gunzip_if_needed(chunks):
    data = b"".join(bytes(chunk) for chunk in chunks)
    yield gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def uncompressed_manifest(image):
    config = Descriptor(DOCKER_CONFIG, digest_of(image.config), len(image.config))
    return docker_manifest(config, [Descriptor(DOCKER_LAYER, digest_of(tar), len(tar)) for tar in image.tars])


def write_image(destination, image, *, known=False):
    """Store an image as the engine does: decompressed layers of unknown digest unless ``known``, then the config."""
    with closing(destination):
        for tar in image.tars:
            expected = Descriptor(DOCKER_LAYER, digest_of(tar), len(tar))
            if not destination.reuse_blob(expected):
                found = BlobReader(BytesContent(tar), expected if known else Descriptor(DOCKER_LAYER, None))
                destination.put_blob(found)
        config = Descriptor(DOCKER_CONFIG, digest_of(image.config), len(image.config))
        destination.put_blob(BlobReader(BytesContent(image.config), config, is_config=True))
        destination.put_manifest(uncompressed_manifest(image), DOCKER_MANIFEST)
        destination.commit()


@pytest.fixture
def transport():
    return DockerArchiveTransport()


@pytest.fixture
def context(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("spool"))

    def context(**options):
        return Context(
            temporary_directory=folder,
            decompress=gunzip_if_needed,
            options={name.replace("_", "-"): value for name, value in options.items()},
        )

    return context


@pytest.fixture
def open_source(transport, context):
    sources = []

    def open_source(text):
        sources.append(transport.open_source(transport.parse_reference(str(text)), context()))
        return sources[-1]

    yield open_source
    for source in sources:
        source.close()


@pytest.fixture
def open_destination(transport, context):
    def open_destination(text, **options):
        return transport.open_destination(transport.parse_reference(str(text)), context(**options))

    return open_destination


@pytest.fixture
def store():
    return write_image


@pytest.fixture
def read():
    def read(source, digest):
        with closing(source.get_blob(Descriptor("", digest))) as content:
            return b"".join(bytes(chunk) for chunk in content)

    return read


@pytest.fixture
def write_tar():
    """Write an archive of (name, data) or (name, type, link) members; ``manifest.json`` may be JSON to be."""

    def write_tar(path, *members):
        with tarfile.open(path, "w") as tar:
            for name, *content in members:
                info = tarfile.TarInfo(name)
                if len(content) == 2:
                    info.type, info.linkname = content
                    tar.addfile(info)
                    continue
                data = content[0] if isinstance(content[0], bytes) else json.dumps(content[0]).encode()
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        return path

    return write_tar
