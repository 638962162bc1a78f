"""What a copy that did not come to its end leaves in a layout, and what the next one makes of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import peers
import pytest

from transship.errors import ContentMismatchError, TransportError
from transship.image.descriptor import Descriptor
from transship.image.digest import digest_of
from transship.image.media_types import OCI_LAYER, OCI_MANIFEST
from transship.plugin.blob import BlobReader, BytesContent, ContinuedContent, FileContent, StreamContent
from transship.plugin.context import Context
from transship.plugin.partial import open_partial, partial_path
from transship.plugin.shared import Shared
from transship_oci.transport import OciTransport

TRANSPORT = OciTransport()
DATA = os.urandom(200_000)
LAYER = Descriptor(OCI_LAYER, digest_of(DATA), len(DATA))
BEGINNING = 150_000


@pytest.fixture
def layout(tmp_path):
    return tmp_path / "layout"


def opened(layout, name="v1", **settings):
    return TRANSPORT.open_destination(TRANSPORT.parse_reference(f"{layout}:{name}"), Context(**settings))


def blob_file(layout):
    return layout / "blobs/sha256" / LAYER.digest.encoded


def partial_file(layout):
    return layout / "blobs" / f".transship.sha256-{LAYER.digest.encoded}.partial"


def leave(layout, data):
    """Have a copy end in the middle, after it wrote ``data``."""
    partial_file(layout).parent.mkdir(parents=True, exist_ok=True)
    partial_file(layout).write_bytes(data)


class Broken:
    """Gives the first bytes of the layer, and then an error."""

    def __init__(self, size, error):
        self._data = DATA[:size]
        self._error = error

    def read(self, size):
        if not self._data:
            raise self._error
        data, self._data = self._data, b""
        return data

    def close(self):
        pass


def break_off(destination, size=BEGINNING, error=None):
    content = StreamContent(Broken(size, error or TransportError("the line is cut")))
    with pytest.raises(TransportError):
        destination.put_blob(BlobReader(content, LAYER))
    destination.close()


def put(destination):
    destination.put_blob(BlobReader(BytesContent(DATA), LAYER))


def finish(destination):
    destination.put_manifest(b"{}", OCI_MANIFEST)
    destination.commit()
    destination.close()


def check_complete(layout):
    assert blob_file(layout).read_bytes() == DATA
    assert blob_file(layout).stat().st_mode & 0o777 == 0o644
    assert os.listdir(layout / "blobs") == ["sha256"]


class TestWholeBlobs:
    def test_blob_of_a_failed_copy_is_used_by_the_next(self, layout):
        destination = opened(layout)
        put(destination)
        destination.close()
        assert os.listdir(layout / "blobs") == [partial_file(layout).name]
        again = opened(layout)
        assert again.reuse_blob(LAYER) == LAYER
        finish(again)
        check_complete(layout)

    def test_file_of_this_machine_leaves_no_trace(self, layout, tmp_path):
        (tmp_path / "layer").write_bytes(DATA)
        destination = opened(layout)
        with open(tmp_path / "layer", "rb", buffering=0) as file:
            destination.put_blob(BlobReader(FileContent(file), LAYER))
        destination.close()
        assert not layout.exists()

    def test_so_it_is_if_its_size_is_not_known(self, layout):
        leave(layout, DATA)
        destination = opened(layout)
        assert destination.reuse_blob(LAYER._replace(size=-1)) == LAYER
        finish(destination)
        check_complete(layout)

    @pytest.mark.parametrize("data", [bytes(len(DATA)), DATA + b"x", DATA[:-1]], ids=["wrong", "long", "short"])
    @pytest.mark.parametrize("size", [len(DATA), -1])
    def test_one_that_is_wrong_is_written_anew(self, layout, data, size):
        leave(layout, data)
        destination = opened(layout)
        assert destination.reuse_blob(LAYER._replace(size=size)) is None
        put(destination)
        finish(destination)
        check_complete(layout)

    def test_another_image_of_the_same_run_does_not_lose_it_when_the_first_fails(self, layout):
        shared = Shared()
        first, second = opened(layout, shared=shared), opened(layout, "v2", shared=shared)
        put(first)
        assert second.reuse_blob(LAYER) == LAYER
        first.close()
        finish(second)
        check_complete(layout)

    def test_nor_when_the_first_is_done(self, layout):
        shared = Shared()
        first, second = opened(layout, shared=shared), opened(layout, "v2", shared=shared)
        put(first)
        assert second.reuse_blob(LAYER) == LAYER
        finish(first)
        finish(second)
        check_complete(layout)


class TestBeginnings:
    def test_beginning_is_found_and_continued(self, layout):
        break_off(opened(layout))
        destination = opened(layout)
        assert destination.reuse_blob(LAYER) is None
        beginning = destination.find_partial(LAYER)
        assert b"".join(map(bytes, beginning)) == DATA[:BEGINNING]
        content = ContinuedContent(beginning, BytesContent(DATA[BEGINNING:]))
        number = os.fstat(beginning.file.fileno()).st_ino
        destination.put_blob(BlobReader(content, LAYER))
        content.close()
        finish(destination)
        check_complete(layout)
        assert blob_file(layout).stat().st_ino == number

    def test_wrong_beginning_is_not_found_again(self, layout):
        leave(layout, bytes(BEGINNING))
        destination = opened(layout)
        content = ContinuedContent(destination.find_partial(LAYER), BytesContent(DATA[BEGINNING:]))
        with pytest.raises(ContentMismatchError):
            destination.put_blob(BlobReader(content, LAYER))
        content.close()
        assert destination.find_partial(LAYER) is None
        put(destination)
        finish(destination)
        check_complete(layout)

    def test_beginning_of_another_layout_is_copied(self, layout, tmp_path):
        leave(tmp_path / "other", DATA[:BEGINNING])
        content = ContinuedContent(opened(tmp_path / "other").find_partial(LAYER), BytesContent(DATA[BEGINNING:]))
        destination = opened(layout)
        destination.put_blob(BlobReader(content, LAYER))
        content.close()
        finish(destination)
        check_complete(layout)

    @pytest.mark.parametrize("data", [b"", DATA, DATA + b"x"], ids=["empty", "whole", "long"])
    def test_what_has_no_end_to_come_is_none(self, layout, data):
        leave(layout, data)
        destination = opened(layout)
        assert destination.find_partial(LAYER) is None
        put(destination)
        finish(destination)
        check_complete(layout)

    def test_a_few_bytes_are_not_kept(self, layout):
        break_off(opened(layout), size=1000)
        assert not partial_file(layout).exists()

    def test_nothing_is_kept_on_a_full_disk(self, layout):
        break_off(opened(layout), error=OSError(28, "No space left on device"))
        assert not partial_file(layout).exists()


class TestOthers:
    """Other processes, at the same time or before."""

    def test_blob_that_another_process_is_writing_is_not_taken(self, layout):
        leave(layout, DATA[:BEGINNING])
        with open_partial(str(layout / "blobs"), LAYER.digest) as partial:
            destination = opened(layout)
            assert destination.reuse_blob(LAYER) is None
            assert destination.find_partial(LAYER) is None
            put(destination)
            finish(destination)
            assert blob_file(layout).read_bytes() == DATA
            assert partial.file.read() == DATA[:BEGINNING]
        assert partial_file(layout).exists()

    @pytest.mark.parametrize("first", [0, 1])
    def test_two_that_use_the_same_whole_blob_both_succeed(self, layout, first):
        leave(layout, DATA)
        destinations = [opened(layout, "v1"), opened(layout, "v2")]
        assert [each.reuse_blob(LAYER) for each in destinations] == [LAYER] * 2
        finish(destinations[first])
        finish(destinations[1 - first])
        check_complete(layout)

    def test_one_that_was_touched_meanwhile_is_read_again(self, layout):
        destination = opened(layout)
        put(destination)
        os.utime(partial_file(layout), (1, 1))
        finish(destination)
        check_complete(layout)

    @pytest.mark.parametrize("ends_with", ["nothing", "its name"])
    def test_one_that_another_is_looking_at_is_waited_for(self, layout, ends_with):
        destination = opened(layout)
        put(destination)
        with ThreadPoolExecutor(1) as other:
            with open_partial(str(layout / "blobs"), LAYER.digest) as partial:
                partial.touch()
                finished = other.submit(finish, destination)
                with pytest.raises(TimeoutError):
                    finished.result(0.3)
                if ends_with == "its name":
                    blob_file(layout).parent.mkdir(exist_ok=True)
                    partial.publish(str(blob_file(layout)))
            finished.result(20)
        check_complete(layout)

    def test_whole_one_that_another_counts_on_is_not_written_over(self, layout):
        destination = opened(layout)
        put(destination)
        break_off(opened(layout, "v2"))
        finish(destination)
        check_complete(layout)

    def test_whole_one_that_was_left_and_is_counted_on_is_not_written_over(self, layout):
        leave(layout, DATA)
        partial_file(layout).chmod(0o600)
        destination = opened(layout)
        assert destination.reuse_blob(LAYER) is not None
        break_off(opened(layout, "v2"))
        finish(destination)
        check_complete(layout)

    def test_whole_one_is_not_gone_on_with_by_who_does_not_know_its_size(self, layout):
        destination = opened(layout)
        put(destination)
        found = opened(layout, "v2").find_partial(LAYER._replace(size=-1))
        assert found is None

    @pytest.mark.parametrize("change", ["removed", "half written"])
    def test_one_that_is_gone_meanwhile_fails_the_commit(self, layout, change):
        destination = opened(layout)
        put(destination)
        partial_file(layout).unlink()
        if change == "half written":
            leave(layout, DATA[:BEGINNING])
        destination.put_manifest(b"{}", OCI_MANIFEST)
        with pytest.raises(TransportError, match="removed by somebody else"):
            destination.commit()
        assert not (layout / "index.json").exists()
        assert not blob_file(layout).exists()

    def test_planted_link_is_not_written_through(self, layout, tmp_path):
        partial_file(layout).parent.mkdir(parents=True)
        partial_file(layout).symlink_to(tmp_path / "victim")
        destination = opened(layout)
        put(destination)
        finish(destination)
        assert blob_file(layout).read_bytes() == DATA
        assert not (tmp_path / "victim").exists()

    def test_nothing_is_taken_from_outside(self, layout, tmp_path):
        leave(tmp_path / "other", DATA)
        layout.mkdir()
        (layout / "blobs").symlink_to(tmp_path / "other" / "blobs")
        destination = opened(layout)
        assert destination.reuse_blob(LAYER) is None
        assert destination.find_partial(LAYER) is None

    def test_old_leftovers_go_with_the_next_copy_and_young_ones_stay(self, layout, image):
        leave(layout, DATA)
        young = partial_path(str(layout / "blobs"), digest_of(b"young"))
        shutil.copy(partial_file(layout), young)
        os.utime(partial_file(layout), (time.time() - 90_000,) * 2)
        image.write_to(opened(layout))
        assert not partial_file(layout).exists()
        assert os.path.exists(young)

    def test_leftover_of_a_blob_that_came_otherwise_goes(self, layout, image):
        image.write_to(opened(layout))
        descriptor, data = image.blobs[0]
        partial = partial_path(str(layout / "blobs"), descriptor.digest)
        with open(partial, "wb") as file:
            file.write(data[:10])
        destination = opened(layout, "v2")
        assert destination.reuse_blob(descriptor) == descriptor
        finish(destination)
        assert not os.path.exists(partial)


@pytest.mark.interop
class TestReaders:
    """Programs that read the layout see what was there before."""

    def test_skopeo_sees_the_old_image(self, layout, image):
        image.write_to(opened(layout))
        leave(layout, DATA[:BEGINNING])
        command = [peers.SKOPEO, "inspect", "--raw", f"oci:{layout}:v1"]
        assert subprocess.run(command, capture_output=True, check=True).stdout == image.manifest

    def test_umoci_sees_the_old_image_and_collects_garbage(self, layout, image):
        image.write_to(opened(layout))
        leave(layout, DATA[:BEGINNING])
        shown = subprocess.run(["umoci", "ls", "--layout", layout], capture_output=True, text=True, check=True).stdout
        assert shown.split() == ["v1"]
        subprocess.run(["umoci", "gc", "--layout", layout], capture_output=True, check=True)
        assert len(json.loads((layout / "index.json").read_bytes())["manifests"]) == 1
        assert len(os.listdir(layout / "blobs/sha256")) == 3
        assert partial_file(layout).read_bytes() == DATA[:BEGINNING]
