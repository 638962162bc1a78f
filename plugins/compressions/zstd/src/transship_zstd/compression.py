"""zstd, by the library of its authors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from transship import hookimpl
from transship.plugin.blob import Buffer
from transship.plugin.compression import Compression, decompress_members

# Parameters of libzstd. On layers of usual content each speed makes less than that of klauspost's zstd, which
# container tools use. job_size is how much input one thread takes; the output depends on it. Long distance
# matching and a wide window find files that a layer holds more than once. Each job sees as much of the input
# before it as overlap_log says: 9 is a whole window, each step down halves it.
_FASTEST = {"compression_level": 2, "window_log": 22, "job_size": 4 << 20, "overlap_log": 7}
_DEFAULT = {
    "compression_level": 3,
    "window_log": 22,
    "job_size": 4 << 20,
    "overlap_log": 7,
    # Smaller tables than the level's own stay in the fastest cache: a fifth of the time for 2 % of the size.
    "hash_log": 16,
    "chain_log": 15,
}
_BETTER = {"compression_level": 7, "window_log": 22, "job_size": 4 << 20, "overlap_log": 9}
_BEST = {
    "compression_level": 13,
    "window_log": 25,
    "job_size": 8 << 20,
    "overlap_log": 7,
    "enable_long_distance_matching": 1,
    # Smaller tables than the level's own, searched more often: as good, in half the memory.
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
            if chunk and (output := encoder.compress(chunk)):
                yield output
        yield encoder.flush()

    def describe(self) -> Mapping[str, str]:
        from transship_zstd.library import zstd_version

        return {
            "library": f"libzstd {zstd_version}",
            "default level": ", ".join(f"{name}={value}" for name, value in _DEFAULT.items()),
            "block size": str(_DEFAULT["job_size"]),
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
    by_name = {"checksum_flag": 1, "nb_workers": workers, **_speed(level)}
    return {CompressionParameter[name]: value for name, value in by_name.items()}


@hookimpl
def transship_compressions() -> list[Compression]:
    """Offer zstd."""
    return [Zstd()]
