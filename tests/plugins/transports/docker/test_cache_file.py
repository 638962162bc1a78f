"""The file of a blob cache, and what is believed of it."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from contextlib import closing

import pytest

from transship.image.descriptor import Descriptor
from transship.image.digest import digest_of
from transship_docker.blob_cache import BlobCache

HOST, RECIPE = "registry.example", "gzip, carefully"
PLAIN, DIGEST = digest_of(b"plain"), digest_of(b"layer")
MADE = Descriptor("", digest_of(b"packed"), 6)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "made" / "transship" / "file.sqlite"


@pytest.fixture
def written(path):
    """A file that knows one place and one variant."""
    cache = BlobCache(str(path))
    cache.note(HOST, "a", [DIGEST])
    cache.note_variant(PLAIN, RECIPE, MADE)
    cache.save()
    return path


def known(path):
    """What a new process knows: repositories, and the variant."""
    cache = BlobCache(str(path))
    return cache.repositories(HOST, DIGEST, besides=""), cache.variant(PLAIN, RECIPE)


def changed(path, statement, *values):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)


def test_variants_are_known_by_content_and_recipe(written):
    cache = BlobCache(str(written))
    assert cache.variant(PLAIN, RECIPE) == MADE
    assert cache.variant(PLAIN, "gzip, in haste") is None
    assert cache.variant(DIGEST, RECIPE) is None


def test_variants_are_known_at_once_and_to_others_after_save(path):
    cache = BlobCache(str(path))
    cache.note_variant(PLAIN, RECIPE, MADE)
    assert cache.variant(PLAIN, RECIPE) == MADE
    assert known(path) == ([], None)
    cache.save()
    assert known(path) == ([], MADE)


def test_the_last_word_counts(written):
    cache, other = BlobCache(str(written)), Descriptor("", digest_of(b"otherwise"), 9)
    cache.note_variant(PLAIN, RECIPE, other)
    cache.save()
    assert known(written)[1] == other


def test_only_what_is_not_used_grows_old(written, monkeypatch):
    now, day = time.time(), 86_400
    for days in (60, 120):
        monkeypatch.setattr(time, "time", lambda days=days: now + days * day)
        cache = BlobCache(str(written))
        assert cache.variant(PLAIN, RECIPE) == MADE
        cache.save()
    cache = BlobCache(str(written))
    monkeypatch.setattr(time, "time", lambda: now + 220 * day)
    cache.note(HOST, "b", [DIGEST])
    cache.save()
    assert known(written) == (["b"], None)


def test_file_is_for_its_owner_alone(written):
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert stat.S_IMODE(written.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o666, 0o660, 0o602, 0o777])
@pytest.mark.parametrize("which", ["file", "folder"])
def test_what_others_may_write_is_not_believed(written, mode, which):
    each = written if which == "file" else written.parent
    each.chmod(mode | (0o700 if which == "folder" else 0))
    before = written.read_bytes()
    assert known(written) == ([], None)
    cache = BlobCache(str(written))
    cache.note_variant(PLAIN, RECIPE, MADE)
    cache.save()
    assert cache.variant(PLAIN, RECIPE) == MADE
    assert written.read_bytes() == before


@pytest.mark.parametrize("mode", [0o755, 0o700, 0o711])
def test_folder_that_others_may_only_read_will_do(written, mode):
    written.parent.chmod(mode)
    written.chmod(0o644)
    assert known(written) == (["a"], MADE)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("which", ["file", "folder"])
def test_what_belongs_to_others_is_not_believed(written, which):
    os.chown(written if which == "file" else written.parent, 12345, -1)
    before = written.read_bytes()
    assert known(written) == ([], None)
    cache = BlobCache(str(written))
    cache.note(HOST, "b", [DIGEST])
    cache.save()
    assert written.read_bytes() == before


def test_link_that_others_may_have_made_leads_to_no_new_file(path, tmp_path):
    path.parent.mkdir(parents=True)
    path.parent.chmod(0o777)
    path.symlink_to(tmp_path / "elsewhere")
    cache = BlobCache(str(path))
    cache.note(HOST, "a", [DIGEST])
    cache.save()
    assert not (tmp_path / "elsewhere").exists()


def test_place_that_is_a_pipe_stops_nobody(path):
    path.parent.mkdir(parents=True, mode=0o700)
    os.mkfifo(path, 0o600)
    cache = BlobCache(str(path))
    cache.note(HOST, "a", [DIGEST])
    cache.save()
    assert cache.repositories(HOST, DIGEST, besides="") == ["a"]


@pytest.mark.parametrize("content", [b"no database" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_broken_file_is_made_anew(written, content):
    written.write_bytes(content)
    assert known(written) == ([], None)
    cache = BlobCache(str(written))
    cache.note_variant(PLAIN, RECIPE, MADE)
    cache.save()
    assert known(written) == ([], MADE)


def test_broken_file_of_others_is_left_alone(written):
    written.write_bytes(b"no database" * 100)
    written.chmod(0o666)
    assert known(written) == ([], None)
    assert written.exists()


def test_file_of_an_older_version_serves_on(path):
    path.parent.mkdir(parents=True, mode=0o700)
    changed(
        path,
        "CREATE TABLE locations (host TEXT NOT NULL, digest TEXT NOT NULL, repository TEXT NOT NULL, "
        "seen REAL NOT NULL, PRIMARY KEY (host, digest, repository)) WITHOUT ROWID",
    )
    changed(path, "INSERT INTO locations VALUES (?, ?, ?, ?)", HOST, str(DIGEST), "old", time.time())
    cache = BlobCache(str(path))
    assert cache.variant(PLAIN, RECIPE) is None
    assert cache.repositories(HOST, DIGEST, besides="") == ["old"]
    cache.note_variant(PLAIN, RECIPE, MADE)
    cache.save()
    assert known(path) == (["old"], MADE)


@pytest.mark.parametrize("table", ["locations", "variants"])
def test_file_of_a_version_to_come_is_no_trouble(written, table):
    changed(written, f"DROP TABLE {table}")
    changed(written, f"CREATE TABLE {table} (something INTEGER)")
    cache = BlobCache(str(written))
    assert cache.variant(PLAIN, RECIPE) in (None, MADE)
    cache.note_variant(PLAIN, RECIPE, MADE)
    cache.note(HOST, "b", [DIGEST])
    cache.save()
    assert cache.variant(PLAIN, RECIPE) == MADE
    assert "b" in cache.repositories(HOST, DIGEST, besides="")


@pytest.mark.parametrize(
    ("digest", "size"),
    [
        ("sha256:short", 6),
        ("../../etc/passwd", 6),
        (f"{MADE.digest}?x=", 6),
        ("", 6),
        (7, 6),
        (b"\xff", 6),
        (str(digest_of(b"other")), 6),
        (str(MADE.digest), 7),
        (str(MADE.digest), -1),
        (str(MADE.digest), "many"),
        (str(MADE.digest), 1.5),
    ],
)
def test_odd_rows_are_passed_over(written, digest, size):
    changed(written, "UPDATE variants SET digest = ?, size = ?", digest, size)
    assert known(written) == (["a"], None)
