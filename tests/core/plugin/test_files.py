"""Local files: nothing half-written stays, and no link or device leads astray."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from transship.errors import TransportError
from transship.plugin.files import (
    TemporaryFile,
    copy_region,
    locked,
    open_regular,
    read_regular,
    read_settings,
    remove_stale,
    replacing,
    reporting,
    sync_folder,
    temporary_in,
    unused_name,
    write_file,
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "file").write_bytes(b"inside")
    (tmp_path / "outside").write_bytes(b"outside")
    return tmp_path / "inside"


class TestOpening:
    def test_regular_file_is_opened(self, folder):
        with open_regular(folder / "file", within=folder) as file:
            assert file.read() == b"inside"

    def test_fifo_is_refused_and_does_not_block(self, folder):
        os.mkfifo(folder / "fifo")
        with pytest.raises(TransportError, match="not a regular file"):
            open_regular(folder / "fifo")

    @pytest.mark.parametrize("path", ["/dev/null", "/dev/zero", "/"])
    def test_devices_and_folders_are_refused(self, path):
        with pytest.raises(TransportError, match="not a regular file"):
            open_regular(path)

    def test_socket_is_refused(self, folder, monkeypatch):
        monkeypatch.chdir(folder)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket")
            with pytest.raises((OSError, TransportError)):
                open_regular("socket")

    def test_missing_file_is_not_found(self, folder):
        with pytest.raises(FileNotFoundError):
            open_regular(folder / "none")

    @pytest.mark.parametrize("name", ["a\0b", "\ud800"])
    def test_name_that_no_file_can_have_is_an_error_of_the_system(self, name):
        with pytest.raises(OSError, match="No file can have this name"):
            open_regular(name)

    @pytest.mark.parametrize("target", ["../outside", "/etc/passwd"])
    def test_link_that_leads_out_is_refused(self, folder, target):
        (folder / "link").symlink_to(target)
        with pytest.raises(TransportError, match="leads out of"):
            open_regular(folder / "link", within=folder)

    def test_linked_folder_that_leads_out_is_refused(self, folder):
        (folder / "sub").symlink_to("..")
        with pytest.raises(TransportError, match="leads out of"):
            open_regular(folder / "sub" / "outside", within=folder)

    def test_dots_that_lead_out_are_refused(self, folder):
        with pytest.raises(TransportError, match="leads out of"):
            open_regular(folder / ".." / "outside", within=folder)

    def test_folder_that_begins_with_the_same_name_is_outside(self, folder):
        other = folder.with_name("inside2")
        other.mkdir()
        (other / "file").write_bytes(b"other")
        with pytest.raises(TransportError, match="leads out of"):
            open_regular(other / "file", within=folder)

    def test_link_that_stays_inside_is_followed(self, folder):
        (folder / "link").symlink_to("file")
        with open_regular(folder / "link", within=folder) as file:
            assert file.read() == b"inside"

    def test_folder_itself_may_be_a_link(self, folder, tmp_path):
        (tmp_path / "alias").symlink_to("inside")
        with open_regular(tmp_path / "alias" / "file", within=tmp_path / "alias") as file:
            assert file.read() == b"inside"

    def test_relative_paths_work(self, folder, monkeypatch):
        monkeypatch.chdir(folder)
        with open_regular("file", within=".") as file:
            assert file.read() == b"inside"

    def test_no_descriptor_is_left_open_by_a_refusal(self, folder):
        os.mkfifo(folder / "fifo")
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            with pytest.raises(TransportError):
                open_regular(folder / "fifo")
        assert len(os.listdir("/proc/self/fd")) == before

    @pytest.mark.parametrize(("limit", "fits"), [(6, True), (7, True), (5, False), (0, False)])
    def test_only_as_much_as_the_limit_is_read(self, folder, limit, fits):
        if fits:
            assert read_regular(folder / "file", limit) == b"inside"
        else:
            with pytest.raises(TransportError, match="exceeded maximum allowed size"):
                read_regular(folder / "file", limit)


class TestReplacing:
    def test_file_appears_with_its_mode_when_the_block_ends(self, tmp_path):
        with replacing(tmp_path / "new", 0o600) as file:
            file.write(b"data")
            assert not (tmp_path / "new").exists()
        assert (tmp_path / "new").read_bytes() == b"data"
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600

    def test_after_an_exception_the_old_one_stays_and_nothing_else(self, tmp_path):
        (tmp_path / "file").write_bytes(b"old")

        def interrupted():
            with replacing(tmp_path / "file") as file:
                file.write(b"new")
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert (tmp_path / "file").read_bytes() == b"old"
        assert os.listdir(tmp_path) == ["file"]

    def test_link_is_replaced_and_what_it_led_to_is_left_alone(self, tmp_path):
        (tmp_path / "victim").write_bytes(b"victim")
        (tmp_path / "file").symlink_to("victim")
        write_file(tmp_path / "file", b"new")
        assert (tmp_path / "victim").read_bytes() == b"victim"
        assert not (tmp_path / "file").is_symlink()

    def test_longest_names_can_be_written(self, tmp_path):
        for name in ("x" * 255, "ü" * 127, "層" * 85):
            write_file(tmp_path / name, b"data")
            assert (tmp_path / name).read_bytes() == b"data"

    def test_file_without_a_folder_goes_to_the_current_one(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        write_file("file", b"data")
        assert os.listdir(tmp_path) == ["file"]

    def test_file_larger_than_one_write_is_whole(self, tmp_path):
        data = os.urandom(1000) * 5000
        write_file(tmp_path / "file", data)
        assert (tmp_path / "file").read_bytes() == data

    def test_unpublished_temporary_file_is_gone(self, tmp_path):
        with temporary_in(tmp_path, "name") as temporary:
            name = os.path.basename(temporary.path)
            assert name.startswith(".name.")
            assert name.endswith(".tmp")
        assert os.listdir(tmp_path) == []

    def test_new_file_that_keeps_its_name_is_there_once_it_is_published(self, tmp_path):
        path = str(tmp_path / "file")
        with TemporaryFile(path) as new:
            new.write(b"data")
            new.publish(path)
        assert (tmp_path / "file").read_bytes() == b"data"
        with pytest.raises(FileExistsError):
            TemporaryFile(path)
        assert os.listdir(tmp_path) == ["file"]

    def test_unused_name_is_another_each_time(self, tmp_path):
        names = {unused_name(tmp_path, "name") for _ in range(100)}
        assert len(names) == 100
        assert not any(map(os.path.exists, names))


class TestTidying:
    def test_only_old_files_of_that_name_go(self, tmp_path):
        old = time.time() - 48 * 3600
        for name in (".name.a.tmp", ".name.b.txt", ".other.a.tmp", "name.a.tmp", ".name.young.tmp"):
            (tmp_path / name).write_bytes(b"")
            if "young" not in name:
                os.utime(tmp_path / name, (old, old))
        (tmp_path / ".name.folder.tmp").mkdir()
        os.utime(tmp_path / ".name.folder.tmp", (old, old))
        remove_stale(tmp_path, "name")
        assert sorted(os.listdir(tmp_path)) == sorted(
            [".name.b.txt", ".other.a.tmp", "name.a.tmp", ".name.young.tmp", ".name.folder.tmp"]
        )

    def test_time_of_a_further_name_is_that_of_its_making(self, tmp_path):
        (tmp_path / "file").write_bytes(b"")
        os.utime(tmp_path / "file", (1, 1))
        os.link(tmp_path / "file", tmp_path / ".name.link.tmp")
        remove_stale(tmp_path, "name")
        assert (tmp_path / ".name.link.tmp").exists()
        remove_stale(tmp_path, "name", seconds=-1)
        assert os.listdir(tmp_path) == ["file"]

    def test_folder_that_is_not_there_is_tidy(self, tmp_path):
        remove_stale(tmp_path / "none")

    def test_folder_can_be_synced(self, tmp_path):
        sync_folder(tmp_path)
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(NotADirectoryError):
            sync_folder(tmp_path / "file")


class TestSettings:
    @pytest.fixture
    def pipe(self):
        """Gives the path of a pipe that holds some bytes, as a shell makes it of ``<(…)``."""
        opened = []

        def pipe(data):
            reading, writing = os.pipe()
            opened.append(reading)
            os.write(writing, data)
            os.close(writing)
            return f"/dev/fd/{reading}"

        yield pipe
        for descriptor in opened:
            os.close(descriptor)

    def test_a_pipe_that_was_named_says_the_same_to_all_who_ask(self, pipe):
        path = pipe(b"said once")
        with ThreadPoolExecutor(4) as pool:
            said = list(pool.map(lambda _: read_settings(path, 100, is_named=True), range(8)))
        assert set(said) == {b"said once"}

    def test_the_next_pipe_of_that_name_says_something_else(self, tmp_path):
        """File systems give the number of what was removed to what is made next."""
        for data in (b"first", b"second"):
            os.mkfifo(tmp_path / "pipe")
            writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data,), daemon=True)
            writer.start()
            assert read_settings(str(tmp_path / "pipe"), 100, is_named=True) == data
            writer.join()
            (tmp_path / "pipe").unlink()

    def test_pipes_are_held_in_small_numbers(self, tmp_path, pipe):
        paths = [pipe(b"data") for _ in range(40)]
        before = len(os.listdir("/proc/self/fd"))
        for path in paths:
            assert read_settings(path, 100, is_named=True) == b"data"
        assert len(os.listdir("/proc/self/fd")) <= before + 16

    @pytest.mark.parametrize("size", [5, 6])
    def test_only_as_much_as_the_limit_is_read_of_it(self, pipe, size):
        if size == 5:
            assert read_settings(pipe(b"x" * size), 5, is_named=True) == b"x" * size
            return
        path = pipe(b"x" * size)
        for _ in range(2):  # what is left in it counts no more than what came first
            with pytest.raises(TransportError, match="exceeded"):
                read_settings(path, 5, is_named=True)

    def test_a_file_is_read_anew_each_time(self, tmp_path):
        for data in (b"first", b"second"):
            (tmp_path / "file").write_bytes(data)
            assert read_settings(str(tmp_path / "file"), 100, is_named=True) == data

    @pytest.mark.parametrize("is_named", [False, True])
    @pytest.mark.parametrize("path", ["a\0b", "\ud800"])
    def test_what_no_file_can_be_called_is_as_any_trouble_with_a_file(self, path, is_named):
        with pytest.raises(OSError, match="name"):
            read_settings(path, 100, is_named=is_named)

    def test_what_was_not_named_is_never_waited_for(self, tmp_path, pipe):
        os.mkfifo(tmp_path / "pipe")
        for path in (str(tmp_path / "pipe"), pipe(b"data"), "/dev/zero", str(tmp_path)):
            with pytest.raises(TransportError):
                read_settings(path, 100, is_named=False)
        assert read_settings(os.devnull, 100, is_named=False) == b""


class TestReporting:
    def test_system_error_becomes_one_line_with_the_path(self, tmp_path):
        with pytest.raises(TransportError, match=r"open .*none: no such file"), reporting("open", "elsewhere"):
            os.stat(tmp_path / "none")

    def test_path_is_the_given_one_where_the_system_names_a_temporary_one(self, tmp_path):
        path = tmp_path / "none" / "file"
        with pytest.raises(TransportError, match=r"none/file: no such file"), reporting("write", path):
            write_file(path, b"")

    def test_path_is_the_given_one_where_the_system_names_none(self):
        with pytest.raises(TransportError, match="write here: disk on fire"), reporting("write", "here"):
            raise OSError(5, "Disk on fire")


def locks_files_only(monkeypatch):
    """Have the system refuse to lock a folder, as it does on NFS."""
    flock = fcntl.flock

    def refusing(descriptor: int, operation: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EBADF, "Bad file descriptor")
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", refusing)


class TestLocking:
    def test_other_process_waits(self, tmp_path):
        code = (
            "import sys\nfrom transship.plugin.files import locked\n"
            "print('trying', flush=True)\n"
            "with locked(sys.argv[1]):\n    print('in', flush=True)\n"
        )
        with locked(tmp_path):
            other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
            assert other.stdout is not None
            assert other.stdout.readline() == "trying\n"
            with pytest.raises(subprocess.TimeoutExpired):
                other.wait(0.3)
        out, _ = other.communicate(timeout=20)
        assert out == "in\n"

    @pytest.mark.parametrize("on_nfs", [False, True])
    def test_other_thread_waits(self, tmp_path, monkeypatch, on_nfs):
        if on_nfs:
            locks_files_only(monkeypatch)
        order: list[str] = []

        def other() -> None:
            with locked(tmp_path):
                order.append("other")

        thread = threading.Thread(target=other)
        with locked(tmp_path):
            thread.start()
            time.sleep(0.1)
            order.append("first")
        thread.join()
        assert order == ["first", "other"]

    def test_nothing_is_left(self, tmp_path):
        with locked(tmp_path):
            pass
        assert os.listdir(tmp_path) == []

    def test_link_is_not_followed_where_a_file_is_locked(self, tmp_path, monkeypatch):
        locks_files_only(monkeypatch)
        (tmp_path / ".transship.lock").symlink_to("victim")
        with pytest.raises(OSError, match="symbolic links"), locked(tmp_path):
            pass
        assert not (tmp_path / "victim").exists()


class TestCopyingRegions:
    @pytest.mark.parametrize("in_kernel", [True, False])
    @pytest.mark.parametrize(
        ("offset", "size", "position"), [(0, 10000, 0), (10, 100, 0), (0, 10000, 7), (9999, 1, 3), (5, 0, 0)]
    )
    def test_region_lands_at_the_position_and_is_given_back(
        self, tmp_path, monkeypatch, in_kernel, offset, size, position
    ):
        if not in_kernel:
            monkeypatch.delattr(os, "copy_file_range", raising=False)
        data = os.urandom(10000)
        (tmp_path / "source").write_bytes(data)
        with open(tmp_path / "source", "rb", buffering=0) as source, _new(tmp_path / "target") as target:
            target.write(b"-" * position)
            given = b"".join(bytes(piece) for piece in copy_region(source, offset, size, target))
            assert target.tell() == position + size
        assert given == data[offset : offset + size]
        assert (tmp_path / "target").read_bytes() == b"-" * position + given

    def test_copy_ends_where_the_source_does(self, tmp_path):
        (tmp_path / "source").write_bytes(b"short")
        with open(tmp_path / "source", "rb", buffering=0) as source, _new(tmp_path / "target") as target:
            given = b"".join(bytes(piece) for piece in copy_region(source, 2, 1000, target))
        assert given == b"ort"
        assert (tmp_path / "target").read_bytes() == b"ort"

    def test_more_than_one_piece_is_copied(self, tmp_path):
        data = os.urandom(1 << 20) * 9
        (tmp_path / "source").write_bytes(data)
        with open(tmp_path / "source", "rb", buffering=0) as source, _new(tmp_path / "target") as target:
            assert b"".join(bytes(piece) for piece in copy_region(source, 0, len(data), target)) == data
        assert (tmp_path / "target").read_bytes() == data


def _new(path: Path):
    return open(path, "w+b", buffering=0)


def test_a_file_given_up_does_not_take_away_another_that_has_its_name_by_now(tmp_path):
    path = tmp_path / "blob"
    with TemporaryFile(str(path)) as wrong:
        wrong.write(b"half")
        write_file(path, b"whole")
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]
