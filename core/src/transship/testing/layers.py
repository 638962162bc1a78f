"""Bytes of layers: real archives of a few files, and ways to compress them that need no library."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping

_MODIFIED = 1_700_000_000
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_SINGLE_SEGMENT_4_BYTE_SIZE = b"\xa0"
_ZSTD_BLOCK_LIMIT = 128 << 10


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """An archive with the ``files`` in their order; the same files always give the same bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(data), 0o644, _MODIFIED
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def gzipped(data: bytes) -> bytes:
    """``data`` as one gzip member without a time."""
    return gzip.compress(data, 6, mtime=0)


def zstd_framed(data: bytes) -> bytes:
    """``data`` as one zstd frame of blocks that are stored as they are (RFC 8878 sections 3.1.1.1 and 3.1.1.2)."""
    header = _ZSTD_MAGIC + _ZSTD_SINGLE_SEGMENT_4_BYTE_SIZE + len(data).to_bytes(4, "little")
    starts = range(0, len(data), _ZSTD_BLOCK_LIMIT) or [0]
    return header + b"".join(_raw_block(data, start) for start in starts)


def _raw_block(data: bytes, start: int) -> bytes:
    block = data[start : start + _ZSTD_BLOCK_LIMIT]
    is_last = start + len(block) == len(data)
    return (len(block) << 3 | is_last).to_bytes(3, "little") + block
