from __future__ import annotations

import contextlib
import io
import subprocess
import tarfile

import pytest

from transship.errors import TransportError
from transship.plugin.context import Context
from transship.plugin.tar import BLOCK, TarArchive, TarIndex, open_input, seekable_archive


def member(name, data=b"", kind=tarfile.REGTYPE, link="", pax=None):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(data)
    info.pax_headers = pax or {}
    return info, data


def archive(path, *members, tar_format=tarfile.PAX_FORMAT):
    with tarfile.open(path, "w", format=tar_format) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return path


def read(path, name, **options):
    with open(path, "rb", buffering=0) as file:
        region = TarIndex(file, "a.tar", **options).find(name)
        if region is None:
            return None
        file.seek(region.offset)
        return file.read(region.size)


LONG = "blobs/sha512/" + "a" * 128


@pytest.mark.parametrize("tar_format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["a", "./a/b", "/a/b", "a//b/./c", "d" * 90 + "/" + "e" * 60])
def test_file_is_found_in_every_format(tmp_path, tar_format, name):
    path = archive(tmp_path / "a", member("x", b"first"), member(name, b"data"), tar_format=tar_format)
    clean = "/".join(part for part in name.split("/") if part not in ("", "."))
    assert read(path, clean) == b"data"


@pytest.mark.parametrize("tar_format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_found(tmp_path, tar_format):
    assert read(archive(tmp_path / "a", member(LONG, b"data"), tar_format=tar_format), LONG) == b"data"


@pytest.mark.parametrize("tar_format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_targets_of_links_are_followed(tmp_path, tar_format):
    members = (member(LONG, b"data"), member("link", kind=tarfile.SYMTYPE, link=LONG))
    assert read(archive(tmp_path / "a", *members, tar_format=tar_format), "link") == b"data"


def test_headers_for_all_members_change_none(tmp_path):
    with tarfile.open(tmp_path / "a", "w", format=tarfile.PAX_FORMAT, pax_headers={"path": "other"}) as tar:
        tar.addfile(*[tarfile.TarInfo("a")])
    assert read(tmp_path / "a", "a") == b""
    assert read(tmp_path / "a", "other") is None


@pytest.mark.parametrize("size", [b"\xff" * 12, b"\x81" + bytes(10) + b"\1", b"0000000001-\0", b"9" * 12])
def test_size_that_is_no_number_of_bytes_is_refused(tmp_path, size):
    header = bytearray(member("a")[0].tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "a").write_bytes(bytes(header) + bytes(4 * BLOCK))
    with pytest.raises(TransportError, match="invalid size"):
        read(tmp_path / "a", "a")


def test_later_of_two_members_counts(tmp_path):
    assert read(archive(tmp_path / "a", member("a", b"old"), member("a", b"new")), "a") == b"new"


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE])
def test_first_of_two_members_counts_on_request(tmp_path, kind):
    path = archive(tmp_path / "a", member("a", b"old"), member("./a", kind=kind, link="x"))
    assert read(path, "a", first_counts=True) == b"old"


@pytest.mark.parametrize("kind", [tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_what_replaces_a_file_hides_it(tmp_path, kind):
    assert read(archive(tmp_path / "a", member("a", b"old"), member("a", kind=kind)), "a") is None


@pytest.mark.parametrize(
    ("links", "name"),
    [
        ([("l", "a/f", tarfile.SYMTYPE)], "l"),
        ([("b/l", "../a/f", tarfile.SYMTYPE)], "b/l"),
        ([("b", "a", tarfile.SYMTYPE)], "b/f"),
        ([("b", "c", tarfile.SYMTYPE), ("c", "./a", tarfile.SYMTYPE)], "b/f"),
        ([("l", "a/f", tarfile.LNKTYPE)], "l"),
    ],
)
def test_links_inside_are_followed(tmp_path, links, name):
    members = [member(link, kind=kind, link=target) for link, target, kind in links]
    assert read(archive(tmp_path / "a", member("a/f", b"data"), *members), name) == b"data"


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("/a/f", tarfile.SYMTYPE),
        ("../a/f", tarfile.SYMTYPE),
        ("l", tarfile.SYMTYPE),
        ("l/x", tarfile.SYMTYPE),
        ("none", tarfile.SYMTYPE),
        ("../a/f", tarfile.LNKTYPE),
        ("none", tarfile.LNKTYPE),
        ("/etc/passwd", tarfile.LNKTYPE),
    ],
)
def test_links_elsewhere_lead_nowhere(tmp_path, target, kind):
    path = archive(tmp_path / "a", member("a/f", b"data"), member("l", kind=kind, link=target))
    assert read(path, "l") is None


def test_names_that_lead_out_are_not_there(tmp_path):
    path = archive(tmp_path / "a", member("../f", b"data"), member("a/../../f", b"data"))
    assert read(path, "f") is None


def header(**fields):
    info = tarfile.TarInfo("a")
    block = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    for offset, data in fields.values():
        block[offset : offset + len(data)] = data
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


SPARSE_PAX = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}


@pytest.mark.parametrize(
    "data",
    [
        b"garbage",
        b"x" * 512,
        header(size=(124, b"\xff" * 12)),
        header(size=(124, b"-0000000001\0")),
        header(size=(124, b"zzzzzzzzzzz\0")),
        header(size=(124, b"\x80" + b"\xff" * 11)),
        header(size=(124, b"00000001000\0")),
        header(kind=(156, b"S")),
        header(kind=(156, b"x"), size=(124, b"77777777777\0")),
        header(kind=(156, b"L")) * 100,
        header(kind=(156, b"x"), size=(124, b"00000000010\0")) + b"99 a=b\n".ljust(512, b"\0"),
        header(kind=(156, b"x"), size=(124, b"00000000010\0")) + b"xxxxxxxx".ljust(512, b"\0"),
    ],
)
def test_unsound_archive_is_one_line(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(TransportError) as caught:
        read(tmp_path / "a", "a")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("pax", [SPARSE_PAX, {"size": "-1"}, {"size": "9" * 5000}, {"size": "1e3"}])
def test_extended_headers_are_checked(tmp_path, pax):
    path = archive(tmp_path / "a", member("a", b"data", pax=pax))
    with pytest.raises(TransportError):
        read(path, "a")


def test_huge_extended_header_is_refused(tmp_path):
    path = archive(tmp_path / "a", member("a", b"data", pax={"comment": "x" * (2 << 20)}))
    with pytest.raises(TransportError):
        read(path, "a")


def test_cut_archive_is_refused(tmp_path):
    path = archive(tmp_path / "a", member("a", b"data" * 1000))
    path.write_bytes(path.read_bytes()[:2048])
    with pytest.raises(TransportError, match="unexpected end"):
        read(path, "a")


def test_number_of_members_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("transship.plugin.tar._MAX_MEMBERS", 10)
    (tmp_path / "a").write_bytes(header() * 11)
    with pytest.raises(TransportError, match="too many"):
        read(tmp_path / "a", "a")


def test_empty_archive_has_nothing(tmp_path):
    assert read(archive(tmp_path / "a"), "a") is None


def test_archive_of_gnu_tar_is_read(tmp_path):
    (tmp_path / "f").write_bytes(b"data")
    subprocess.run(["tar", "-C", tmp_path, "-cf", tmp_path / "a.tar", "./f"], check=True)
    assert read(tmp_path / "a.tar", "f") == b"data"


def test_members_are_told_with_all_their_blocks(tmp_path):
    path = archive(tmp_path / "a", member("a", b"x" * 600), member(LONG, b"data"))
    with open(path, "rb", buffering=0) as file:
        first, second = TarIndex(file, "a.tar").members
    assert (first.start, first.end, second.start) == (0, 3 * BLOCK, 3 * BLOCK)
    assert second.end == 7 * BLOCK  # its extended header comes first


def unpacked(path, context):
    with open(path, "rb", buffering=0) as opened, seekable_archive(opened, str(path), context) as file:
        return file is opened, file.read()


def test_archive_on_disk_is_read_where_it_is(tmp_path):
    path = archive(tmp_path / "a", member("a", b"data"))
    assert unpacked(path, Context()) == (True, path.read_bytes())


def test_compressed_archive_is_unpacked_to_an_unnamed_file(tmp_path):
    data = archive(tmp_path / "a", member("a", b"data")).read_bytes()
    (tmp_path / "a").write_bytes(b"compressed")
    (tmp_path / "spool").mkdir()
    context = Context(
        temporary_directory=str(tmp_path / "spool"),
        decompress=lambda chunks: (data[start : start + 100] for start in range(0, len(data), 100)),
    )
    assert unpacked(tmp_path / "a", context) == (False, data)
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.parametrize("data", [b"", b"short", b"x" * 600])
def test_what_does_not_begin_as_an_archive_is_refused(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(TransportError, match="not a tar archive"):
        unpacked(tmp_path / "a", Context(temporary_directory=str(tmp_path)))


def test_device_is_refused():
    with pytest.raises(TransportError, match="neither a regular file nor a pipe"):
        unpacked("/dev/zero", Context())


def opened(path, **options):
    return contextlib.closing(TarArchive(open_input(str(path)), str(path), Context(), **options))


def test_files_of_an_archive_are_read(tmp_path):
    path = archive(tmp_path / "a", member("a", b"first"), member("a", b"second"))
    with opened(path, first_counts=True) as tar:
        assert (tar.read("a", 5), tar.find("b"), tar.is_unpacked) == (b"first", None, False)
        with pytest.raises(TransportError, match="exceeded maximum"):
            tar.read("a", 4)
        with pytest.raises(TransportError, match="not found in tar"):
            tar.read("b", 4)


def test_unsound_archive_is_closed_again(tmp_path):
    (tmp_path / "a").write_bytes(header(kind=(156, b"S")))
    file = open_input(str(tmp_path / "a"))
    with pytest.raises(TransportError):
        TarArchive(file, "a", Context())
    assert file.closed
