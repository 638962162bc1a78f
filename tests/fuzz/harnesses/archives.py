"""Tar archives, and the images in them."""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harnesses.json_texts import WORDS as JSON_WORDS
from harnesses.target import Target, file_with, refusing
from transship.decompression import decompressed
from transship.discovery import PluginManager
from transship.errors import TransportError, TransshipError
from transship.image.manifest import parse_manifest
from transship.plugin.context import Context
from transship.plugin.tar import BLOCK, TarArchive, clean_path, open_input
from transship.plugin.transport import Source
from transship.testing.images import oci_image, oci_index, schema2_image
from transship.testing.layers import gzipped, tar_of, zstd_framed
from transship.testing.writers import write_docker_archive, write_oci_archive
from transship_docker_archive.archive import Archive
from transship_docker_archive.manifest_items import choose_item, parse_items
from transship_docker_archive.reference import DockerArchiveReference
from transship_docker_archive.source import DockerArchiveSource
from transship_oci.layout import LayoutIndex, new_entry
from transship_oci.reference import parse_layout_reference
from transship_oci.source import LayoutSource
from transship_oci_archive.archive import ArchiveStore

_MANAGER = PluginManager()
_CONTEXT = Context(decompress=lambda chunks: decompressed(_MANAGER, chunks))
_FIELDS = ((b"ustar\0" + b"00", 257), (b"ustar  \0", 257))
_CHECKSUM = slice(148, 156)


def repaired(data: bytes) -> bytes:
    """The archive with the right checksum in whatever looks like a header of a member."""
    fixed = bytearray(data)
    for start in range(0, len(data) - BLOCK + 1, BLOCK):
        block = fixed[start : start + BLOCK]
        if any(block[place : place + len(magic)] == magic for magic, place in _FIELDS):
            block[_CHECKSUM] = b" " * 8
            block[_CHECKSUM] = b"%06o\0 " % sum(block)
            fixed[start : start + BLOCK] = block
    return bytes(fixed)


def _check_tar(data: bytes) -> None:
    for first_counts in (False, True):
        with file_with(data) as path, refusing(TransportError):
            archive = TarArchive(open_input(path), path, Context(), first_counts=first_counts)
            try:
                _check_members(archive, data)
            finally:
                archive.close()


def _check_members(archive: TarArchive, data: bytes) -> None:
    end = 0
    for member in archive.index.members:
        assert member.start == end
        assert member.start + BLOCK <= member.region.offset <= member.region.offset + member.region.size <= len(data)
        assert member.region.offset + member.region.size <= member.end
        end = member.end
        name = clean_path(member.name)
        if name is not None:
            assert not {"", ".", ".."} & set(name.split("/")) or not name
            region = archive.index.find(name)
            if region is not None:
                with refusing(TransportError):
                    assert archive.read(name, 1 << 20) == data[region.offset :][: region.size]


def _check_docker_archive(data: bytes) -> None:
    with file_with(data) as path, refusing():
        with Archive(path, _CONTEXT) as archive:
            count = len(archive.items)
        for number in range(min(count, 3)):
            reference = DockerArchiveReference(transport="docker-archive", text="", path=path, index=number)
            with refusing():
                _check_source(DockerArchiveSource(reference, _CONTEXT))


def _check_oci_archive(data: bytes) -> None:
    with file_with(data) as path:
        for number in range(3):
            reference = parse_layout_reference("oci-archive", f"{path}:@{number}", takes_index=True)
            with refusing():
                store = ArchiveStore(reference, _CONTEXT)
                try:
                    _check_source(LayoutSource(store, reference))
                finally:
                    store.close()


def _check_source(source: Source) -> None:
    try:
        manifest = parse_manifest(*source.get_manifest())
        for layer in manifest.layers:
            with refusing():
                content = source.get_blob(layer.descriptor)
                assert sum(map(len, content)) == content.size
    finally:
        source.close()


def _check_items(data: bytes) -> None:
    with refusing():
        items = parse_items(data, "manifest.json")
        for number in range(min(len(items), 3)):
            assert choose_item(items, None, number) == items[number]
        choose_item(items, None, None)


def _check_layout_index(data: bytes) -> None:
    with refusing():
        index = LayoutIndex.parse(data, "index.json")
        try:
            again = LayoutIndex.parse(index.to_bytes(), "index.json")
        except TransshipError as error:
            raise AssertionError("an index that was written cannot be read") from error
        assert again.entries == index.entries
        names = index.names()
        index.add(new_entry("application/vnd.oci.image.manifest.v1+json", _DIGEST, 2, "new"))
        assert sorted({*names, "new"}) == sorted(index.names())
        index.digests()
        for entry in index.entries:
            with refusing():
                entry.size()


_DIGEST = oci_image().digest


def _archives(write: object, *images: dict[str, object]) -> Iterator[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "archive.tar")
        for each in images:
            write(each, path)
            yield path.read_bytes()


def _odd_tars() -> Iterator[bytes]:
    """Members of all kinds, in the formats of GNU tar, POSIX and before."""
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
            for name, kind, link, content in (
                ("a/../b", tarfile.REGTYPE, "", b"text"),
                ("d/", tarfile.DIRTYPE, "", b""),
                ("d/link", tarfile.SYMTYPE, "../b", b""),
                ("hard", tarfile.LNKTYPE, "a/../b", b""),
                ("x" * (60 if form == tarfile.USTAR_FORMAT else 120), tarfile.REGTYPE, "", b"long"),
                ("loop", tarfile.SYMTYPE, "loop/loop", b""),
                ("pipe", tarfile.FIFOTYPE, "", b""),
            ):
                member = tarfile.TarInfo(name)
                member.type, member.linkname, member.size = kind, link, len(content)
                if form == tarfile.PAX_FORMAT:
                    member.pax_headers = {"comment": "x", "size": str(len(content))}
                archive.addfile(member, io.BytesIO(content))
        yield buffer.getvalue().rstrip(b"\0") + bytes(2 * BLOCK)


_SMALL = tar_of({"a": b"content"})
_TAR_WORDS = (b"ustar\x0000", b"ustar  \0", b"././@LongLink", b"30 mtime=1.0\n", b"14 size=12345\n", b"12 path=../\n")
_TAR_WORDS += (b"19 linkpath=../../x\n", b"22 GNU.sparse.major=1\n", b"\x80\0\0\0\0\0\0\0\0\0\2\0", b"manifest.json")
_DOCKER = tuple(_archives(write_docker_archive, {"example.org/app:1": schema2_image()}, {"": schema2_image()}))
_OCI = tuple(_archives(write_oci_archive, {"v1": oci_image()}, {"": oci_index()}))
_ITEMS = (
    b'[{"Config":"c.json","RepoTags":["busybox:latest"],"Layers":["l/layer.tar"]}]',
    b'[{"Config":"c.json","RepoTags":null},{"Layers":[]}]',
)
_INDEX = (
    b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":'
    b'"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":2,"annotations":'
    b'{"org.opencontainers.image.ref.name":"v1"}}],"annotations":{"a":"b"}}' % (b"a" * 64)
)

TARGETS = (
    Target("tar", _check_tar, (*_odd_tars(), _SMALL), _TAR_WORDS, repaired, longest=16 << 10),
    Target(
        "docker-archive",
        _check_docker_archive,
        (*_DOCKER, gzipped(_DOCKER[0]), zstd_framed(_DOCKER[1])),
        (*_TAR_WORDS, *JSON_WORDS, b'"Config"', b'"RepoTags"', b'"Layers"', b'"rootfs"', b'"diff_ids"'),
        repaired,
        longest=64 << 10,
    ),
    Target(
        "oci-archive",
        _check_oci_archive,
        (*_OCI, gzipped(_OCI[0])),
        (*_TAR_WORDS, *JSON_WORDS, b'"manifests"', b'"digest"', b'"size"', b'"annotations"', b"blobs/sha256/"),
        repaired,
        longest=64 << 10,
    ),
    Target("docker-archive-items", _check_items, _ITEMS, (*JSON_WORDS, b'"Config"', b'"RepoTags"', b'"Layers"')),
    Target(
        "layout-index",
        _check_layout_index,
        (_INDEX, b'{"schemaVersion":2,"manifests":null}'),
        (*JSON_WORDS, b'"manifests"', b'"digest"', b'"size"', b'"annotations"', b'"org.opencontainers.image.ref.name"'),
    ),
)
