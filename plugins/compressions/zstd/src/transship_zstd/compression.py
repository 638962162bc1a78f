"""zstd, by the library of its authors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from transship import hookimpl
from transship.plugin.blob import Buffer
from transship.plugin.compression import Compression, decompress_members

BLOCK_SIZE = 4 << 20
"""How much input one thread takes. Fixed, because the output depends on it."""

# Parameters of libzstd. On layers of usual content each speed makes less than that of klauspost's zstd, which
# container tools use. Long distance matching and a wide window find files that a layer holds more than once.
# An overlap of 9 is a whole window, each step down halves it.
_FASTEST = {"compression_level": 2, "window_log": 22, "overlap_log": 9}
_DEFAULT = {
    "compression_level": 3,
    "window_log": 22,
    "overlap_log": 9,
    "enable_long_distance_matching": 1,
}
_BETTER = {"compression_level": 7, "window_log": 22, "overlap_log": 9}
_BEST = {
    "compression_level": 13,
    "window_log": 25,
    "overlap_log": 6,
    "enable_long_distance_matching": 1,
    # Smaller tables than the level's own, searched more often: as small, in half the memory.
    "hash_log": 20,
    "chain_log": 21,
    "search_log": 5,
}

_MAXIMUM_WINDOW_LOG = 27
_MOST_THREADS = 16  # each takes 10 to 40 MiB of memory


class Zstd(Compression):
    """zstd (RFC 8878). Any integer is a level; there are four speeds behind them."""

    name = "zstd"
    magic = b"\x28\xb5\x2f\xfd"
    media_type_suffix = "zstd"

    def decompress(self, chunks: Iterable[Buffer]) -> Iterator[Buffer]:
        from transship_zstd.library import DecompressionParameter, ZstdDecompressor, ZstdError

        options: dict[int, int] = {DecompressionParameter.window_log_max: _MAXIMUM_WINDOW_LOG}
        return decompress_members(chunks, lambda: ZstdDecompressor(options=options), name=self.name, damage=ZstdError)

    def compress(self, chunks: Iterable[Buffer], *, level: int | None, threads: int) -> Iterator[Buffer]:
        from transship_zstd.library import ZstdCompressor

        encoder = ZstdCompressor(options=_options(level, threads))
        for chunk in chunks:
            if output := encoder.compress(chunk):
                yield output
        yield encoder.flush()

    def describe(self) -> Mapping[str, str]:
        from transship_zstd.library import zstd_version

        return {
            "library": f"libzstd {zstd_version}",
            "default level": ", ".join(f"{name}={value}" for name, value in _DEFAULT.items()),
            "block size": str(BLOCK_SIZE),
        }


def _speed(level: int | None) -> dict[str, int]:
    if level is None or 3 <= level < 6:
        return _DEFAULT
    if level < 3:
        return _FASTEST
    return _BETTER if level < 10 else _BEST


def _options(level: int | None, threads: int) -> dict[int, int]:
    from transship_zstd.library import CompressionParameter

    # One worker at least: without any the library works in another way, with other output.
    workers = min(max(threads, 1), _MOST_THREADS)
    by_name = {"checksum_flag": 1, "job_size": BLOCK_SIZE, "nb_workers": workers, **_speed(level)}
    return {CompressionParameter[name]: value for name, value in by_name.items()}


@hookimpl
def transship_compressions() -> list[Compression]:
    """Offer zstd."""
    return [Zstd()]
