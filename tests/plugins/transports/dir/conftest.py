"""How the engine drives a source or destination."""

from __future__ import annotations

import pytest

from transship.image.descriptor import Descriptor
from transship.plugin.blob import BlobReader, BytesContent
from transship.plugin.context import Context
from transship_dir.transport import DirTransport


def write_blobs(destination, image):
    for digest, data in image.all_blobs.items():
        destination.put_blob(BlobReader(BytesContent(data), Descriptor("", digest, len(data))))


def write_image(destination, image, signatures=()):
    write_blobs(destination, image)
    for instance in image.instances:
        destination.put_manifest(instance.manifest, instance.media_type, instance.digest)
    destination.put_manifest(image.manifest, image.media_type)
    if signatures:
        destination.put_signatures(signatures)
    destination.commit()
    destination.close()


@pytest.fixture
def open_destination():
    def open_destination(path, **options):
        transport = DirTransport()
        return transport.open_destination(transport.parse_reference(str(path)), Context(options=options))

    return open_destination


@pytest.fixture
def open_source():
    def open_source(path):
        transport = DirTransport()
        return transport.open_source(transport.parse_reference(str(path)), Context())

    return open_source


@pytest.fixture
def store():
    return write_image


@pytest.fixture
def store_blobs():
    return write_blobs


@pytest.fixture
def read():
    def read(source, digest, size=-1):
        content = source.get_blob(Descriptor("", digest, size))
        try:
            return b"".join(bytes(chunk) for chunk in content)
        finally:
            content.close()

    return read
