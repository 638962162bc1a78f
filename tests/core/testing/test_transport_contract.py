"""The contract accepts a transport that is right, and notices what is wrong with others."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from transship.errors import (
    BlobNotFoundError,
    ContentMismatchError,
    InvalidReferenceError,
    NotFoundError,
    PolicyError,
    TransportError,
)
from transship.image.descriptor import Descriptor
from transship.plugin.blob import BytesContent, Content
from transship.plugin.files import read_regular, reporting, write_file
from transship.plugin.transport import (
    Destination,
    DestinationTraits,
    RawManifest,
    Reference,
    Source,
    TagList,
    TagLister,
    Transport,
)
from transship.testing import TransportContract
from transship.testing.contracts.failing import limited_file_size

NOTICED = (AssertionError, pytest.fail.Exception, AttributeError, BlobNotFoundError, NotFoundError, TransportError)


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


@pytest.fixture
def check(run_contract, tmp_path, tmp_path_factory):
    """Runs one test of the contract on a transport."""

    def run(transport, test, text, **given):
        is_path = text.startswith("/")
        defaults = {
            "reference_text": text,
            "missing_text": f"{text}-missing" if isinstance(transport, TagLister) else None,
            "local_path": Path(text) if is_path else None,
            "elsewhere_text": str(tmp_path_factory.mktemp("elsewhere") / "image") if is_path else None,
            "failing_writes": limited_file_size,
            "tmp_path_factory": tmp_path_factory,
        }
        run_contract(TransportContract, test, transport=transport, **{**defaults, **given})

    return run


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


class SpeaksOfKeys(MemorySource):
    def get_blob(self, descriptor):
        return BytesContent(self._stored.blobs[descriptor.digest])


class CallsAnyFailureOneOfTransport(MemorySource):
    def get_blob(self, descriptor):
        try:
            return super().get_blob(descriptor)
        except BlobNotFoundError as error:
            raise TransportError(str(error)) from error


class WrapsWhateverComes(MemoryDestination):
    def put_blob(self, blob):
        try:
            super().put_blob(blob)
        except ContentMismatchError:
            raise
        except BaseException as error:
            raise TransportError("the write failed") from error


class KeepsWhatItHas(MemoryDestination):
    """Of a blob that ends with an error it has the beginning."""

    def put_blob(self, blob):
        digest = blob.expected.digest
        self._stored.blobs[digest] = b""
        for piece in blob:
            self._stored.blobs[digest] += bytes(piece)

    def reuse_blob(self, descriptor):
        return descriptor if descriptor.digest in self._stored.blobs else None


class ForgetsWhoseSignaturesTheyAre(MemorySource):
    def get_signatures(self, instance=None):
        return self._stored.signatures.get(None, ())


class HasOneSetOfSignatures(MemoryDestination):
    def put_signatures(self, signatures, instance=None):
        super().put_signatures(signatures)


class CountsWrong(BytesContent):
    def __init__(self, data):
        super().__init__(data)
        self.size = len(data) + 1


class SaysAnotherSize(MemorySource):
    def get_blob(self, descriptor):
        return CountsWrong(self._stored.blobs[descriptor.digest])


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
    (SpeaksOfKeys, "test_blob_that_is_not_there_is_an_error"),
    (CallsAnyFailureOneOfTransport, "test_blob_that_is_not_there_is_an_error"),
    (WrapsWhateverComes, "test_error_of_the_source_passes_and_leaves_nothing"),
    (KeepsWhatItHas, "test_error_of_the_source_passes_and_leaves_nothing"),
    (ForgetsWhoseSignaturesTheyAre, "test_signatures_of_an_index_and_of_its_members_are_kept_apart"),
    (HasOneSetOfSignatures, "test_signatures_of_an_index_and_of_its_members_are_kept_apart"),
    (SaysAnotherSize, "test_blob_may_be_read_twice"),
]


@pytest.mark.parametrize(("fault", "test"), FAULTS, ids=lambda value: getattr(value, "__name__", value))
def test_a_fault_is_noticed(fault, test, check):
    transport = MemoryTransport()
    setattr(transport, "source" if issubclass(fault, Source) else "destination", fault)
    with pytest.raises(NOTICED):
        check(transport, test, "place")


class TakesTheOnlyImage(MemoryTransport):
    """Whatever name is asked for."""

    def parse_place(self, text):
        return self.parse_reference(text)

    def list_tags(self, place, context):
        return TagList("", list(self._places))

    def open_source(self, reference, context):
        if len(self._places) == 1:
            return self.source(*self._places.values())
        return super().open_source(reference, context)


def test_an_image_that_stands_for_any_other_is_noticed(check):
    with pytest.raises(AssertionError):
        check(TakesTheOnlyImage(), "test_image_that_is_not_there_is_not_found", "place")


class Folder:
    """What is in a folder of this machine: a file for each blob and each manifest."""

    def __init__(self, path):
        self._path = path

    def file(self, name):
        return os.path.join(self._path, str(name or "manifest").replace(":", "-"))


class FolderSource(Folder, Source):
    def get_manifest(self, instance=None):
        return RawManifest(self.read(instance, NotFoundError), "")

    def get_blob(self, descriptor):
        return BytesContent(self.read(descriptor.digest, BlobNotFoundError))

    def read(self, name, missing):
        with reporting("read", self.file(name)):
            try:
                return read_regular(self.file(name), 4 << 20, within=self._path)
            except FileNotFoundError:
                raise missing(f"no {name}") from None


class FolderDestination(Folder, Destination):
    traits = DestinationTraits(refuses_signatures="no place for them")

    def __init__(self, path):
        super().__init__(path)
        self._manifests = {}

    def put_blob(self, blob):
        data = blob.read()
        os.makedirs(self._path, exist_ok=True)
        with reporting("write", self._path):
            self.write(blob.descriptor.digest, data)

    def put_manifest(self, data, media_type, instance=None):
        self._manifests[instance] = data

    def commit(self):
        with reporting("write", self._path):
            for instance, data in self._manifests.items():
                self.write(instance, data)

    def write(self, name, data):
        write_file(self.file(name), data)


class FolderTransport(Transport):
    name = "folder"
    source = FolderSource
    destination = FolderDestination

    def parse_reference(self, text):
        if not text or "\0" in text:
            raise InvalidReferenceError("no folder")
        return Reference(transport=self.name, text=text, **self.scopes(text))

    def scopes(self, text):
        return {"policy_identity": os.path.realpath(text)}

    def open_source(self, reference, context):
        return self.source(reference.policy_identity)

    def open_destination(self, reference, context):
        return self.destination(reference.text)


class TestFolderTransport(TransportContract):
    @pytest.fixture
    def transport(self):
        return FolderTransport()

    @pytest.fixture
    def reference_text(self, tmp_path):
        return str(tmp_path / "image")


class ReadsOverLinks(FolderSource):
    def read(self, name, missing):
        with reporting("read", self.file(name)):
            try:
                return read_regular(self.file(name), 4 << 20)
            except FileNotFoundError:
                raise missing(f"no {name}") from None


class LooksForItselfAtFirst(FolderSource):
    def read(self, name, missing):
        if not os.path.isfile(self.file(name)):
            raise missing(f"no {name}")
        with open(self.file(name), "rb") as file:
            return file.read()


class LetsErrorsOfTheSystemOut(FolderSource):
    def read(self, name, missing):
        try:
            return read_regular(self.file(name), 4 << 20, within=self._path)
        except FileNotFoundError:
            raise missing(f"no {name}") from None


class ReadsItsOwnListCarelessly(FolderSource):
    def get_manifest(self, instance=None):
        found = super().get_manifest(instance)
        json.loads(found.data)["layers"]
        return found


class TellsErrorsInSeveralLines(FolderSource):
    def read(self, name, missing):
        try:
            return super().read(name, missing)
        except TransportError as error:
            raise TransportError(f"{error}\ntry again") from error


class RemovesWhatIsOfAnEarlierTime(FolderDestination):
    """Tidies up at its end, committed or not."""

    def close(self):
        shutil.rmtree(self._path, ignore_errors=True)


class ReadsWithoutABound(FolderSource):
    def read(self, name, missing):
        with reporting("read", self.file(name)):
            try:
                return read_regular(self.file(name), 1 << 30, within=self._path)
            except FileNotFoundError:
                raise missing(f"no {name}") from None


class WritesOverLinks(FolderDestination):
    def write(self, name, data):
        with open(self.file(name), "wb") as file:
            file.write(data)


class LetsErrorsOfWritingOut(FolderDestination):
    def put_blob(self, blob):
        data = blob.read()
        os.makedirs(self._path, exist_ok=True)
        self.write(blob.descriptor.digest, data)


class CallsAFullDiskWrongContent(FolderDestination):
    def put_blob(self, blob):
        try:
            super().put_blob(blob)
        except TransportError as error:
            raise ContentMismatchError(str(error)) from error


class SaysNothingOfAFullDisk(FolderDestination):
    def put_blob(self, blob):
        with contextlib.suppress(TransportError):
            super().put_blob(blob)


class NamesAnImageBeforeItIsThere(FolderDestination):
    def put_manifest(self, data, media_type, instance=None):
        super().put_manifest(data, media_type, instance)
        os.makedirs(self._path, exist_ok=True)
        self.commit()

    def put_blob(self, blob):
        if not self._manifests:
            self.put_manifest(b"{}", "")
        super().put_blob(blob)


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        (ReadsOverLinks, "test_links_that_lead_out_of_a_place_are_not_followed"),
        (LooksForItselfAtFirst, "test_links_that_lead_out_of_a_place_are_not_followed"),
        (LetsErrorsOfTheSystemOut, "test_damaged_place_causes_no_error_but_those_of_transship"),
        (ReadsItsOwnListCarelessly, "test_damaged_place_causes_no_error_but_those_of_transship"),
        (TellsErrorsInSeveralLines, "test_damaged_place_causes_no_error_but_those_of_transship"),
        (RemovesWhatIsOfAnEarlierTime, "test_image_comes_back"),
        (ReadsWithoutABound, "test_what_is_far_too_big_is_not_held_in_memory"),
        (WritesOverLinks, "test_writing_leads_out_of_a_place_over_no_link"),
        (LetsErrorsOfWritingOut, "test_failing_write_is_a_clear_error_and_leaves_nothing"),
        (CallsAFullDiskWrongContent, "test_failing_write_is_a_clear_error_and_leaves_nothing"),
        (SaysNothingOfAFullDisk, "test_failing_write_is_a_clear_error_and_leaves_nothing"),
        (NamesAnImageBeforeItIsThere, "test_failing_write_is_a_clear_error_and_leaves_nothing"),
    ],
)
def test_a_fault_of_a_folder_is_noticed(fault, test, check, tmp_path):
    transport = FolderTransport()
    setattr(transport, "source" if issubclass(fault, Source) else "destination", fault)
    with pytest.raises(NOTICED):
        check(transport, test, str(tmp_path / "image"))


def test_a_file_that_stays_open_is_noticed(check, tmp_path):
    opened = []

    class Unclosed(Content):
        def __init__(self, path):
            opened.append(open(path, "rb"))  # noqa: SIM115

        def __iter__(self):
            return iter(opened[-1])

    class LeavesFilesOpen(FolderSource):
        def get_blob(self, descriptor):
            return Unclosed(self.file(descriptor.digest))

    transport = FolderTransport()
    transport.source = LeavesFilesOpen
    try:
        with pytest.raises(AssertionError):
            check(transport, "test_content_that_is_closed_holds_no_file_open", str(tmp_path / "image"))
    finally:
        for file in opened:
            file.close()


class CannotTellWhatIsThere(MemoryTransport):
    def open_source(self, reference, context):
        return self.source(self._places[reference.text])


class HasBadText(MemoryTransport):
    def open_source(self, reference, context):
        if reference.text not in self._places:
            raise InvalidReferenceError("nothing there")
        return super().open_source(reference, context)


class ListsAndHasNoPlace(MemoryTransport):
    def parse_place(self, text):
        return self.parse_reference(text)

    def list_tags(self, place, context):
        return TagList("", ())

    def open_source(self, reference, context):
        if reference.text not in self._places:
            raise TransportError("nothing there")
        return super().open_source(reference, context)


@pytest.mark.parametrize(
    ("transport", "test"),
    [
        (CannotTellWhatIsThere, "test_place_that_nobody_wrote_to_is_an_error"),
        (HasBadText, "test_place_that_nobody_wrote_to_is_an_error"),
        (ListsAndHasNoPlace, "test_image_that_is_not_there_is_not_found"),
    ],
)
def test_a_wrong_word_for_what_is_missing_is_noticed(transport, test, check):
    with pytest.raises(AssertionError):
        check(transport(), test, "place")


class ValidatesScopes(FolderTransport):
    def validate_policy_scope(self, scope):
        if not scope.startswith("/"):
            raise InvalidReferenceError("no folder")


class CannotNameItsPlaces(ValidatesScopes):
    def scopes(self, text):
        return {"policy_identity": os.path.realpath(text)[1:]}


class ValidatesWithACrash(FolderTransport):
    def validate_policy_scope(self, scope):
        os.lstat(scope)


class AcceptsAnyScopeInManyWords(FolderTransport):
    def validate_policy_scope(self, scope):
        scope.strip()


class ReadsWhatItsTextNames(FolderTransport):
    def open_source(self, reference, context):
        return self.source(reference.text)


class BelongsToAnother(FolderTransport):
    def parse_reference(self, text):
        return Reference(transport="dir", text=text, policy_identity=os.path.realpath(text))


def known_by(scopes):
    return type("Faulty", (FolderTransport,), {"scopes": lambda self, text: scopes(text)})


def while_there(text):
    return {"policy_identity": os.path.realpath(text) if os.path.exists(text) else text.upper()}


WELL_FORMED = "test_scopes_of_a_reference_are_such_as_a_policy_can_have"
ONE = "test_one_place_has_one_scope_however_it_is_said"
DIFFER = "test_places_that_differ_have_scopes_that_differ"


@pytest.mark.parametrize(
    ("transport", "test"),
    [
        (known_by(lambda text: {"policy_identity": Path(text)}), WELL_FORMED),
        (known_by(lambda text: {"policy_identity": None}), WELL_FORMED),
        (known_by(lambda text: {"policy_identity": text + "/"}), WELL_FORMED),
        (known_by(lambda text: {"policy_identity": text + " "}), WELL_FORMED),
        (known_by(lambda text: {"policy_identity": text + "\n"}), WELL_FORMED),
        (known_by(lambda text: {"policy_identity": "*"}), WELL_FORMED),
        (known_by(lambda text: {"policy_identity": "", "policy_namespaces": (text,)}), WELL_FORMED),
        (known_by(lambda text: {"policy_identity": text, "policy_namespaces": os.path.dirname(text)}), WELL_FORMED),
        (
            known_by(lambda text: {"policy_identity": text, "policy_namespaces": (os.path.dirname(text) + "/",)}),
            WELL_FORMED,
        ),
        (known_by(lambda text: {"policy_identity": text, "policy_namespaces": ("",)}), WELL_FORMED),
        (BelongsToAnother, WELL_FORMED),
        (CannotNameItsPlaces, WELL_FORMED),
        (ValidatesWithACrash, "test_scope_that_no_image_can_have_is_refused_or_nothing_is"),
        (AcceptsAnyScopeInManyWords, "test_scope_that_no_image_can_have_is_refused_or_nothing_is"),
        (known_by(while_there), "test_scopes_do_not_depend_on_what_is_there"),
        (known_by(lambda text: {"policy_identity": text}), ONE),
        (known_by(lambda text: {"policy_identity": os.path.abspath(text)}), ONE),
        (known_by(lambda text: {"policy_identity": os.path.basename(text)}), DIFFER),
        (known_by(lambda text: {"policy_identity": "folder"}), DIFFER),
        (ReadsWhatItsTextNames, "test_what_is_read_is_what_was_judged"),
    ],
)
def test_scopes_that_a_policy_cannot_rely_on_are_noticed(transport, test, check, tmp_path):
    with pytest.raises((*NOTICED, PolicyError, ValueError, OSError)):
        check(transport(), test, str(tmp_path / "image"))


def test_places_that_are_not_here_are_told_apart_too(check):
    class KnownByItsLastPart(MemoryTransport):
        def parse_reference(self, text):
            return Reference(transport=self.name, text=text, policy_identity=text.rpartition("/")[2])

    check(KnownByItsLastPart(), DIFFER, "host/app")
    with pytest.raises(AssertionError):
        check(KnownByItsLastPart(), DIFFER, "host/app", elsewhere_text="another/app")


def test_a_reference_that_changes_its_meaning_is_noticed(check):
    class Shouting(MemoryTransport):
        def parse_reference(self, text):
            return Reference(transport="memory", text=text + "!")

    with pytest.raises(AssertionError):
        check(Shouting(), "test_text_of_a_reference_gives_it_back", "place")
