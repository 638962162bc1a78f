"""The contract accepts a transport that is right, and notices what is wrong with others."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest

from transship.errors import BlobNotFoundError, ContentMismatchError, NotFoundError
from transship.image.descriptor import Descriptor
from transship.plugin.blob import BytesContent
from transship.plugin.transport import Destination, RawManifest, Reference, Source, Transport
from transship.testing import TransportContract


@dataclass
class Stored:
    blobs: dict = field(default_factory=dict)
    manifests: dict = field(default_factory=dict)
    signatures: dict = field(default_factory=dict)


class MemorySource(Source):
    def __init__(self, stored):
        self._stored = stored

    def get_manifest(self, instance=None):
        if instance not in self._stored.manifests:
            raise NotFoundError("no such instance")
        return RawManifest(*self._stored.manifests[instance])

    def get_blob(self, descriptor):
        if descriptor.digest not in self._stored.blobs:
            raise BlobNotFoundError("no such blob")
        return BytesContent(self._stored.blobs[descriptor.digest])

    def get_signatures(self, instance=None):
        return self._stored.signatures.get(instance, ())


class MemoryDestination(Destination):
    def __init__(self, places, name):
        self._places, self._name, self._stored = places, name, Stored()
        self._lock = threading.Lock()

    def reuse_blob(self, descriptor):
        data = self._stored.blobs.get(descriptor.digest)
        return None if data is None or len(data) != descriptor.size else descriptor

    def put_blob(self, blob):
        data = blob.read()
        with self._lock:
            self._stored.blobs[blob.descriptor.digest] = data

    def put_manifest(self, data, media_type, instance=None):
        self._stored.manifests[instance] = (data, media_type)

    def put_signatures(self, signatures, instance=None):
        self._stored.signatures[instance] = tuple(signatures)

    def commit(self):
        self._places[self._name] = self._stored


class MemoryTransport(Transport):
    name = "memory"
    source = MemorySource
    destination = MemoryDestination

    def __init__(self):
        self._places = {}

    def parse_reference(self, text):
        return Reference(transport="memory", text=text)

    def open_source(self, reference, context):
        if reference.text not in self._places:
            raise NotFoundError("nothing there")
        return self.source(self._places[reference.text])

    def open_destination(self, reference, context):
        return self.destination(self._places, reference.text)


class TestMemoryTransport(TransportContract):
    @pytest.fixture
    def transport(self):
        return MemoryTransport()

    @pytest.fixture
    def reference_text(self):
        return "place"


class AppearsAtOnce(MemoryDestination):
    def put_manifest(self, data, media_type, instance=None):
        super().put_manifest(data, media_type, instance)
        self.commit()


class TrustsWhatIsPromised(MemoryDestination):
    def put_blob(self, blob):
        try:
            data = blob.read()
        except ContentMismatchError:
            data = b""
        self._stored.blobs[blob.expected.digest] = data


class KeepsPiecesThatAreNotItsOwn(MemoryDestination):
    def put_blob(self, blob):
        pieces = list(blob)
        self._stored.blobs[blob.descriptor.digest] = b"".join(map(bytes, pieces))


class OffersWhatItHasNot(MemoryDestination):
    def reuse_blob(self, descriptor):
        return descriptor


class ReusesByDigestAlone(MemoryDestination):
    def reuse_blob(self, descriptor):
        data = self._stored.blobs.get(descriptor.digest)
        return None if data is None else Descriptor("", descriptor.digest, len(data))


class LosesSignatures(MemoryDestination):
    def put_signatures(self, signatures, instance=None):
        pass


class ForgetsInstances(MemoryDestination):
    def put_manifest(self, data, media_type, instance=None):
        if instance is None:
            super().put_manifest(data, media_type)


class WritesManifestsAnew(MemoryDestination):
    def put_manifest(self, data, media_type, instance=None):
        super().put_manifest(data + b"\n", media_type, instance)


class ClearsThePlaceWhenOpened(MemoryDestination):
    def __init__(self, places, name):
        super().__init__(places, name)
        places.pop(name, None)


class GivesEmptyBlobs(MemorySource):
    def get_blob(self, descriptor):
        return BytesContent(self._stored.blobs.get(descriptor.digest, b""))


class GivesEachBlobOnce(MemorySource):
    def get_blob(self, descriptor):
        return BytesContent(self._stored.blobs.pop(descriptor.digest, b"gone"))


class ClosesOnce(MemorySource):
    def close(self):
        del self._stored


FAULTS = [
    (AppearsAtOnce, "test_nothing_appears_before_commit"),
    (AppearsAtOnce, "test_nothing_appears_without_commit"),
    (AppearsAtOnce, "test_old_image_stays_without_commit"),
    (TrustsWhatIsPromised, "test_blob_of_a_wrong_digest_is_refused"),
    (TrustsWhatIsPromised, "test_blob_that_is_too_long_is_refused"),
    (TrustsWhatIsPromised, "test_blob_that_is_too_short_is_refused"),
    (TrustsWhatIsPromised, "test_place_can_be_used_after_a_failure"),
    (TrustsWhatIsPromised, "test_blob_may_be_of_unknown_digest_and_size"),
    (KeepsPiecesThatAreNotItsOwn, "test_image_comes_back"),
    (OffersWhatItHasNot, "test_reuse_tells_the_truth"),
    (OffersWhatItHasNot, "test_what_is_reused_need_not_be_written"),
    (LosesSignatures, "test_signatures_come_back_or_are_refused"),
    (ForgetsInstances, "test_index_comes_back_or_is_refused"),
    (WritesManifestsAnew, "test_image_comes_back"),
    (ReusesByDigestAlone, "test_reuse_tells_the_truth"),
    (ClearsThePlaceWhenOpened, "test_opening_for_writing_changes_nothing"),
    (GivesEmptyBlobs, "test_blob_that_is_not_there_is_an_error"),
    (GivesEachBlobOnce, "test_blob_may_be_read_twice"),
    (GivesEachBlobOnce, "test_blobs_may_be_read_by_several_threads"),
    (ClosesOnce, "test_closing_twice_is_harmless"),
]


@pytest.mark.parametrize(("fault", "test"), FAULTS, ids=lambda value: getattr(value, "__name__", value))
def test_a_fault_is_noticed(fault, test):
    transport = MemoryTransport()
    setattr(transport, "source" if issubclass(fault, Source) else "destination", fault)
    with pytest.raises((AssertionError, AttributeError, BlobNotFoundError, NotFoundError)):
        getattr(TransportContract(), test)(transport, "place")


def test_a_reference_that_changes_its_meaning_is_noticed():
    class Shouting(MemoryTransport):
        def parse_reference(self, text):
            return Reference(transport="memory", text=text + "!")

    with pytest.raises(AssertionError):
        TransportContract().test_text_of_a_reference_gives_it_back(Shouting(), "place")
