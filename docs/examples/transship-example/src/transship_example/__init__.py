"""The transport ``text``: one small image in one text file, each line a name and its bytes in base 64."""

from __future__ import annotations

import base64
import os

from transship import hookimpl
from transship.errors import BlobNotFoundError, InvalidReferenceError, TransportError
from transship.image.descriptor import Descriptor
from transship.image.digest import Digest
from transship.plugin.blob import BlobReader, BytesContent, Content
from transship.plugin.context import Context
from transship.plugin.files import read_regular, reporting, write_file
from transship.plugin.transport import Destination, DestinationTraits, RawManifest, Reference, Source, Transport

LIMIT = 64 << 20  # the whole file is held in memory
TOP = "manifest"


class TextSource(Source):
    def __init__(self, path: str) -> None:
        with reporting("read", path):
            lines = [line.split(b" ") for line in read_regular(path, LIMIT).splitlines()]
        try:
            self._items = {name: base64.b64decode(value, validate=True) for name, value in lines}
        except ValueError as error:
            raise TransportError(f"read {path}: not an image in a text file: {error}") from error

    def get_manifest(self, instance: Digest | None = None) -> RawManifest:
        name = str(instance or TOP)
        if (data := self._items.get(name.encode())) is None:
            raise TransportError(f"the text file holds no {name}")
        return RawManifest(data, "")

    def get_blob(self, descriptor: Descriptor) -> Content:
        if (data := self._items.get(str(descriptor.digest).encode())) is None:
            raise BlobNotFoundError(f"the text file holds no blob {descriptor}")
        return BytesContent(data)


class TextDestination(Destination):
    traits = DestinationTraits(refuses_signatures="A text file has no place for signatures")

    def __init__(self, path: str) -> None:
        self._path = path
        self._items: dict[str, bytes] = {}

    def put_blob(self, blob: BlobReader) -> None:
        data = blob.read()  # to the end: only then is it verified and its digest known
        self._items[str(blob.descriptor.digest)] = data

    def put_manifest(self, data: bytes, media_type: str, instance: Digest | None = None) -> None:
        self._items[str(instance or TOP)] = data

    def commit(self) -> None:
        lines = [f"{name} {base64.b64encode(data).decode()}\n" for name, data in sorted(self._items.items())]
        with reporting("write", self._path):
            write_file(self._path, "".join(lines).encode())


class TextTransport(Transport):
    name = "text"

    def parse_reference(self, text: str) -> Reference:
        if not text or "\0" in text:
            raise InvalidReferenceError(f"text:{text!r} names no file")
        return Reference(transport=self.name, text=text, policy_identity=os.path.realpath(text))

    def open_source(self, reference: Reference, context: Context) -> Source:
        return TextSource(reference.policy_identity)  # where links led when a policy was asked

    def open_destination(self, reference: Reference, context: Context) -> Destination:
        return TextDestination(reference.text)


@hookimpl
def transship_transports() -> list[Transport]:
    """Offer the transport; this module is the entry point."""
    return [TextTransport()]
