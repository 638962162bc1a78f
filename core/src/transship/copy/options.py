"""What a copy is asked to do, and what came of it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import NamedTuple

from transship.image.digest import Digest
from transship.image.platform import Platform, PlatformRequest

DEFAULT_PARALLEL_BLOBS = 6


class MultiArch(enum.Enum):
    """What is copied of a multi-platform image."""

    SYSTEM = "system"
    ALL = "all"
    INDEX_ONLY = "index-only"
    PLATFORMS = "platforms"


class CopyOptions(NamedTuple):
    """How to copy. Holds no secret and no open resource, so that it can travel to another process.

    ``platform``: which instance of an index is wanted. ``platforms``: which ones, with ``MultiArch.PLATFORMS``.
    ``strip_sparse_index``: entries that were not copied are left out of the index.
    ``remove_signatures``: the source's are not copied; ``remove_index_signatures``: those of an index itself are not.
    ``manifest_type``: the media type to write, ``""``: the source's if the destination takes it.
    ``compress_format``: the name of a compression, ``""``: what the destination wants; ``compress_level`` None: the
    algorithm's default; ``force_compress_format``: blobs compressed otherwise are not reused.
    ``parallel_blobs``: how many at the same time, 0: the default of 6. ``annotations`` are set on what is written
    under the destination's name. ``dry_run``: nothing is written. ``require_signed``: as in a policy that demands it.
    ``referrers``: what refers to the image is copied too; then the image's digest stays as it is.
    ``sign_identity`` is the docker reference, with tag or digest, that new signatures are for, ``""``: the
    destination's.
    """

    multi_arch: MultiArch = MultiArch.SYSTEM
    platform: PlatformRequest = PlatformRequest()
    platforms: tuple[Platform, ...] = ()
    strip_sparse_index: bool = False
    manifest_type: str = ""
    preserve_digests: bool = False
    remove_signatures: bool = False
    remove_index_signatures: bool = False
    compress_format: str = ""
    compress_level: int | None = None
    force_compress_format: bool = False
    parallel_blobs: int = 0
    annotations: Mapping[str, str] = {}
    dry_run: bool = False
    require_signed: bool = False
    referrers: bool = False
    sign_identity: str = ""


class CopyResult(NamedTuple):
    """What was written to one destination.

    ``destination`` is its reference as text. ``digest`` and ``media_type`` are those of the manifest or index that
    the reference now names. ``bytes_written`` counts blobs; ``blobs_written`` and ``blobs_reused`` are their numbers.
    In a dry run the digest is that of the source, and the counts tell what would be moved; a blob of
    unknown size counts no bytes.
    """

    destination: str
    digest: Digest
    media_type: str
    blobs_written: int
    blobs_reused: int
    bytes_written: int
