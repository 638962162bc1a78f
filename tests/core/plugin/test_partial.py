"""Partial blobs: found again by their digest, and never taken from whoever writes them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from transship.image.digest import digest_of
from transship.plugin.partial import (
    continued_partial,
    open_partial,
    partial_path,
    publish_partial,
    remove_partial,
    remove_stale_partials,
)

DIGEST = digest_of(b"data")
HOLDER = """
import sys, time
from transship.image.digest import Digest
from transship.plugin.partial import open_partial

with open_partial(sys.argv[1], Digest.parse(sys.argv[2]), create=True) as partial:
    partial.file.write(b"da")
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path)


@pytest.fixture
def path(folder):
    return partial_path(folder, DIGEST)


@pytest.fixture
def write(folder):
    def write(data=b"da"):
        with open_partial(folder, DIGEST, create=True) as partial:
            partial.file.write(data)
            return partial.state

    return write


@pytest.fixture
def holder(folder):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, folder, str(DIGEST)], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_there_is_none_at_first(folder):
    assert open_partial(folder, DIGEST) is None
    assert os.listdir(folder) == []


def test_it_is_found_again_by_its_digest_and_is_private(folder, path, write):
    write(b"da")
    with open_partial(folder, DIGEST) as partial:
        assert partial.file.read() == b"da"
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.listdir(folder) == [f".transship.sha256-{DIGEST.encoded}.partial"]
    assert open_partial(folder, digest_of(b"other")) is None


def test_who_has_it_keeps_others_away(folder):
    with open_partial(folder, DIGEST, create=True):
        assert open_partial(folder, DIGEST) is None
        assert open_partial(folder, DIGEST, create=True) is None
        remove_partial(folder, DIGEST)
        remove_stale_partials(folder, seconds=-1)
    with open_partial(folder, DIGEST) as partial:
        assert partial is not None


def test_it_can_be_waited_for(folder):
    with ThreadPoolExecutor(1) as other:
        with open_partial(folder, DIGEST, create=True):
            waiting = other.submit(open_partial, folder, DIGEST, waits=True)
            with pytest.raises(TimeoutError):
                waiting.result(0.3)
        with waiting.result(20) as partial:
            assert not partial.is_complete


def test_that_ends_when_its_process_does(folder, holder):
    assert open_partial(folder, DIGEST) is None
    holder.send_signal(signal.SIGKILL)
    holder.wait(20)
    with open_partial(folder, DIGEST) as partial:
        assert partial.file.read() == b"da"


@pytest.mark.parametrize("planted", ["symbolic link", "dangling link", "hard link", "pipe", "folder"])
def test_what_somebody_else_planted_is_left_alone(folder, path, tmp_path, planted):
    victim = tmp_path / "victim"
    if planted != "dangling link":
        victim.write_bytes(b"precious")
    if planted.endswith("link"):
        (os.link if planted == "hard link" else os.symlink)(victim, path)
    elif planted == "pipe":
        os.mkfifo(path)
    else:
        os.mkdir(path)
    assert open_partial(folder, DIGEST) is None
    assert open_partial(folder, DIGEST, create=True) is None
    assert not victim.exists() or victim.read_bytes() == b"precious"


def test_folder_that_is_not_there_has_none(folder):
    assert open_partial(f"{folder}/none", DIGEST, create=True) is None
    remove_partial(f"{folder}/none", DIGEST)
    remove_stale_partials(f"{folder}/none")


def test_only_the_file_itself_is_continued(folder, write):
    write()
    with open_partial(folder, DIGEST) as partial:
        assert continued_partial(folder, DIGEST, partial.file).path == partial.path
        assert continued_partial(folder, digest_of(b"other"), partial.file) is None
        partial.discard()
        assert continued_partial(folder, DIGEST, partial.file) is None


def test_whole_blob_takes_its_name_and_anybody_may_read_it(path, write, tmp_path):
    state = write(b"data")
    assert publish_partial(path, state, str(tmp_path / "blob"))
    assert os.listdir(tmp_path) == ["blob"]
    assert (tmp_path / "blob").read_bytes() == b"data"
    assert os.stat(tmp_path / "blob").st_mode & 0o777 == 0o644


def test_verified_one_is_told_from_one_that_is_begun_anew(folder, path):
    with open_partial(folder, DIGEST, create=True) as partial:
        partial.complete()
        assert partial.is_complete
        partial.restart()
        assert not partial.is_complete
        partial.publish(f"{folder}/blob")
    assert os.listdir(folder) == ["blob"]
    assert os.stat(f"{folder}/blob").st_mode & 0o777 == 0o644


@pytest.mark.parametrize("change", ["removed", "written", "replaced", "linked"])
def test_file_that_is_not_as_it_was_gets_no_name(path, write, tmp_path, change):
    state = write(b"data")
    if change == "written":
        write(b"dat")
    else:
        os.rename(path, tmp_path / "kept")
    if change == "replaced":
        write(b"evil")
    elif change == "linked":
        os.symlink(tmp_path / "kept", path)
    assert not publish_partial(path, state, str(tmp_path / "blob"))
    assert not (tmp_path / "blob").exists()


def test_old_ones_go_and_others_stay(folder, path, write, tmp_path):
    write()
    with open_partial(folder, digest_of(b"young"), create=True):
        pass
    (tmp_path / ".transship.other").write_bytes(b"")
    for name in (path, tmp_path / ".transship.other"):
        os.utime(name, (time.time() - 90_000,) * 2)
    remove_stale_partials(folder)
    young = os.path.basename(partial_path(folder, digest_of(b"young")))
    assert sorted(os.listdir(folder)) == sorted([young, ".transship.other"])


def test_one_that_was_taken_is_young_again(folder, path, write):
    write()
    os.utime(path, (time.time() - 90_000,) * 2)
    with open_partial(folder, DIGEST) as partial:
        partial.touch()
    remove_stale_partials(folder)
    assert os.path.exists(path)
