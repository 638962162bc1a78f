"""The contract of compressions notices what is wrong with one."""

from __future__ import annotations

import queue
import threading
import zlib

import pytest

from transship.errors import ContentMismatchError, UnsupportedError
from transship.plugin.compression import Compression, decompress_members
from transship.testing import CompressionContract

MIB = 1 << 20


class Member:
    """One zlib stream."""

    def __init__(self):
        self._decoder = zlib.decompressobj()
        self.needs_input = True

    @property
    def eof(self):
        return self._decoder.eof

    @property
    def unused_data(self):
        return self._decoder.unused_data

    def decompress(self, data, max_length):
        output = self._decoder.decompress(self._decoder.unconsumed_tail + bytes(data), max_length)
        self.needs_input = not (self._decoder.unconsumed_tail or len(output) == max_length)
        return output


class Zlib(Compression):
    name = "zlib"
    magic = b"\x78"
    media_type_suffix = "zlib"
    levels = (1, 3)

    def decompress(self, chunks):
        return decompress_members(chunks, Member, name=self.name, damage=zlib.error)

    def compress(self, chunks, *, level, threads):
        if level is not None and not 1 <= level <= 3:
            raise UnsupportedError(f"no level {level}")
        return self.pieces(chunks, 1 if level is None else level, threads)

    def pieces(self, chunks, level, threads):
        encoder = zlib.compressobj(level)
        for chunk in chunks:
            if output := encoder.compress(chunk):
                yield output
        yield encoder.flush()


class TestZlib(CompressionContract):
    @pytest.fixture
    def compression(self):
        return Zlib()

    @pytest.fixture
    def compress_elsewhere(self):
        return zlib.compress

    @pytest.fixture
    def decompress_elsewhere(self):
        return zlib.decompress


class SpeaksInCapitals(Zlib):
    name = "ZLIB"


class HasAnotherMagic(Zlib):
    magic = b"\x1f\x8b"


class ReadsOneMember(Zlib):
    def decompress(self, chunks):
        decoder = zlib.decompressobj()
        yield from (decoder.decompress(chunk) for chunk in chunks)
        if not decoder.eof:
            raise ContentMismatchError("truncated")


class LetsDataEndAnywhere(Zlib):
    def decompress(self, chunks):
        decoder = zlib.decompressobj()
        yield from (decoder.decompress(chunk) for chunk in chunks)


class LetsErrorsOut(Zlib):
    def decompress(self, chunks):
        return decompress_members(chunks, Member, name=self.name, damage=())


class ReadsEverythingAtOnce(Zlib):
    def decompress(self, chunks):
        whole = b"".join(super().decompress(chunks))
        yield from (whole[start : start + MIB] for start in range(0, len(whole), MIB))


class GivesHugePieces(Zlib):
    def decompress(self, chunks):
        return iter([b"".join(super().decompress(chunks))])


class KeepsPiecesThatAreNotItsOwn(Zlib):
    def compress(self, chunks, *, level, threads):
        return super().compress(list(chunks), level=level, threads=threads)


class DecompressesPiecesThatAreNotItsOwn(Zlib):
    def decompress(self, chunks):
        return super().decompress(list(chunks))


class TakesEveryLevel(Zlib):
    def compress(self, chunks, *, level, threads):
        return self.pieces(chunks, 1, threads)


class DependsOnThreads(Zlib):
    def pieces(self, chunks, level, threads):
        return super().pieces(chunks, threads, threads)


class DependsOnPieces(Zlib):
    def pieces(self, chunks, level, threads):
        for chunk in chunks:
            yield zlib.compress(chunk)


class CannotReadItsThirdLevel(Zlib):
    def pieces(self, chunks, level, threads):
        if level == 3:
            yield b"\x78\x9c"
        yield from super().pieces(chunks, level, threads)


class HidesErrorsOfTheSource(Zlib):
    def decompress(self, chunks):
        try:
            yield from super().decompress(chunks)
        except OSError as error:
            raise ContentMismatchError("damaged") from error


class GoesOnForever(Zlib):
    def pieces(self, chunks, level, threads):
        threading.Thread(target=threading.Event().wait, args=(5,), daemon=True).start()
        return super().pieces(chunks, level, threads)


class KeepsState(Zlib):
    def compress(self, chunks, *, level, threads):
        self.chunks = chunks
        return self.later(level, threads)

    def later(self, level, threads):
        threading.Event().wait(0.01)
        yield from super().pieces(self.chunks, 1, threads)


class ForgetsTheLevel(Zlib):
    def pieces(self, chunks, level, threads):
        return super().pieces(chunks, 1, threads)


class ReadsAheadForever(Zlib):
    """Decompresses what a thread of its own has read, which nobody stops."""

    def decompress(self, chunks):
        read = queue.Queue(1)

        def read_ahead():
            try:
                for chunk in chunks:
                    read.put(bytes(chunk))
                read.put(None)
            except BaseException as error:
                read.put(error)

        threading.Thread(target=read_ahead, daemon=True).start()
        return super().decompress(self.taken(read))

    def taken(self, read):
        while (chunk := read.get()) is not None:
            if isinstance(chunk, BaseException):
                raise chunk
            yield chunk


class ReadsOnlyAndCompressesYet(Zlib):
    can_compress = False


FAULTS = [
    (SpeaksInCapitals, "test_what_it_says_of_itself_is_well_formed"),
    (HasAnotherMagic, "test_data_begin_with_its_magic"),
    (ReadsOneMember, "test_members_in_a_row_are_all_read"),
    (ReadsOneMember, "test_what_is_no_member_is_refused"),
    (LetsDataEndAnywhere, "test_truncated_data_are_refused_wherever_they_end"),
    (LetsErrorsOut, "test_damage_is_noticed"),
    (ReadsEverythingAtOnce, "test_a_bomb_comes_in_small_pieces_and_constant_memory"),
    (ReadsEverythingAtOnce, "test_output_begins_long_before_the_input_ends"),
    (GivesHugePieces, "test_a_bomb_comes_in_small_pieces_and_constant_memory"),
    (KeepsPiecesThatAreNotItsOwn, "test_output_depends_on_content_and_level_alone"),
    (KeepsPiecesThatAreNotItsOwn, "test_output_begins_long_before_the_input_ends"),
    (DecompressesPiecesThatAreNotItsOwn, "test_what_others_write_is_read"),
    (TakesEveryLevel, "test_level_out_of_range_is_refused"),
    (DependsOnThreads, "test_output_depends_on_content_and_level_alone"),
    (DependsOnPieces, "test_output_depends_on_content_and_level_alone"),
    (DependsOnPieces, "test_empty_content_has_one_form"),
    (DependsOnPieces, "test_empty_pieces_of_input_change_nothing"),
    (CannotReadItsThirdLevel, "test_every_level_gives_back_the_content"),
    (HidesErrorsOfTheSource, "test_error_of_the_source_passes"),
    (GoesOnForever, "test_nothing_goes_on_when_nobody_wants_more"),
    (KeepsState, "test_several_threads_may_use_it_at_once"),
    (ForgetsTheLevel, "test_levels_make_a_difference"),
    (ReadsAheadForever, "test_nothing_goes_on_when_nobody_wants_more"),
    (ReadsOnlyAndCompressesYet, "test_content_comes_back"),
]


@pytest.mark.parametrize(("fault", "test"), FAULTS, ids=lambda value: getattr(value, "__name__", value))
def test_a_fault_is_noticed(fault, test, run_contract):
    with pytest.raises((AssertionError, pytest.fail.Exception, ContentMismatchError, zlib.error)):
        run_contract(
            CompressionContract,
            test,
            compression=fault(),
            compress_elsewhere=zlib.compress,
            decompress_elsewhere=zlib.decompress,
        )


def test_format_with_one_level_or_none_need_not_differ(run_contract):
    class WithoutLevels(ForgetsTheLevel):
        levels = None

        def compress(self, chunks, *, level, threads):
            return self.pieces(chunks, 1, threads)

    class WithOne(ForgetsTheLevel):
        levels = (1, 1)

    for compression in (WithoutLevels(), WithOne()):
        run_contract(CompressionContract, "test_levels_make_a_difference", compression=compression)


def test_format_without_checksums_need_not_notice_damage(run_contract):
    class Copy(Compression):
        """A letter, the length, and the content as it is."""

        def decompress(self, chunks):
            data = b"".join(map(bytes, chunks))
            if data[:5] != b"C" + (len(data) - 5).to_bytes(4):
                raise ContentMismatchError("damaged")
            yield data[5:]

    class Lenient(CompressionContract):
        detects_damage = False

    given = {"compression": Copy(), "compress_elsewhere": lambda data: b"C" + len(data).to_bytes(4) + data}
    run_contract(Lenient, "test_damage_is_noticed", **given)
    with pytest.raises(AssertionError):
        run_contract(CompressionContract, "test_damage_is_noticed", **given)
