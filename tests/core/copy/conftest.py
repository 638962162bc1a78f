"""Images in memory, with destinations that remember what happened to them."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from transship import hookimpl
from transship.discovery import PluginManager
from transship.errors import BlobNotFoundError, NotFoundError
from transship.image.reference import DockerReference
from transship.plugin.blob import StreamContent
from transship.plugin.transport import Destination, DestinationTraits, RawManifest, Reference, Source, Transport
from transship.testing.images import Image


@dataclass
class Place:
    """What is behind one reference, and how it misbehaves."""

    image: Image | None = None
    traits: DestinationTraits = field(default_factory=DestinationTraits)
    blobs: dict = field(default_factory=dict)
    variants: dict = field(default_factory=dict)
    manifests: list = field(default_factory=list)
    log: list = field(default_factory=list)
    reads: list = field(default_factory=list)
    signatures: tuple = ()
    on_get_signatures: Callable = lambda instance, signatures: signatures
    stored: dict = field(default_factory=dict)
    on_get_manifest: Callable = lambda instance, data: data
    on_get_blob: Callable = lambda descriptor, data: data
    on_put_blob: Callable = lambda blob: blob.read()
    on_put_manifest: Callable = lambda media_type: None
    on_commit: Callable = lambda: None
    parallel: bool = True


class MemorySource(Source):
    def __init__(self, place: Place) -> None:
        self._place = place
        self.parallel = place.parallel

    def get_manifest(self, instance=None):
        image = self._place.image
        if instance is not None:
            image = next((each for each in image.instances if each.digest == instance), None)
        if image is None:
            raise NotFoundError(f"no manifest {instance}")
        return RawManifest(self._place.on_get_manifest(instance, image.manifest), image.media_type)

    def get_blob(self, descriptor):
        self._place.reads.append(descriptor.digest)
        data = self._place.image.all_blobs.get(descriptor.digest)
        if data is None:
            raise BlobNotFoundError(f"no blob {descriptor.digest}")
        return StreamContent(io.BytesIO(self._place.on_get_blob(descriptor, data)))

    def get_signatures(self, instance=None):
        return self._place.on_get_signatures(instance, self._place.signatures)

    def close(self):
        self._place.log.append("close")


class MemoryDestination(Destination):
    def __init__(self, place: Place) -> None:
        self._place = place
        self._lock = threading.Lock()

    @property
    def traits(self):
        return self._place.traits

    def reuse_blob(self, descriptor):
        return descriptor if descriptor.digest in self._place.blobs else None

    def put_blob(self, blob):
        data = self._place.on_put_blob(blob)
        with self._lock:
            self._place.log.append("blob")
            self._place.blobs[blob.descriptor.digest] = data

    def note_variant(self, uncompressed, recipe, written):
        self._place.variants[uncompressed, recipe] = written

    def known_variant(self, uncompressed, recipe):
        self._place.log.append("variant?")
        return self._place.variants.get((uncompressed, recipe))

    def put_manifest(self, data, media_type, instance=None):
        self._place.on_put_manifest(media_type)
        self._place.log.append("manifest" if instance is None else "instance")
        self._place.manifests.append((data, media_type))

    def put_signatures(self, signatures, instance=None):
        self._place.log.append("signatures")
        self._place.stored[instance] = tuple(signatures)

    def commit(self):
        self._place.on_commit()
        self._place.log.append("commit")

    def close(self):
        self._place.log.append("close")


class MemoryTransport(Transport):
    name = "memory"

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}

    def parse_reference(self, text):
        if "/" not in text:
            return Reference(transport="memory", text=text)
        named = DockerReference.parse(text)
        return Reference(
            transport="memory",
            text=text,
            named=named,
            policy_identity=named.policy_identity,
            policy_namespaces=named.policy_namespaces,
        )

    def open_source(self, reference, context):
        return MemorySource(self.places[reference.text])

    def open_destination(self, reference, context):
        return MemoryDestination(self.places.setdefault(reference.text, Place()))


class Memory:
    """A manager whose references ``memory:NAME`` lead to the ``places``."""

    def __init__(self) -> None:
        self._transport = MemoryTransport()
        self.manager = PluginManager()
        self.manager.register(self)

    @hookimpl
    def transship_transports(self):
        return [self._transport]

    def place(self, name: str, image: Image | None = None, **settings) -> Place:
        self._transport.places[name] = Place(image, **settings)
        return self._transport.places[name]


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture
def in_time():
    """Runs something in a thread of its own, and fails if it does not come to an end."""

    def run(work: Callable[[], object], seconds: float = 30) -> object:
        outcome: dict[str, object] = {}

        def target() -> None:
            try:
                outcome["result"] = work()
            except BaseException as error:
                outcome["error"] = error

        thread = threading.Thread(target=target, daemon=True)
        thread.start()
        thread.join(seconds)
        assert not thread.is_alive(), "it hangs"
        if "error" in outcome:
            raise outcome["error"]
        return outcome["result"]

    return run
