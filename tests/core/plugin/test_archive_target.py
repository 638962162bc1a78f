from __future__ import annotations

import fcntl
import os
import stat

import pytest

from transship.errors import TransportError
from transship.plugin.archive_target import ArchiveTarget


def write_to(path, data=b"new"):
    target = ArchiveTarget(str(path))
    target.open().write(data)
    return target


def test_file_appears_at_commit(tmp_path):
    target = write_to(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    target.commit()
    assert (tmp_path / "a").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["a"]


def test_nothing_stays_without_commit(tmp_path):
    target = write_to(tmp_path / "a")
    target.close()
    target.close()
    assert os.listdir(tmp_path) == []


def test_replaced_file_hands_on_its_mode(tmp_path):
    (tmp_path / "a").touch(mode=0o600)
    write_to(tmp_path / "a").commit()
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600


@pytest.mark.parametrize("data", [b"", b"old"])
def test_content_is_told_from_an_empty_file(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    assert ArchiveTarget(str(tmp_path / "a")).has_content == bool(data)


@pytest.mark.parametrize("found", [None, b"", b"old"])
@pytest.mark.parametrize("replaces_others", [True, False])
def test_what_was_found_is_replaced(tmp_path, found, replaces_others):
    if found is not None:
        (tmp_path / "a").write_bytes(found)
    write_to(tmp_path / "a").commit(replaces_others=replaces_others)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("found", [None, b"", b"old"])
def test_what_others_put_there_meanwhile_is_not_replaced(tmp_path, found):
    if found is not None:
        (tmp_path / "a").write_bytes(found)
    target = write_to(tmp_path / "a")
    (tmp_path / "b").write_bytes(b"by others")
    (tmp_path / "b").rename(tmp_path / "a")
    with pytest.raises(TransportError, match="changed by somebody else"):
        target.commit(replaces_others=False)
    target.close()
    assert (tmp_path / "a").read_bytes() == b"by others"
    assert os.listdir(tmp_path) == ["a"]


def test_what_another_process_is_about_to_replace_is_left_to_it(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    target = write_to(tmp_path / "a")
    with open(tmp_path / "a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(TransportError, match="changed by somebody else"):
            target.commit(replaces_others=False)
    target.close()
    assert (tmp_path / "a").read_bytes() == b"old"


def test_link_to_nothing_is_replaced(tmp_path):
    (tmp_path / "a").symlink_to("nowhere")
    write_to(tmp_path / "a").commit(replaces_others=False)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("name", ["", "folder", "none/a", "file/a"])
def test_place_that_cannot_be_written_is_refused(tmp_path, monkeypatch, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TransportError):
        ArchiveTarget(name)


def test_device_is_written_through():
    target = write_to("/dev/null")
    assert target.is_stream
    assert not target.has_content
    target.commit()
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_standard_output_is_a_stream_even_if_it_is_a_file(tmp_path):
    assert ArchiveTarget("/dev/stdout").is_stream


def test_file_that_is_written_to_is_refused_until_it_is_closed(tmp_path):
    (tmp_path / "link").symlink_to(".")
    first, second = write_to(tmp_path / "a"), ArchiveTarget(str(tmp_path / "link/a"))
    with pytest.raises(TransportError, match="written to already"):
        second.open()
    second.close()
    first.close()
    write_to(tmp_path / "a").commit()


def test_pipe_takes_one_archive_only():
    reader, writer = os.pipe()
    path = f"/proc/self/fd/{writer}"
    first, second = write_to(path), ArchiveTarget(path)
    with pytest.raises(TransportError, match="written to already"):
        second.open()
    second.close()
    first.close()
    os.close(reader)
    os.close(writer)


def test_device_takes_any_number():
    targets = [write_to("/dev/null"), write_to("/dev/null")]
    for target in targets:
        target.commit()


def test_pipe_that_holds_part_of_an_archive_takes_no_second_one(tmp_path):
    path = str(tmp_path / "pipe")
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        first = ArchiveTarget(path)
        first.open().write(b"begin")
        first.close()
        second = ArchiveTarget(path)
        with pytest.raises(TransportError):
            second.open()
        second.close()
        assert os.read(reader, 100) == b"begin"
    finally:
        os.close(reader)


def test_pipe_that_took_a_whole_archive_takes_another(tmp_path):
    path = str(tmp_path / "pipe")
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        for _ in range(2):
            target = ArchiveTarget(path)
            target.open().write(b"all")
            target.commit()
        assert os.read(reader, 100) == b"allall"
    finally:
        os.close(reader)
