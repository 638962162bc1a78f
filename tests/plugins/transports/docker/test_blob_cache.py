"""Remembering where blobs are."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import time

import pytest

from transship.image.descriptor import Descriptor
from transship.image.digest import digest_of
from transship.plugin.transport import RawManifest
from transship.testing.images import image_with_foreign_layer, oci_image, oci_index
from transship_docker.blob_cache import CANDIDATES, BlobCache, open_cache

DIGEST = digest_of(b"layer")
HOST = "registry.example"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "made" / "transship" / "file.sqlite"


def places(cache, *, besides="own/repository", host=HOST, digest=DIGEST):
    return cache.repositories(host, digest, besides=besides)


def test_what_was_noted_is_known(path):
    cache = BlobCache(str(path))
    cache.note(HOST, "a", [DIGEST])
    assert places(cache) == ["a"]
    assert places(cache, besides="a") == []
    assert places(cache, host="other.example") == []
    assert places(cache, digest=digest_of(b"other")) == []


def test_others_know_it_after_save(path):
    cache = BlobCache(str(path))
    cache.note(HOST, "a", [DIGEST])
    assert places(BlobCache(str(path))) == []
    cache.save()
    assert places(BlobCache(str(path))) == ["a"]
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("saved", [True, False])
def test_the_latest_come_first_and_few(path, saved):
    cache = BlobCache(str(path))
    for number in range(CANDIDATES + 3):
        cache.note(HOST, f"r{number}", [DIGEST])
        time.sleep(0.001)
    if saved:
        cache.save()
        cache = BlobCache(str(path))
    assert places(cache) == [f"r{number}" for number in range(CANDIDATES + 2, 2, -1)]


def test_what_is_gone_is_forgotten(path):
    cache = BlobCache(str(path))
    cache.note(HOST, "a", [DIGEST])
    cache.save()
    cache = BlobCache(str(path))
    cache.forget(HOST, "a", DIGEST)
    assert places(cache) == []
    cache.save()
    assert places(BlobCache(str(path))) == []
    cache.note(HOST, "a", [DIGEST])
    assert places(cache) == ["a"]


def test_old_entries_go(path, monkeypatch):
    cache = BlobCache(str(path))
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    cache.note(HOST, "a", [DIGEST])
    cache.save()
    monkeypatch.undo()
    cache.note(HOST, "b", [DIGEST])
    cache.save()
    assert places(BlobCache(str(path))) == ["b"]


def test_manifests_name_blobs():
    cache = BlobCache()
    image, foreign, index = oci_image(), image_with_foreign_layer(), oci_index()
    for each in (image, foreign, index):
        cache.note_manifest(HOST, "a", RawManifest(each.manifest, each.media_type))
    assert all(places(cache, digest=digest) == ["a"] for digest in image.blobs)
    cache.note_manifest(HOST, "b", RawManifest(b"nonsense", ""))


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + b"\xff" * 5000, b""])
def test_broken_files_are_no_trouble(path, content):
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    cache = BlobCache(str(path))
    assert places(cache) == []
    cache.note(HOST, "a", [DIGEST])
    cache.save()
    assert places(cache) == ["a"]


@pytest.mark.parametrize("blocker", ["folder", "file", "nowhere"])
def test_places_without_room_are_no_trouble(path, blocker):
    if blocker == "folder":
        path.mkdir(parents=True)
    elif blocker == "file":
        path.parent.parent.mkdir()
        path.parent.write_bytes(b"")
    cache = BlobCache("/proc/nowhere/file" if blocker == "nowhere" else str(path))
    cache.note(HOST, "a", [DIGEST])
    cache.save()
    assert places(cache) == ["a"]


def test_odd_rows_are_passed_over(path):
    cache = BlobCache(str(path))
    cache.note(HOST, "a", [DIGEST])
    cache.save()
    connection = sqlite3.connect(path)
    for odd in ("../../etc", "a?b=c", "UPPER", "", "a:pull repository:b", 5):
        connection.execute("INSERT INTO locations VALUES (?, ?, ?, ?)", (HOST, str(DIGEST), odd, 1e12))
    connection.commit()
    connection.close()
    assert places(BlobCache(str(path))) in (["5", "a"], ["a"])


_PROCESS = """
import sys
from transship.image.descriptor import Descriptor
from transship.image.digest import digest_of
from transship_docker.blob_cache import BlobCache
path, name = sys.argv[1:]
for number in range(20):
    cache, digest = BlobCache(path), digest_of(str(number).encode())
    cache.note("registry.example", f"{name}-{number}", [digest])
    cache.note_variant(digest, name, Descriptor("", digest_of(name.encode()), number))
    cache.save()
    assert cache._file._file._path
"""


def test_eight_processes_get_along(path):
    names = [f"p{number}" for number in range(8)]
    processes = [subprocess.Popen([sys.executable, "-c", _PROCESS, str(path), name]) for name in names]
    assert [process.wait(60) for process in processes] == [0] * 8
    connection = sqlite3.connect(path)
    for table in ("locations", "variants"):
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (160,)  # noqa: S608
    connection.close()
    assert BlobCache(str(path)).variant(digest_of(b"7"), "p3") == Descriptor("", digest_of(b"p3"), 7)


def test_everybody_has_one_place(make_context, monkeypatch, tmp_path):
    assert open_cache(make_context()) is open_cache(make_context())
    assert open_cache(make_context(no_cache="true")) is not open_cache(make_context(no_cache="true"))
    open_cache(make_context()).note(HOST, "a", [DIGEST])
    open_cache(make_context()).save()
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["transship"]
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert places(open_cache(make_context())) == []


def test_reading_needs_no_database():
    program = "import sys, transship_docker.source; sys.exit('sqlite3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
