"""A copy from beginning to end, between images in memory."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from dataclasses import replace

import pytest

from transship import hookimpl
from transship.api import CopyOptions, MultiArch, Retries, copy, copy_to_all, make_context
from transship.copy import transfer
from transship.errors import (
    CancelledError,
    ContentMismatchError,
    CopyError,
    DeadlineExceededError,
    InvalidManifestError,
    ManifestRejectedError,
    NotFoundError,
    TransportError,
    TransshipError,
    UnsupportedError,
)
from transship.image.digest import Digest, digest_of
from transship.image.media_types import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_LAYER, OCI_MANIFEST
from transship.plugin.cancellation import Cancellation
from transship.plugin.events import BlobFinished, BlobPlanned, BlobProgress, BlobStarted, Event, ImageFinished, Warned
from transship.plugin.signature import SIMPLE_SIGNING, Signature
from transship.plugin.transport import DestinationTraits, LayerCompression
from transship.policy.document import Policy
from transship.policy.requirements import Reject
from transship.testing.images import (
    Image,
    artifact_with_own_config,
    docker_list,
    image_with_foreign_layer,
    oci_image,
    oci_index,
    schema1_image,
    schema2_image,
)
from transship.testing.layers import gzipped

REJECTING = Policy((Reject(),), {})
COMPRESS = DestinationTraits(compression=LayerCompression.COMPRESS)
DECOMPRESS = DestinationTraits(compression=LayerCompression.DECOMPRESS)


def big_image(layers: int = 1, size: int = 12 << 20, *, compressed: bool = False) -> Image:
    """An image whose layers come in many pieces."""
    plain = [bytes([number]) + os.urandom(1 << 16) * (size >> 16) for number in range(layers)]
    blobs = [gzipped(data) for data in plain] if compressed else plain
    base = oci_image(compression="")
    members = json.loads(base.manifest)
    config = json.loads(base.config)
    config["rootfs"]["diff_ids"] = [str(digest_of(data)) for data in plain]
    config["history"] = []
    encoded = json.dumps(config).encode()
    members["config"] |= {"digest": str(digest_of(encoded)), "size": len(encoded)}
    media_type = OCI_LAYER + ("+gzip" if compressed else "")
    members["layers"] = [{"mediaType": media_type, "digest": str(digest_of(data)), "size": len(data)} for data in blobs]
    contents = {digest_of(data): data for data in (*blobs, encoded)}
    return Image(json.dumps(members).encode(), OCI_MANIFEST, contents, encoded, tuple(plain))


def _copy(memory, *destinations: str, **settings):
    return copy_to_all(
        "memory:source",
        [f"memory:{name}" for name in destinations or ("target",)],
        manager=memory.manager,
        **{"insecure_policy": True, **settings},
    )


@pytest.mark.parametrize(
    "image", [oci_image(), schema2_image(), schema1_image(), oci_image(compression="zstd"), artifact_with_own_config()]
)
def test_image_arrives_as_it_is(memory, image):
    memory.place("source", image)
    target = memory.place("target")
    (result,) = _copy(memory)
    assert target.manifests == [(image.manifest, image.media_type)]
    assert set(target.blobs) == set(image.blobs)
    assert (result.digest, result.media_type, result.destination) == (image.digest, image.media_type, "memory:target")
    assert result.blobs_written == len(image.blobs)
    assert result.bytes_written == sum(map(len, image.blobs.values()))


def test_what_a_destination_is_promised_comes_in_order(memory):
    image = oci_index()
    memory.place("source", image, signatures=(Signature(SIMPLE_SIGNING, b"\x88signature"),))
    target = memory.place("target")
    _copy(memory, options=CopyOptions(multi_arch=MultiArch.ALL))
    log = target.log
    assert log[-3:] == ["signatures", "commit", "close"]
    assert log.index("blob") < log.index("instance") < log.index("manifest")
    assert log.count("instance") == len(image.instances)
    assert log.count("commit") == 1


def test_blobs_of_all_images_of_an_index_are_on_their_way_together(memory, in_time):
    image = oci_index()
    counts = Counter(digest for each in image.instances for digest in each.blobs)
    configs = {digest_of(each.config) for each in image.instances}
    own = {next(digest for digest in each.blobs.keys() - configs if counts[digest] == 1) for each in image.instances}
    meeting = threading.Barrier(len(image.instances), timeout=10)

    def meet(descriptor, data):
        if descriptor.digest in own:
            meeting.wait()
        return data

    memory.place("source", image, on_get_blob=meet)
    target = memory.place("target")
    in_time(lambda: _copy(memory, options=CopyOptions(multi_arch=MultiArch.ALL)))
    assert target.manifests[-1] == (image.manifest, image.media_type)
    assert [data for data, _ in target.manifests[:-1]] == [each.manifest for each in image.instances]


def test_manifests_of_all_images_of_an_index_are_read_together(memory, in_time):
    image = oci_index()
    meeting = threading.Barrier(len(image.instances), timeout=10)

    def meet(instance, data):
        if instance is not None:
            meeting.wait()
        return data

    memory.place("source", image, on_get_manifest=meet)
    target = memory.place("target")
    in_time(lambda: _copy(memory, options=CopyOptions(multi_arch=MultiArch.ALL)))
    assert [data for data, _ in target.manifests[:-1]] == [each.manifest for each in image.instances]


def test_source_that_is_not_for_threads_is_read_by_one(memory):
    image = oci_index()
    readers = set()

    def note(_, data):
        readers.add(threading.get_ident())
        return data

    memory.place("source", image, parallel=False, on_get_manifest=note, on_get_blob=note)
    memory.place("target")
    _copy(memory, options=CopyOptions(multi_arch=MultiArch.ALL))
    assert readers == {threading.get_ident()}


def test_wrong_manifest_of_an_index_is_refused_before_anything_is_written(memory):
    image = oci_index()
    wrong = digest_of(image.instances[-1].manifest)
    memory.place("source", image, on_get_manifest=lambda instance, data: data + b" " if instance == wrong else data)
    target = memory.place("target")
    with pytest.raises(CopyError):
        _copy(memory, options=CopyOptions(multi_arch=MultiArch.ALL))
    assert target.log == ["close"]


@pytest.mark.parametrize("parallel", [True, False])
def test_image_of_an_index_that_failed_is_named(memory, parallel):
    image = oci_index()
    wrong = next(iter(image.instances[1].blobs.keys() - image.instances[0].blobs.keys()))
    memory.place(
        "source",
        image,
        parallel=parallel,
        on_get_blob=lambda descriptor, data: b"wrong" if descriptor.digest == wrong else data,
    )
    target = memory.place("target")
    with pytest.raises(CopyError, match=f"2/{len(image.instances)}"):
        _copy(memory, options=CopyOptions(multi_arch=MultiArch.ALL))
    assert "commit" not in target.log


def test_blobs_that_are_there_are_reused(memory):
    image = oci_image()
    memory.place("source", image)
    target = memory.place("target")
    target.blobs |= dict.fromkeys(image.blobs, b"")
    (result,) = _copy(memory)
    assert (result.blobs_written, result.blobs_reused, result.bytes_written) == (0, len(image.blobs), 0)
    assert "blob" not in target.log


def test_layer_that_an_image_has_twice_is_copied_once(memory):
    image = oci_image()
    members = json.loads(image.manifest)
    members["layers"] *= 4
    doubled = replace(image, manifest=json.dumps(members).encode(), config=None)
    source = memory.place("source", doubled)
    _copy(memory)
    assert len(source.reads) == len(set(source.reads)) == len(image.blobs)


@pytest.mark.uses("gzip")
@pytest.mark.parametrize("schema1_first", [True, False])
def test_layer_that_one_image_needs_the_diff_id_of_may_be_in_others(memory, schema1_first):
    images = sorted((schema1_image(), schema2_image()), key=lambda image: image.config is not None)
    images = images if schema1_first else images[::-1]
    entries = [
        {"mediaType": image.media_type, "digest": str(image.digest), "size": len(image.manifest)} for image in images
    ]
    platforms = [{"os": "linux", "architecture": name} for name in ("amd64", "arm64")]
    manifests = [entry | {"platform": platform} for entry, platform in zip(entries, platforms, strict=True)]
    data = json.dumps({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": manifests}).encode()
    memory.place("source", Image(data, DOCKER_LIST, instances=tuple(images)))
    target = memory.place("target", traits=DestinationTraits(manifest_types=(OCI_MANIFEST, OCI_INDEX)))
    _copy(memory, options=CopyOptions(multi_arch=MultiArch.ALL))
    assert [media_type for _, media_type in target.manifests] == [OCI_MANIFEST, OCI_MANIFEST, OCI_INDEX]


class TestSeveralDestinations:
    @pytest.mark.parametrize("image", [oci_image(), big_image(3), docker_list()])
    def test_each_blob_is_read_once(self, memory, in_time, image):
        source = memory.place("source", image)
        targets = [memory.place(name) for name in "abc"]
        results = in_time(lambda: _copy(memory, *"abc", options=CopyOptions(multi_arch=MultiArch.ALL)))
        assert [result.destination for result in results] == ["memory:a", "memory:b", "memory:c"]
        assert sorted(map(str, source.reads)) == sorted(map(str, set(source.reads)))
        for target in targets:
            assert target.blobs == image.all_blobs
            assert target.log[-2:] == ["commit", "close"]

    @pytest.mark.uses("gzip")
    @pytest.mark.parametrize("traits", [(COMPRESS, COMPRESS), (DECOMPRESS, DECOMPRESS), (DECOMPRESS, COMPRESS)])
    def test_layers_are_changed_for_each_without_waiting_for_each_other_forever(
        self, memory, in_time, traits, monkeypatch
    ):
        monkeypatch.setattr(transfer, "_transforming", threading.BoundedSemaphore(1))  # as on the smallest machine
        image = big_image(3, compressed=traits[0] is DECOMPRESS)
        memory.place("source", image)
        targets = [memory.place(name, traits=each) for name, each in zip("ab", traits, strict=True)]
        in_time(lambda: _copy(memory, "a", "b"), 60)
        for target, each in zip(targets, traits, strict=True):
            if each is DECOMPRESS:
                assert set(map(digest_of, image.tars)) <= set(target.blobs)

    @pytest.mark.parametrize("when", ["before", "in the middle"])
    @pytest.mark.parametrize("failing", ["a", "b"])
    def test_one_that_fails_ends_all_and_nothing_is_committed(self, memory, in_time, when, failing):
        def fail(blob):
            if when != "before":
                blob.read(1 << 20)
            raise TransportError("the disk is full")

        memory.place("source", big_image(2))
        targets = [memory.place(name) for name in "ab"]
        memory.place(failing, on_put_blob=fail)
        with pytest.raises(CopyError, match="the disk is full"):
            in_time(lambda: _copy(memory, "a", "b"))
        for target in targets:
            assert "commit" not in target.log

    def test_source_that_fails_in_the_middle_ends_all(self, memory, in_time):
        memory.place("source", big_image(), on_get_blob=lambda descriptor, data: data[:-1])
        memory.place("a")
        memory.place("b")
        with pytest.raises(CopyError, match="mismatch"):
            in_time(lambda: _copy(memory, "a", "b"))

    def test_progress_never_counts_more_than_there_is(self, memory, in_time):
        image = big_image(1, 24 << 20)
        memory.place("source", image)
        memory.place("a", on_put_blob=_slowly)
        memory.place("b", on_put_blob=_slowly)
        events: list[Event] = []
        in_time(lambda: _copy(memory, "a", "b", on_event=events.append))
        done = [event.done for event in events if isinstance(event, BlobProgress)]
        assert done == sorted(done)
        assert max(done) <= len(image.tars[0])


def _slowly(blob):
    data = b""
    for chunk in blob:
        data += bytes(chunk)
        threading.Event().wait(0.01)
    return data


class TestFailures:
    @pytest.mark.parametrize(
        "change",
        [lambda data: data[:-1], lambda data: data + b"x", lambda data: b"x" * len(data), lambda data: b""],
    )
    def test_wrong_blob_is_refused_and_nothing_is_committed(self, memory, change):
        memory.place("source", oci_image(), on_get_blob=lambda descriptor, data: change(data))
        target = memory.place("target")
        with pytest.raises(CopyError):
            _copy(memory)
        assert "commit" not in target.log
        assert "manifest" not in target.log
        assert target.log[-1] == "close"

    @pytest.mark.parametrize("traits", [COMPRESS, DECOMPRESS])
    def test_wrong_layer_is_refused_though_it_is_changed_on_its_way(self, memory, in_time, traits):
        image = big_image(compressed=traits is DECOMPRESS)
        wrong = gzipped(b"wrong") if traits is DECOMPRESS else b"wrong"
        layer = max(image.blobs, key=lambda digest: len(image.blobs[digest]))
        memory.place(
            "source", image, on_get_blob=lambda descriptor, data: wrong if descriptor.digest == layer else data
        )
        target = memory.place("target", traits=traits)
        with pytest.raises(CopyError):
            in_time(lambda: _copy(memory))
        assert "commit" not in target.log

    def test_true_failure_is_told_and_not_that_others_were_cancelled(self, memory, in_time):
        image = big_image(6, 4 << 20)
        bad = list(image.blobs)[3]

        def put(blob):
            if blob.expected.digest == bad:
                raise TransportError("this is why")
            return _slowly(blob)

        memory.place("source", image)
        for name in "ab":
            memory.place(name, on_put_blob=put)
        with pytest.raises(CopyError, match="this is why"):
            in_time(lambda: _copy(memory, "a", "b"))

    def test_missing_blob_is_told(self, memory):
        image = oci_image()
        memory.place("source", replace(image, blobs={digest_of(image.config): image.config}))
        with pytest.raises(CopyError, match="no blob"):
            _copy(memory)

    @pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"not JSON", b"[" * 10**5, b'{"schemaVersion": 2}'])
    def test_manifest_of_a_stranger_never_surprises(self, memory, data):
        for media_type in ("", OCI_MANIFEST, DOCKER_MANIFEST, OCI_INDEX):
            memory.place("source", Image(data, media_type))
            with pytest.raises(TransshipError):
                _copy(memory)

    def test_index_in_an_index_is_refused(self, memory):
        inner = oci_index()
        entry = {
            "mediaType": OCI_INDEX,
            "digest": str(inner.digest),
            "size": len(inner.manifest),
            "platform": {"os": "linux", "architecture": "amd64"},
        }
        members = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
        memory.place("source", Image(json.dumps(members).encode(), OCI_INDEX, instances=(inner,)))
        with pytest.raises((CopyError, InvalidManifestError), match="manifest list instead of a manifest"):
            _copy(memory)

    def test_instance_with_another_digest_is_refused(self, memory):
        memory.place("source", oci_index(), on_get_manifest=lambda instance, data: data + b"\n" if instance else data)
        with pytest.raises(CopyError, match="does not match"):
            _copy(memory)

    def test_failing_commit_is_told_and_still_closed(self, memory):
        def fail():
            raise TransportError("no space")

        memory.place("source", oci_image())
        target = memory.place("target", on_commit=fail)
        with pytest.raises(CopyError, match="committing the finished image") as caught:
            _copy(memory)
        assert (caught.value.operation, caught.value.side) == ("commit", "destination")
        assert target.log[-1] == "close"

    @pytest.mark.uses("oci")
    def test_source_that_is_not_there_is_not_found(self, memory):
        with pytest.raises(TransshipError) as caught:
            copy("oci:nowhere:x", "memory:target", manager=memory.manager, insecure_policy=True)
        assert "initializing source" in str(caught.value)

    def test_cause_of_a_missing_image_is_kept(self, memory):
        memory.place("source", None)
        with pytest.raises(CopyError) as caught:
            _copy(memory)
        assert isinstance(caught.value.__cause__, NotFoundError)

    def test_bug_in_a_plugin_is_not_hidden(self, memory):
        def bug(blob):
            raise ZeroDivisionError

        memory.place("source", oci_image())
        target = memory.place("target", on_put_blob=bug)
        with pytest.raises(ZeroDivisionError):
            _copy(memory)
        assert target.log[-1] == "close"

    def test_config_that_promises_another_layer_is_refused(self, memory):
        image = big_image()
        config = json.loads(image.config)
        config["rootfs"]["diff_ids"] = [str(digest_of(b"other"))]
        encoded = json.dumps(config).encode()
        members = json.loads(image.manifest)
        members["config"] |= {"digest": str(digest_of(encoded)), "size": len(encoded)}
        blobs = {**image.blobs, digest_of(encoded): encoded}
        memory.place("source", Image(json.dumps(members).encode(), OCI_MANIFEST, blobs, encoded))
        with pytest.raises(CopyError, match="diff ID"):
            _copy(memory)


class TestManifestTypes:
    def test_rejected_type_is_followed_by_another(self, memory):
        def reject(media_type):
            if media_type == OCI_MANIFEST:
                raise ManifestRejectedError("no OCI here")

        memory.place("source", oci_image())
        target = memory.place("target", on_put_manifest=reject)
        (result,) = _copy(memory)
        assert result.media_type == DOCKER_MANIFEST
        assert [media_type for _, media_type in target.manifests] == [DOCKER_MANIFEST]

    def test_rejected_type_is_final_where_digests_are_preserved(self, memory):
        def reject(media_type):
            raise ManifestRejectedError("no")

        memory.place("source", oci_image())
        memory.place("target", on_put_manifest=reject)
        with pytest.raises(CopyError, match="Instructed to preserve digests"):
            _copy(memory, options=CopyOptions(preserve_digests=True))

    def test_signatures_are_refused_where_they_cannot_be_kept(self, memory):
        memory.place("source", oci_image(), signatures=(Signature(SIMPLE_SIGNING, b"\x88x"),))
        memory.place("target", traits=DestinationTraits(refuses_signatures="cannot"))
        with pytest.raises(CopyError, match="Can not copy signatures"):
            _copy(memory)
        _copy(memory, options=CopyOptions(remove_signatures=True))

    def test_signed_image_is_not_changed(self, memory):
        memory.place("source", oci_image(compression=""), signatures=(Signature(SIMPLE_SIGNING, b"\x88x"),))
        target = memory.place("target", traits=COMPRESS)
        (result,) = _copy(memory)
        assert result.digest == oci_image(compression="").digest
        assert target.log[-3:] == ["signatures", "commit", "close"]

    def test_index_is_refused_where_only_images_are_taken(self, memory):
        memory.place("source", oci_index())
        target = memory.place("target", traits=DestinationTraits(manifest_types=(OCI_MANIFEST,)))
        with pytest.raises(UnsupportedError, match="multiple images"):
            _copy(memory, options=CopyOptions(multi_arch=MultiArch.ALL))
        assert "commit" not in target.log

    def test_foreign_layer_stays_away_where_its_urls_suffice(self, memory):
        image = image_with_foreign_layer(OCI_MANIFEST)
        memory.place("source", image)
        target = memory.place("target", traits=DestinationTraits(accepts_foreign_urls=True))
        (result,) = _copy(memory)
        assert result.digest == image.digest
        assert set(target.blobs) == set(image.blobs)


class TestPolicy:
    @pytest.mark.parametrize("what", [MultiArch.SYSTEM, MultiArch.ALL, MultiArch.INDEX_ONLY])
    def test_rejected_image_is_not_copied_in_any_part(self, memory, what):
        memory.place("source", oci_index())
        target = memory.place("target")
        with pytest.raises(CopyError, match="Source image rejected"):
            _copy(memory, insecure_policy=False, policy=REJECTING, options=CopyOptions(multi_arch=what))
        assert target.log == ["close"]

    def test_demand_for_signatures_rejects(self, memory):
        memory.place("source", oci_image())
        with pytest.raises(CopyError, match="Source image rejected"):
            _copy(memory, options=CopyOptions(require_signed=True))


class TestDryRun:
    @pytest.mark.parametrize("image", [oci_image(), schema1_image(), oci_index(), docker_list()])
    @pytest.mark.parametrize("forced", ["", OCI_MANIFEST])
    def test_nothing_is_written(self, memory, image, forced):
        memory.place("source", image)
        target = memory.place("target")
        options = CopyOptions(dry_run=True, multi_arch=MultiArch.ALL, manifest_type=forced)
        (result,) = _copy(memory, options=options)
        assert target.log == ["close"]
        assert result.digest == image.digest
        assert result.blobs_written == len(image.all_blobs)

    def test_no_layer_is_read(self, memory):
        image = oci_image()
        source = memory.place("source", image)
        memory.place("target").blobs[_first_layer(image)] = b""
        events: list[Event] = []
        (result,) = _copy(memory, options=CopyOptions(dry_run=True), on_event=events.append)
        assert source.reads == [digest_of(image.config)]
        planned = [event for event in events if isinstance(event, BlobPlanned)]
        assert [event.reused for event in planned].count(True) == 1
        assert (result.blobs_written, result.blobs_reused) == (2, 1)
        assert not any(isinstance(event, (BlobStarted, BlobFinished, ImageFinished)) for event in events)


def _first_layer(image):
    return Digest.parse(json.loads(image.manifest)["layers"][0]["digest"])


class TestEvents:
    def test_each_blob_begins_and_ends(self, memory):
        image = oci_image()
        memory.place("source", image)
        memory.place("target")
        events: list[Event] = []
        _copy(memory, on_event=events.append)
        started = [event for event in events if isinstance(event, BlobStarted)]
        finished = [event for event in events if isinstance(event, BlobFinished)]
        assert {event.digest for event in started} == set(image.blobs)
        assert {event.key for event in started} == {event.key for event in finished}
        assert [event.is_config for event in started].count(True) == 1
        assert isinstance(events[-1], ImageFinished)
        assert all(event.image == "memory:source" for event in events)

    def test_observer_of_a_plugin_that_fails_is_a_warning(self, memory):
        class Observer:
            @hookimpl
            def transship_event(self, event):
                raise RuntimeError("no luck")

        memory.place("source", oci_image())
        target = memory.place("target")
        memory.manager.register(Observer(), "observer")
        events: list[Event] = []
        _copy(memory, on_event=events.append)
        assert "commit" in target.log
        assert any(isinstance(event, Warned) and "no luck" in event.message for event in events)


class TestEnding:
    def test_cancelled_copy_commits_nothing(self, memory, in_time):
        cancellation = Cancellation()

        def put(blob):
            blob.read(1 << 20)
            cancellation.cancel()
            return blob.read()

        memory.place("source", big_image(3))
        target = memory.place("target", on_put_blob=put)
        context = make_context(memory.manager, cancellation=cancellation)
        with pytest.raises((CancelledError, CopyError)):
            in_time(lambda: _copy(memory, source_context=context))
        assert "commit" not in target.log
        assert target.log[-1] == "close"

    def test_deadline_ends_a_copy(self, memory, in_time):
        memory.place("source", big_image(2))
        target = memory.place("target", on_put_blob=_slowly)
        context = make_context(memory.manager, cancellation=Cancellation(0.05))
        with pytest.raises((DeadlineExceededError, CopyError), match="context deadline exceeded"):
            in_time(lambda: _copy(memory, source_context=context))
        assert "commit" not in target.log

    def test_interrupt_in_an_observer_ends_the_copy(self, memory, in_time):
        def interrupt(event):
            if isinstance(event, BlobStarted):
                raise KeyboardInterrupt

        memory.place("source", big_image(3))
        target = memory.place("target")
        with pytest.raises(KeyboardInterrupt):
            in_time(lambda: _copy(memory, on_event=interrupt))
        assert target.log[-1] == "close"

    def test_failure_that_passes_is_tried_again_as_a_whole(self, memory):
        failures = [TransportError("busy", retryable=True)]

        def flaky(descriptor, data):
            if failures:
                raise failures.pop()
            return data

        warnings: list[str] = []
        memory.place("source", oci_image(), on_get_blob=flaky)
        target = memory.place("target")
        context = make_context(memory.manager, warn=warnings.append)
        _copy(memory, retries=Retries(2, 0.01), source_context=context)
        assert target.log.count("commit") == 1
        assert len(warnings) == 1

    def test_wrong_content_is_not_tried_again(self, memory):
        source = memory.place("source", oci_image(), on_get_blob=lambda descriptor, data: b"wrong")
        with pytest.raises(CopyError) as caught:
            _copy(memory, retries=Retries(5, 0.01))
        assert isinstance(caught.value.__cause__, ContentMismatchError)
        assert len(source.reads) == len(set(source.reads))

    @pytest.mark.uses("gzip")
    def test_no_thread_is_left(self, memory, in_time):
        before = threading.active_count()
        memory.place("source", big_image(2, compressed=True))
        memory.place("target", traits=DECOMPRESS)
        in_time(lambda: _copy(memory))
        assert threading.active_count() <= before

    @pytest.mark.parametrize("number", [1, 2, 50])
    def test_any_number_of_blobs_at_the_same_time_gives_the_same(self, memory, in_time, number):
        image = big_image(5, 1 << 20)
        memory.place("source", image)
        target = memory.place("target")
        in_time(lambda: _copy(memory, options=CopyOptions(parallel_blobs=number)))
        assert target.blobs == image.blobs

    def test_source_that_takes_one_reader_gets_one(self, memory):
        busy = threading.Lock()

        def alone(blob):
            assert busy.acquire(blocking=False)
            data = _slowly(blob)
            busy.release()
            return data

        memory.place("source", big_image(3, 1 << 20), parallel=False)
        memory.place("target", on_put_blob=alone)
        _copy(memory)
