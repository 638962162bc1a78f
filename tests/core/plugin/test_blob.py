"""Blobs on their way: nothing wrong may ever look complete."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from transship.errors import ContentMismatchError
from transship.image.descriptor import Descriptor
from transship.image.digest import digest_of
from transship.plugin.blob import (
    BlobReader,
    BytesContent,
    ContinuedContent,
    Expectation,
    FileContent,
    StreamContent,
    holds,
    verified,
)

DATA = bytes(range(256)) * 1000
KNOWN = Descriptor("type", digest_of(DATA), len(DATA))


def _pieces(data: bytes = DATA, size: int = 1000) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "content"
    path.write_bytes(DATA)
    with open(path, "rb", buffering=0) as opened:
        yield opened


@pytest.fixture
def target(tmp_path):
    with open(tmp_path / "target", "w+b", buffering=0) as opened:
        yield opened


def _content_of(file, offset: int = 0, size: int = -1) -> FileContent:
    return FileContent(file, offset, size, close_file=False)


def _joined(chunks) -> bytes:
    return b"".join(bytes(chunk) for chunk in chunks)


def _consume(blob: BlobReader, way: str, target) -> None:
    if way == "pieces":
        _joined(blob)
    elif way == "read":
        while blob.read(777):
            pass
    elif way == "read all":
        blob.read()
    else:
        blob.write_to(target)


class TestContents:
    @pytest.mark.parametrize("data", [b"", b"x", DATA])
    def test_bytes_come_as_they_are(self, data):
        content = BytesContent(data)
        assert (_joined(content), content.size) == (data, len(data))

    def test_stream_is_read_to_its_end_and_closed(self):
        stream = io.BytesIO(DATA)
        content = StreamContent(stream)
        assert content.size == -1
        assert _joined(content) == DATA
        content.close()
        content.close()
        assert stream.closed

    @pytest.mark.parametrize(
        ("offset", "size"), [(0, -1), (0, 0), (0, 10), (100, 1000), (len(DATA) - 1, -1), (len(DATA), -1)]
    )
    def test_region_of_a_file_is_what_it_says(self, file, offset, size):
        content = _content_of(file, offset, size)
        expected = DATA[offset:] if size < 0 else DATA[offset : offset + size]
        assert content.size == len(expected)
        assert _joined(content) == expected
        assert content.head(8) == expected[:8]

    def test_regions_of_one_file_do_not_disturb_each_other(self, file):
        one, other = iter(_content_of(file, 0, 2000)), iter(_content_of(file, 2000, 2000))
        assert bytes(next(one)) + bytes(next(other)) == DATA[:4000]

    def test_file_stays_open_only_if_asked(self, file):
        _content_of(file).close()
        assert not file.closed
        FileContent(file).close()
        assert file.closed

    def test_region_longer_than_the_file_ends_with_it(self, file):
        assert _joined(_content_of(file, 100, len(DATA))) == DATA[100:]


class TestReading:
    def test_right_blob_passes_and_is_described(self):
        blob = BlobReader(_pieces(), KNOWN)
        assert _joined(blob) == DATA
        assert blob.descriptor == KNOWN

    def test_descriptor_is_not_known_before_the_end(self):
        blob = BlobReader(_pieces(), KNOWN)
        blob.read(10)
        with pytest.raises(RuntimeError):
            _ = blob.descriptor

    def test_what_nothing_is_known_of_is_described(self):
        blob = BlobReader(_pieces(), Expectation("made"))
        _joined(blob)
        assert blob.descriptor == Descriptor("made", digest_of(DATA), len(DATA))

    @pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
    def test_any_algorithm_is_verified(self, algorithm):
        expected = Descriptor("", digest_of(DATA, algorithm))
        blob = BlobReader(_pieces(), expected)
        _joined(blob)
        assert blob.descriptor.digest == expected.digest
        with pytest.raises(ContentMismatchError):
            _joined(BlobReader(_pieces(DATA + b"x"), expected))

    @pytest.mark.parametrize(
        "expected",
        [
            Descriptor("", digest_of(b"other"), len(DATA)),
            Descriptor("", digest_of(b"other")),
            Descriptor("", digest_of(DATA), len(DATA) + 1),
            Descriptor("", digest_of(DATA), len(DATA) - 1),
            Descriptor("", digest_of(DATA), 0),
        ],
    )
    @pytest.mark.parametrize("way", ["pieces", "read", "read all", "write stream", "write file"])
    def test_wrong_digest_or_size_is_refused_whatever_the_way(self, file, target, expected, way):
        source = _content_of(file) if way == "write file" else _pieces()
        blob = BlobReader(source, expected)
        with pytest.raises(ContentMismatchError):
            _consume(blob, way, target)
        with pytest.raises(RuntimeError):
            _ = blob.descriptor

    def test_too_long_content_is_stopped_early(self):
        taken: list[int] = []

        def endless():
            while True:
                taken.append(1)
                yield b"x" * 100

        with pytest.raises(ContentMismatchError):
            _joined(BlobReader(endless(), Descriptor("", digest_of(b"x" * 250), 250)))
        assert len(taken) == 3

    @pytest.mark.parametrize("size", [1, 7, 999, 1000, 1001, 10**9])
    def test_reads_give_at_most_what_was_asked_and_all_together(self, size):
        data = DATA[:5000]
        blob = BlobReader(_pieces(data), Descriptor("", digest_of(data), len(data)))
        parts = list(iter(lambda: blob.read(size), b""))
        assert b"".join(parts) == data
        assert all(0 < len(part) <= size for part in parts)
        assert blob.descriptor.size == len(data)

    def test_negative_read_gives_what_is_left(self):
        blob = BlobReader(_pieces(), KNOWN)
        assert blob.read(10) + blob.read(-1) == DATA
        assert blob.read() == b""
        assert blob.descriptor == KNOWN

    def test_read_of_nothing_gives_nothing_and_loses_nothing(self):
        blob = BlobReader(_pieces(), KNOWN)
        assert blob.read(0) == b""
        assert blob.read() == DATA

    def test_empty_pieces_are_no_end(self):
        blob = BlobReader([b"", b"ab", b"", b"c"], Expectation())
        assert (blob.read(2), blob.read(2), blob.read(2)) == (b"ab", b"c", b"")

    def test_head_that_was_read_is_not_lost_to_the_pieces_after_it(self):
        blob = BlobReader(_pieces(), KNOWN)
        assert blob.read(4) + _joined(blob) == DATA

    def test_head_that_was_read_is_not_written_and_nothing_else_is_lost(self, file, target):
        blob = BlobReader(_content_of(file), KNOWN)
        head = blob.read(4)
        blob.write_to(target)
        assert head + Path(target.name).read_bytes() == DATA

    def test_empty_blob_is_a_blob(self, target):
        blob = BlobReader(BytesContent(b""), Descriptor("", digest_of(b""), 0))
        blob.write_to(target)
        assert blob.descriptor.size == 0

    def test_progress_counts_every_byte_once(self, file, target):
        counts: list[int] = []
        BlobReader(_content_of(file), KNOWN, on_progress=counts.append).write_to(target)
        assert sum(counts) == len(DATA)

    def test_what_the_source_raises_is_raised(self):
        def broken():
            yield b"x"
            raise OSError(5, "input/output error")

        with pytest.raises(OSError, match="input/output"):
            _joined(BlobReader(broken(), Expectation()))


class TestWriting:
    def test_kernel_and_stream_give_equal_bytes(self, file, target, tmp_path):
        kernel, stream = BlobReader(_content_of(file), KNOWN), BlobReader(_pieces(), KNOWN)
        kernel.write_to(target)
        with open(tmp_path / "stream", "w+b", buffering=0) as other:
            stream.write_to(other)
        assert Path(target.name).read_bytes() == (tmp_path / "stream").read_bytes() == DATA
        assert kernel.descriptor == stream.descriptor == KNOWN

    @pytest.mark.parametrize("in_kernel", [True, False])
    def test_blob_is_written_at_the_position_of_the_file(self, file, target, in_kernel):
        target.write(b"header")
        BlobReader(_content_of(file) if in_kernel else _pieces(), KNOWN).write_to(target)
        target.write(b"footer")
        assert Path(target.name).read_bytes() == b"header" + DATA + b"footer"

    def test_region_is_written_alone(self, file, target):
        part = DATA[1000:3000]
        BlobReader(_content_of(file, 1000, 2000), Descriptor("", digest_of(part), 2000)).write_to(target)
        assert Path(target.name).read_bytes() == part

    def test_what_is_verified_are_the_bytes_at_the_destination(self, file, target, monkeypatch):
        original = os.pwrite
        monkeypatch.delattr(os, "copy_file_range", raising=False)
        monkeypatch.setattr(os, "pwrite", lambda number, data, at: original(number, b"?" * len(data), at))
        with pytest.raises(ContentMismatchError):
            BlobReader(_content_of(file), KNOWN).write_to(target)

    def test_copying_without_the_kernel_gives_equal_bytes(self, file, target, monkeypatch):
        monkeypatch.delattr(os, "copy_file_range", raising=False)
        BlobReader(_content_of(file), KNOWN).write_to(target)
        assert Path(target.name).read_bytes() == DATA

    def test_file_that_shrinks_meanwhile_is_refused(self, file, target):
        content = _content_of(file)
        os.truncate(file.name, 1000)
        with pytest.raises(ContentMismatchError):
            BlobReader(content, KNOWN).write_to(target)

    def test_file_that_is_changed_meanwhile_is_refused(self, file, target):
        content = _content_of(file)
        with open(file.name, "r+b") as other:
            other.write(b"changed")
        with pytest.raises(ContentMismatchError):
            BlobReader(content, KNOWN).write_to(target)

    def test_file_that_takes_no_more_is_an_error(self):
        with open("/dev/full", "r+b", buffering=0) as full, pytest.raises(OSError, match="space"):
            BlobReader(_pieces(), KNOWN).write_to(full)


class TestLinking:
    def test_whole_file_gets_a_second_name(self, file, tmp_path):
        blob = BlobReader(_content_of(file), KNOWN)
        assert blob.link_to(str(tmp_path / "second"))
        assert blob.descriptor == KNOWN
        assert os.path.samefile(file.name, tmp_path / "second")

    @pytest.mark.parametrize(("offset", "size"), [(0, 100), (100, -1), (100, 100)])
    def test_part_of_a_file_is_not_linked_and_can_still_be_written(self, file, target, tmp_path, offset, size):
        content = _content_of(file, offset, size)
        part = _joined(content)
        blob = BlobReader(content, Descriptor("", digest_of(part), len(part)))
        assert not blob.link_to(str(tmp_path / "second"))
        assert not (tmp_path / "second").exists()
        blob.write_to(target)
        assert Path(target.name).read_bytes() == part

    def test_stream_is_not_linked_and_can_still_be_read(self, tmp_path):
        blob = BlobReader(_pieces(), KNOWN)
        assert not blob.link_to(str(tmp_path / "second"))
        assert blob.read() == DATA

    def test_name_that_is_taken_is_left_alone(self, file, tmp_path):
        (tmp_path / "second").write_bytes(b"mine")
        blob = BlobReader(_content_of(file), KNOWN)
        assert not blob.link_to(str(tmp_path / "second"))
        assert (tmp_path / "second").read_bytes() == b"mine"
        assert blob.read() == DATA

    def test_wrong_file_is_linked_nowhere(self, file, tmp_path):
        blob = BlobReader(_content_of(file), Descriptor("", digest_of(b"other"), len(DATA)))
        with pytest.raises(ContentMismatchError):
            blob.link_to(str(tmp_path / "second"))
        assert not (tmp_path / "second").exists()

    def test_file_that_was_replaced_by_name_is_not_what_is_linked(self, file, tmp_path):
        content = _content_of(file)
        (tmp_path / "evil").write_bytes(b"x" * len(DATA))
        os.replace(tmp_path / "evil", file.name)
        if BlobReader(content, KNOWN).link_to(str(tmp_path / "second")):
            assert (tmp_path / "second").read_bytes() == DATA


class TestVerifying:
    def test_right_content_passes(self):
        assert _joined(verified(_pieces(), KNOWN)) == DATA

    @pytest.mark.parametrize("data", [DATA[:-1], DATA + b"x", b"", DATA[:-1] + b"x"])
    def test_wrong_content_is_refused(self, data):
        with pytest.raises(ContentMismatchError):
            _joined(verified(_pieces(data), KNOWN))
        assert not holds(BytesContent(data), KNOWN)

    def test_right_content_is_held(self):
        assert holds(BytesContent(DATA), KNOWN)


class TestContinuing:
    """A blob whose first bytes are in a file already."""

    @pytest.fixture
    def kept(self, target):
        target.write(DATA[:4000])
        return target

    def continued(self, file, rest=DATA[4000:]) -> ContinuedContent:
        return ContinuedContent(FileContent(file, 0, 4000), BytesContent(rest))

    def test_it_is_one_content(self, kept):
        content = self.continued(kept)
        assert (content.size, _joined(content)) == (len(DATA), DATA)

    def test_size_is_unknown_where_that_of_the_rest_is(self, kept):
        assert ContinuedContent(FileContent(kept, 0, 4000), StreamContent(io.BytesIO(b"x"))).size == -1

    def test_both_parts_are_closed(self, kept):
        rest = io.BytesIO(b"x")
        ContinuedContent(FileContent(kept, 0, 4000), StreamContent(rest)).close()
        assert kept.closed
        assert rest.closed

    def test_the_file_gets_the_rest_only(self, kept):
        before = os.fstat(kept.fileno()).st_size
        blob = BlobReader(self.continued(kept), KNOWN)
        assert blob.beginning.file is kept
        blob.write_to(kept)
        assert before == 4000
        assert blob.descriptor == KNOWN
        kept.seek(0)
        assert kept.read() == DATA

    def test_another_file_gets_everything(self, kept, tmp_path):
        with open(tmp_path / "other", "w+b", buffering=0) as other:
            BlobReader(self.continued(kept), KNOWN).write_to(other)
        assert (tmp_path / "other").read_bytes() == DATA

    def test_so_does_the_file_that_was_read_from_before(self, kept, tmp_path):
        blob = BlobReader(self.continued(kept), KNOWN)
        assert blob.read(10) == DATA[:10]
        with open(tmp_path / "other", "w+b", buffering=0) as other:
            blob.write_to(other)
        assert (tmp_path / "other").read_bytes() == DATA[10:]

    @pytest.mark.parametrize("change", ["bad beginning", "bad rest", "short beginning"])
    def test_parts_that_do_not_fit_are_noticed(self, kept, change):
        rest = DATA[4000:]
        if change == "bad beginning":
            os.pwrite(kept.fileno(), bytes([DATA[7] ^ 1]), 7)
        elif change == "bad rest":
            rest = bytes(len(rest))
        content = self.continued(kept, rest)
        if change == "short beginning":
            os.ftruncate(kept.fileno(), 3999)
        with pytest.raises(ContentMismatchError):
            BlobReader(content, KNOWN).write_to(kept)

    def test_other_blobs_have_no_beginning(self):
        assert BlobReader(BytesContent(DATA), KNOWN).beginning is None
